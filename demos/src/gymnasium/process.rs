//! A worker process, and what is said of its end.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::link::Link;
use super::program::Program;
use crate::failure::Failure;

/// The exit code with which a worker tells, in one sentence, what the user can mend.
const USER_ERROR: i32 = 3;

/// The last lines of a worker's standard error that are shown if it dies.
const SHOWN: usize = 20;

/// The time that a worker which has closed its pipes may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker process.
pub struct Process {
    child: Child,
    /// Collects what it writes to its standard error.
    errors: Option<JoinHandle<Vec<u8>>>,
}

impl Process {
    /// Starts a worker for so many lanes of an environment.
    ///
    /// # Errors
    /// There is no such interpreter.
    pub(super) fn start(
        python: &Path,
        program: Program,
        environment: &str,
        lanes: usize,
    ) -> Result<(Self, Link), Failure> {
        let needs = format!("{environment} needs Python with the packages `{}`", program.packages);
        let (process, commands, answers) =
            Self::start_program(python, program.text, &[environment, &lanes.to_string()], &needs)?;
        Ok((process, Link::new(commands, answers)))
    }

    /// Starts a program of Python's with arguments; `needs` says what the interpreter must have. Returns the two pipes,
    /// to its standard input and from its standard output.
    ///
    /// # Errors
    /// There is no such interpreter.
    pub fn start_program(
        python: &Path,
        program: &str,
        arguments: &[&str],
        needs: &str,
    ) -> Result<(Self, ChildStdin, ChildStdout), Failure> {
        let mut command = Command::new(python);
        command.args(["-c", program]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            Failure::Input(format!(
                "cannot run `{}`: {error}; {needs}, and --python names the interpreter",
                python.display()
            ))
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(commands), Some(answers), Some(mut errors)) = pipes else {
            unreachable!("all three were asked to be pipes");
        };
        let collect = move || {
            let mut text = Vec::new();
            // What came before an error is worth more than the error.
            let _ = errors.read_to_end(&mut text);
            text
        };
        Ok((Self { child, errors: Some(thread::spawn(collect)) }, commands, answers))
    }

    /// Why the worker of this number is of no more use, after an error on its pipes.
    pub fn failure(&mut self, number: usize, error: &io::Error) -> Failure {
        let is_ending = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe);
        let status = self.end(if is_ending { PATIENCE } else { Duration::ZERO });
        let text = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        match status {
            Some(status) if status.code() == Some(USER_ERROR) && is_ending && !lines.is_empty() => {
                Failure::Input((*lines.last().expect("there is one")).to_owned())
            }
            _ => {
                let status = status.map_or_else(String::new, |status| format!(", {status}"));
                let reason = if is_ending { "it ended".to_owned() } else { error.to_string() };
                let said = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
                let said = if said.is_empty() { "nothing on its standard error".to_owned() } else { said };
                Failure::Run(format!("Gymnasium's worker {number} failed ({reason}{status}):\n{said}"))
            }
        }
    }

    /// Waits so long for the process to end, and ends it then.
    fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if begun.elapsed() < patience => thread::sleep(Duration::from_millis(5)),
                _ => break,
            }
        }
        // It may have ended just now, and then there is nothing to kill.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its commands have ended, so it does; but nobody waits for one that hangs.
        self.end(Duration::from_millis(500));
    }
}
