//! Cold starts: a fresh process with empty caches, from its launch to the loss of the first training step.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fourfold_peers_work::FIRST_STEP;

/// A start with empty caches and, in the same folder, one that finds what the first left there.
pub struct Starts {
    pub cold: Duration,
    pub second: Duration,
}

/// Starts the half twice, with the arguments given, in a folder made for it.
///
/// Mesa's shader cache and CubeCL's cache of tuned kernels both follow `XDG_CACHE_HOME`; CubeCL looks for a Cargo
/// project above its current folder first, hence the folder under the system's temporary one.
pub fn starts(library: &str, program: &Path, arguments: &[&str]) -> Result<Starts, String> {
    let folder = std::env::temp_dir().join(format!("fourfold-peers-{}-{library}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let starts = start(library, program, arguments, &folder)
        .and_then(|cold| Ok(Starts { cold, second: start(library, program, arguments, &folder)? }));
    std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    starts
}

fn start(library: &str, program: &Path, arguments: &[&str], folder: &Path) -> Result<Duration, String> {
    let start = Instant::now();
    let output = Command::new(program)
        .arg(FIRST_STEP)
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .env_remove("MESA_SHADER_CACHE_DIR")
        .output()
        .map_err(|error| error.to_string())?;
    let elapsed = start.elapsed();
    let loss: Option<f32> = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    match loss {
        // ln 10 = 2.30 for a guess among ten classes: a fresh network is near it.
        Some(loss) if output.status.success() && (1.5..3.5).contains(&loss) => Ok(elapsed),
        _ => Err(format!(
            "the first step of {library} ended with {}, loss {loss:?}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
