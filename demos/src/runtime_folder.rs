//! A private folder for the drivers of Linux, which print a line of their own where `XDG_RUNTIME_DIR` is not set.

/// Starts the program again with `XDG_RUNTIME_DIR` set, where it is not. To set it within a running program is unsafe.
#[cfg(target_os = "linux")]
pub fn provide() {
    use std::os::unix::process::CommandExt;

    const NAME: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(NAME).is_some_and(|folder| !folder.is_empty()) {
        return;
    }
    let (Some(folder), Ok(program)) = (private(), std::env::current_exe()) else { return };
    // Returns only where it fails, and then the driver prints its line.
    let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(NAME, folder).exec();
}

/// A folder of this user that nobody else reads.
#[cfg(target_os = "linux")]
fn private() -> Option<std::path::PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let user = std::fs::metadata("/proc/self").ok()?.uid();
    let path = std::env::temp_dir().join(format!("fourfold-runtime-{user}"));
    // It may be there already; what counts is whose it is.
    let _ = std::fs::DirBuilder::new().mode(0o700).create(&path);
    let facts = std::fs::symlink_metadata(&path).ok()?;
    (facts.is_dir() && facts.uid() == user && facts.mode() & 0o077 == 0).then_some(path)
}

/// Other systems need no folder.
#[cfg(not(target_os = "linux"))]
pub fn provide() {}
