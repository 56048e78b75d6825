//! A half: a process that has one library's jobs ready and runs them when the driver says so.
//!
//! The driver writes a line, `run ROW` or `result ROW`; the half answers with a line. After `run` it holds the
//! nanoseconds of one sample, taken here so that the pipe is not part of it; after `result` the number of values, which
//! follow as little-endian bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Job;

/// The first argument of a half that serves samples.
pub const SERVE: &str = "serve";
/// The first argument of a half that takes one training step from a cold start, prints its loss and ends.
pub const FIRST_STEP: &str = "first-step";

/// Serves the jobs until the driver closes the pipe.
pub fn serve(mut jobs: Vec<Box<dyn Job>>) -> Result<(), String> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let unknown = || format!("expected `run ROW` or `result ROW`, got `{line}`");
        let (order, row) = line.split_once(' ').ok_or_else(unknown)?;
        let job = row.parse().ok().and_then(|row: usize| jobs.get_mut(row)).ok_or_else(unknown)?;
        let mut answer = Vec::new();
        match order {
            "run" => {
                let start = Instant::now();
                job.run();
                answer.extend(format!("{}\n", start.elapsed().as_nanos()).into_bytes());
            }
            "result" => {
                let values = job.result();
                answer.extend(format!("{}\n", values.len()).into_bytes());
                answer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            _ => return Err(unknown()),
        }
        output.write_all(&answer).and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The driver's end of a half.
pub struct Half {
    library: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Half {
    /// Starts a half; it sets its jobs up while others are started.
    pub fn start(library: &'static str, program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let spawned =
            Command::new(program).arg(SERVE).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{}: {error}", program.display()))?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new).ok_or("the half has no output")?;
        Ok(Self { library, child, orders, answers })
    }

    /// Takes one sample of a row.
    pub fn run(&mut self, row: usize) -> Result<Duration, String> {
        self.ask(&format!("run {row}")).map(Duration::from_nanos)
    }

    /// The result of a row's last run.
    pub fn result(&mut self, row: usize) -> Result<Vec<f32>, String> {
        let count = self.ask(&format!("result {row}"))?;
        let mut bytes = vec![0; count as usize * size_of::<f32>()];
        self.answers.read_exact(&mut bytes).map_err(|error| format!("{}: {error}", self.library))?;
        let (words, _) = bytes.as_chunks();
        Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
    }

    fn ask(&mut self, order: &str) -> Result<u64, String> {
        let failed = |error: String| format!("{} at `{order}`: {error}", self.library);
        let orders = self.orders.as_mut().ok_or_else(|| failed("it has ended".into()))?;
        writeln!(orders, "{order}").map_err(|error| failed(error.to_string()))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| failed(error.to_string()))?;
        line.trim().parse().map_err(|_| failed(format!("expected a number, got `{}`", line.trim())))
    }
}

impl Drop for Half {
    /// Closing the pipe tells the half to end.
    fn drop(&mut self) {
        self.orders = None;
        // A half that failed has said so on its own standard error already.
        let _ = self.child.wait();
    }
}
