//! A folder for one test, and the command run in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that disappears with its value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        // Tests run at once, and each removes its folder.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fourfold-test-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// `fourfold` in this folder.
    #[allow(dead_code, reason = "runs in the process of the test need none")]
    pub fn fourfold(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fourfold"));
        // Some Vulkan drivers write a line of their own where this is not set.
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir()).current_dir(&self.0);
        // A tuning of the user's would change what is tested; Mesa keeps the shaders that it has compiled.
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        if let Some(caches) = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)
            && std::env::var_os("MESA_SHADER_CACHE_DIR").is_none()
        {
            command.env("MESA_SHADER_CACHE_DIR", caches);
        }
        command.env("XDG_CACHE_HOME", self.0.join("cache"));
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
