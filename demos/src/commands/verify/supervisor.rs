//! Runs jobs in a worker process, and starts another one where the driver took it down.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::row::{Kind, Row};
use super::worker::{Answer, Job};
use crate::failure::Failure;

/// Runs all jobs and hands each row to `record` as it comes. A kernel in which the driver crashes, hangs or loses the
/// device gets the row that says so and is not run further; all others are.
///
/// # Errors
/// The worker cannot be started, ends before its first case, or a row cannot be recorded.
pub fn run(
    arguments: &[OsString],
    jobs: Vec<Job>,
    time_limit: Duration,
    mut record: impl FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut jobs = VecDeque::from(jobs);
    while !jobs.is_empty() {
        let mut worker = Worker::start(arguments, &jobs)?;
        let mut current: Option<(String, u32)> = None;
        let mut begun = false;
        let mut printed = Vec::new();
        loop {
            match worker.lines.recv_timeout(time_limit) {
                Ok(Line::Printed(line)) => {
                    crate::tell!("{line}");
                    if printed.len() < MOST_PRINTED {
                        printed.push(line);
                    }
                    continue;
                }
                Ok(Line::Answer(Answer::Begin { kernel, case })) => {
                    begun = true;
                    // Jobs come in order: those before this one are done.
                    while jobs.front().is_some_and(|job| job.kernel != kernel) {
                        jobs.pop_front();
                    }
                    if let Some(job) = jobs.front_mut() {
                        job.from = case;
                    }
                    current = Some((kernel, case));
                }
                Ok(Line::Answer(Answer::Row(row))) => {
                    current = None;
                    let row = Row { printed: std::mem::take(&mut printed), ..*row };
                    if row.outcome.ends_the_kernel() || row.outcome == Kind::Skipped {
                        jobs.pop_front();
                    } else if let Some(job) = jobs.front_mut() {
                        job.from = row.case + 1;
                    }
                    record(row)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    worker.stop();
                    let Some((kernel, case)) = current.take() else {
                        return Err(Failure::run(format!("no device answered within {} s", time_limit.as_secs())));
                    };
                    let message = format!("no answer within {} s; the kernel is not run further", time_limit.as_secs());
                    record(Row { printed, ..Row::of(&kernel, case, Kind::Hung, message) })?;
                    jobs.pop_front();
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = worker.end()?;
                    match current.take() {
                        Some((kernel, case)) => {
                            let message = format!("its process ended with {status}; the kernel is not run further");
                            record(Row { printed, ..Row::of(&kernel, case, Kind::Crashed, message) })?;
                            jobs.pop_front();
                        }
                        None if status.success() => return Ok(()),
                        // After a lost device, say: what is left runs in another process.
                        None if begun => {}
                        None => {
                            return Err(Failure::run(format!("the process that runs the cases ended with {status}")));
                        }
                    }
                    break;
                }
            }
            jobs.retain(|job| job.from < job.until);
        }
        jobs.retain(|job| job.from < job.until);
    }
    Ok(())
}

/// Lines of drivers and layers that are kept for one case.
const MOST_PRINTED: usize = 200;

/// One line of a worker's output.
enum Line {
    Answer(Answer),
    /// A driver or a layer printed it.
    Printed(String),
}

/// A worker process with the lines that it prints.
struct Worker {
    process: Child,
    lines: Receiver<Line>,
}

impl Worker {
    fn start(arguments: &[OsString], jobs: &VecDeque<Job>) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::run)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for this process, which ends its worker.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().map_err(|error| Failure::run(format!("cannot start a process: {error}")))?;
        let (mut input, output) = (process.stdin.take(), process.stdout.take());
        let lines: String = jobs.iter().filter_map(|job| Some(serde_json::to_string(job).ok()? + "\n")).collect();
        std::thread::spawn(move || {
            // A worker that has ended reads nothing more.
            let _ = input.as_mut().map(|input| input.write_all(lines.as_bytes()));
        });
        let (sender, received) = channel();
        std::thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok);
            for line in lines {
                let line = serde_json::from_str(&line).map_or(Line::Printed(line), Line::Answer);
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, lines: received })
    }

    /// Waits for the process, whose output has ended.
    fn end(&mut self) -> Result<ExitStatus, Failure> {
        self.process.wait().map_err(Failure::run)
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}
