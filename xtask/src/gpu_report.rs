//! `cargo xtask gpu-report`: one page of what a GPU does, for whoever has one to send back.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::portability::{at_home, cannot_run, program, write};
use crate::{Failure, Result, root};

pub const USAGE: &str = "\
cargo xtask gpu-report [FLAGS]

Runs on the GPU of this machine: its features and limits, every kernel against its CPU twin, every kernel against the
GPU's limits, a training step of the decision transformer, rollouts, persistent evolution strategies, recording, and the
time to a first training step; writes one page of it all. Exit code 1 if a command fails, which the page says too.

  --adapter NAME         the adapter: part of its name, or its number in `fourfold adapters` [default: the best one]
  --cases NUMBER         cases of each kernel [default: 1000]
  --torch PYTHON         a Python with PyTorch: its training steps beside ours
  --torch-device DEVICE  the device of PyTorch [default: cuda]
  --quick                smoke-test sizes
  --program FILE         a `fourfold` that is built already [default: a release build]
  --report FILE          the page [default: target/gpu-report/report.md]";

/// The flags.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    adapter: Option<String>,
    cases: Option<u32>,
    torch: Option<String>,
    torch_device: Option<String>,
    quick: bool,
    program: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Settings {
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let mut settings = Self::default();
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let flag = flag.to_string_lossy();
            if flag == "--quick" {
                settings.quick = true;
                continue;
            }
            let known = ["--adapter", "--cases", "--torch", "--torch-device", "--program", "--report"];
            if !known.contains(&&*flag) {
                return Err(Failure::usage(format!("gpu-report: unknown flag `{flag}`\n\n{USAGE}")));
            }
            let expected = |what: &str, got: &str| Failure::usage(format!("{flag}: expected {what}, got {got}"));
            let value = arguments.next().ok_or_else(|| expected("a value", "none"))?;
            let text = value.to_string_lossy().into_owned();
            match &*flag {
                "--adapter" => settings.adapter = Some(text),
                "--cases" => {
                    let number = text.parse().map_err(|_| expected("a number", &format!("`{text}`")))?;
                    settings.cases = Some(number);
                }
                "--torch" => settings.torch = Some(text),
                "--torch-device" => settings.torch_device = Some(text),
                "--program" => settings.program = Some(value.into()),
                _ => settings.report = Some(value.into()),
            }
        }
        Ok(settings)
    }

    /// Returns the parts of the page: their titles, and the arguments of the commands that fill them.
    fn parts(&self) -> Vec<(&'static str, Vec<String>)> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let cases = self.cases.unwrap_or(if self.quick { 3 } else { 1_000 });
        let mut step = words("bench dt");
        if let Some(python) = &self.torch {
            let device = self.torch_device.as_deref().unwrap_or("cuda");
            step.extend(["--torch", python, "--torch-device", device].map(str::to_owned));
        }
        let mut parts = vec![
            ("Adapters", words("adapters")),
            ("A first training step, from the start of the process", words("bench dt --steps 1 --runs 1")),
            ("Every kernel against its CPU twin", [words("verify --cases"), vec![cases.to_string()]].concat()),
            ("Every kernel against the limits of the GPU", words("bench")),
            ("A training step of the decision transformer", step),
            ("Rollouts of attention neurons, nearly all to the end", words("bench rollout --alive")),
            ("Rollouts of attention neurons, 16 episodes a member", words("bench rollout --episodes 16")),
            ("Rollouts of perceptrons", words("bench rollout --policy perceptron --alive")),
            ("Persistent evolution strategies", words("bench pes")),
            ("Recording", words("bench recording")),
        ];
        for (_, arguments) in &mut parts[1..] {
            arguments.push("--quiet".into());
            if self.quick {
                arguments.push("--quick".into());
            }
            if let Some(adapter) = &self.adapter {
                arguments.extend(["--adapter".to_owned(), adapter.clone()]);
            }
        }
        parts
    }
}

/// Runs the commands and writes the page.
///
/// # Errors
/// Wrong flags, a command that cannot be started or fails, or a page that cannot be written.
pub fn run(arguments: &[OsString]) -> Result {
    let settings = Settings::parse(arguments)?;
    let program = program(settings.program.as_deref(), &[])?;
    let out = root().join("target/gpu-report");
    let mut page = format!(
        "# A GPU and Fourfold {}\n\nMade by `cargo xtask gpu-report` on {} ({}).\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let mut failed = Vec::new();
    for (number, (title, arguments)) in settings.parts().into_iter().enumerate() {
        let line = arguments.join(" ");
        eprintln!("{title}: fourfold {line}");
        if !part(&mut page, &program, title, &arguments, &out.join(format!("run-{number}")))? {
            failed.push(line);
        }
    }
    std::fs::create_dir_all(&out).map_err(|error| Failure::new(format!("{}: {error}", out.display())))?;
    let path = settings.report.unwrap_or_else(|| out.join("report.md"));
    write(&path, page.as_bytes())?;
    eprintln!("The page is {}", path.display());
    match failed[..] {
        [] => Ok(()),
        _ => Err(Failure::new(format!("these failed, as the page says: {}", failed.join("; ")))),
    }
}

/// Adds a command's output to the page; returns false if it fails.
fn part(page: &mut String, program: &Path, title: &str, arguments: &[String], run: &Path) -> Result<bool> {
    if run.exists() {
        std::fs::remove_dir_all(run).map_err(|error| Failure::new(format!("{}: {error}", run.display())))?;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    if arguments[0] != "adapters" {
        command.arg("--out").arg(run);
    }
    let begun = Instant::now();
    let output = at_home(&mut command).output().map_err(|error| cannot_run(&command, &error))?;
    let seconds = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout);
    // Where a run lies is of no use on another machine.
    let kept = said.lines().filter(|line| !line.starts_with("The run is in ") && !line.starts_with("Next: "));
    let text = kept.collect::<Vec<_>>().join("\n");
    let _ = write!(
        page,
        "\n## {title}\n\n`fourfold {}`, {seconds:.1} s\n\n```text\n{}\n```\n",
        arguments.join(" "),
        text.trim_end()
    );
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let _ = write!(page, "\nIt ended with {}:\n\n```text\n{}\n```\n", output.status, errors.trim());
    }
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings> {
        Settings::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_reach_the_commands_that_take_them() {
        let settings = parse("--adapter radeon --cases 7 --torch python3 --quick").unwrap();
        let lines: Vec<String> = settings.parts().iter().map(|(_, arguments)| arguments.join(" ")).collect();
        assert_eq!(lines[0], "adapters");
        assert!(lines.contains(&"verify --cases 7 --quiet --quick --adapter radeon".to_owned()), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("bench dt --torch python3 --torch-device cuda")), "{lines:?}");
    }

    #[test]
    fn wrong_flags_are_refused_by_name() {
        for (line, expected) in [
            ("--cases x", "--cases: expected a number, got `x`"),
            ("--torch", "--torch: expected a value, got none"),
            ("--odd", "unknown flag `--odd`"),
        ] {
            let failure = parse(line).unwrap_err();
            assert!(failure.code == 2 && failure.message.contains(expected), "{}", failure.message);
        }
    }
}
