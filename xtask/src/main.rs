//! `cargo xtask COMMAND`: the chores of a fresh clone, on a machine that has only Rust.

mod apt;
mod data;
mod driver;
mod fuzz;
mod gpu_report;
mod interruptions;
mod mpi;
mod portability;
mod vulkan;
mod web;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND [ARGUMENTS]

  demo [ARGUMENTS]   verify every kernel on the GPU of this machine, then show each method; arguments go to `fourfold demo`
  test [ARGUMENTS]   run all tests; arguments go to `cargo test`
  data [NAMES]       download the data sets `mnist` and `fashion-mnist` (both, or those named) into data/
  mutants [FLAGS]    plant the faults of shaders/src/*/faults.txt in the kernels, one at a time: `fourfold verify` must catch
                     95 %; --only TEXT and --json go to it; writes docs/reports/mutants/report.md
  interruptions      interrupt and resume every long command at random moments: it must end with the same bits
  chaos              kill and resume every long command at random moments: it must end with the same bits
  fuzz [READER]      give mutated files to every reader of files; `cargo xtask fuzz --help` lists its flags
  graphs             compare random graphs on the GPU with the f64 reference; `cargo xtask graphs --help` lists its flags
  gpu-report         measure the GPU of this machine and write one page; `cargo xtask gpu-report --help` lists its flags
  portability        verify every kernel on every Vulkan driver at hand; `cargo xtask portability --help` lists its flags
  mpi-test           compare runs of several processes with those of one; builds with the feature `mpi`, and installs Open MPI
                     where apt can; `cargo xtask mpi-test --help` lists its flags
  web                build the page into target/page; `cargo xtask web --serve` shows it, `--help` lists its flags
  web-test           build the page and test it in headless Chromium; `cargo xtask web-test --help` lists its flags

On Linux without any Vulkan device, `demo`, `test`, `mutants`, `interruptions`, `chaos`, `graphs`,
`mpi-test` and `web-test` first install Mesa's software driver.";

/// The reason why a command failed, with its exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// Wrong input.
    fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }
}

type Result<T = ()> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A program that we ran and that failed has said why itself.
            if !failure.message.is_empty() {
                eprintln!("error: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn run(mut arguments: Vec<OsString>) -> Result {
    if arguments.is_empty() {
        return Err(Failure::usage(format!("a command is expected\n\n{USAGE}")));
    }
    let command = arguments.remove(0);
    match command.to_str() {
        Some("demo") => {
            driver::ensure()?;
            let fixed = ["run", "--release", "--package", "fourfold-demos", "--bin", "fourfold", "--", "demo"];
            cargo(&fixed, &arguments)
        }
        Some("test") => {
            driver::ensure()?;
            cargo(&["test", "--workspace"], &arguments)
        }
        Some("mutants") => {
            driver::ensure()?;
            let fixed = ["run", "--release", "--package", "fourfold-demos", "--bin", "fourfold", "--", "verify"];
            let flags = ["--faults", "shaders/src", "--report", "docs/reports/mutants/report.md", "--time-limit", "60"];
            cargo(&[&fixed[..], &flags[..]].concat(), &arguments)
        }
        Some("interruptions") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", interruptions::USAGE);
            Ok(())
        }
        Some("interruptions") => {
            driver::ensure()?;
            let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            interruptions::run(&words)
        }
        Some("fuzz") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", fuzz::USAGE);
            Ok(())
        }
        Some("fuzz") => fuzz::run(&arguments),
        Some("chaos") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", interruptions::CHAOS_USAGE);
            Ok(())
        }
        Some("chaos") => {
            driver::ensure()?;
            let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            interruptions::chaos(&words)
        }
        Some("graphs") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", fuzz::GRAPHS_USAGE);
            Ok(())
        }
        Some("graphs") => {
            driver::ensure()?;
            fuzz::graphs(&arguments)
        }
        Some("data") => data::fetch(&root().join("data"), &arguments),
        Some("gpu-report") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", gpu_report::USAGE);
            Ok(())
        }
        Some("gpu-report") => gpu_report::run(&arguments),
        Some("portability") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", portability::USAGE);
            Ok(())
        }
        Some("portability") => {
            driver::ensure()?;
            portability::run(&arguments)
        }
        Some("mpi-test") if arguments.iter().any(|argument| argument == "--help") => {
            println!("{}", mpi::USAGE);
            Ok(())
        }
        Some("mpi-test") => mpi::test(&arguments),
        Some("web") => web::run(&arguments),
        Some("web-test") => web::browser_test::run(&arguments),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::usage(format!(
            "demo, test, data, mutants, interruptions, chaos, fuzz, graphs, gpu-report, portability, mpi-test, web or \
             web-test is expected, got `{}`\n\n{USAGE}",
            command.display()
        ))),
    }
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root of the repository")
}

/// Runs the cargo that runs us, in the root of the repository.
fn cargo(fixed: &[&str], more: &[OsString]) -> Result {
    cargo_with(&[], fixed, more)
}

/// [`cargo`] with more variables in its environment.
fn cargo_with(environment: &[(String, String)], fixed: &[&str], more: &[OsString]) -> Result {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&program);
    let environment = environment.iter().map(|(name, value)| (name, value));
    command.current_dir(root()).args(fixed).args(more).envs(environment);
    if let Some(folder) = runtime_folder() {
        command.env("XDG_RUNTIME_DIR", folder);
    }
    let status =
        command.status().map_err(|error| Failure::new(format!("cannot run {}: {error}", program.display())))?;
    if status.success() {
        return Ok(());
    }
    // 128 is the shell's word for death by a signal, which has no exit code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128);
    Err(Failure { code, message: String::new() })
}

/// A folder for XDG_RUNTIME_DIR where Linux has not set it: Vulkan's loader would warn at every start.
fn runtime_folder() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") || std::env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let folder = root().join("target").join("xdg-runtime");
    std::fs::create_dir_all(&folder).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).ok()?;
    }
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str]) -> u8 {
        run(arguments.iter().map(OsString::from).collect()).map_or_else(|failure| failure.code, |()| 0)
    }

    #[test]
    fn an_unknown_or_missing_command_is_wrong_input() {
        assert_eq!(code(&[]), 2);
        assert_eq!(code(&["dance"]), 2);
        assert_eq!(code(&["data", "cifar"]), 2);
        assert_eq!(code(&["help"]), 0);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("shaders").is_dir());
    }
}
