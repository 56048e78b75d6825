//! PyTorch's training steps, in a process that answers each line with the seconds of some steps.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::Args;
use serde_json::Value;

use crate::failure::Failure;

/// The flags of a comparison with PyTorch.
#[derive(Debug, Clone, Args)]
pub struct TorchOptions {
    /// Python interpreter with PyTorch, timed before each run
    #[arg(id = "torch", long = "torch", value_name = "PYTHON")]
    pub python: Option<String>,
    /// Threads of PyTorch [default: its own choice]
    #[arg(long, value_name = "COUNT", requires = "torch")]
    torch_threads: Option<u32>,
    /// Device of PyTorch, e.g. cuda
    #[arg(long, value_name = "DEVICE", requires = "torch", default_value = "cpu")]
    torch_device: String,
}

/// A running PyTorch.
pub struct Torch {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Its description of itself.
    pub about: Value,
}

impl Torch {
    /// Starts the Python of the options with a script of `benches/peers` and its own `arguments`, and waits until its first
    /// steps are done; `None` where no Python is named.
    pub fn start(options: &TorchOptions, script: &str, arguments: &[String]) -> Result<Option<Self>, Failure> {
        let Some(python) = &options.python else { return Ok(None) };
        let mut command = Command::new(python);
        command.args(["-c", script, "--serve", "--device", &options.torch_device]).args(arguments);
        if let Some(threads) = options.torch_threads {
            command.args(["--threads", &threads.to_string()]);
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.map_err(|error| {
            Failure::input(format!("--torch: expected a Python that starts, got `{python}`: {error}"))
        })?;
        let questions = process.stdin.take();
        let Some(answers) = process.stdout.take().map(BufReader::new) else {
            return Err(Failure::run("PyTorch's process has no output"));
        };
        let mut torch = Self { process, questions, answers, about: Value::Null };
        torch.about = torch.answer().ok_or_else(|| {
            Failure::input(format!("--torch: expected a Python with PyTorch, got `{python}`, whose script ended early"))
        })?;
        Ok(Some(torch))
    }

    /// Returns the name for tables.
    pub fn name(&self) -> String {
        let text = |key: &str| self.about[key].as_str().unwrap_or_default().to_string();
        match self.about["threads"].as_u64() {
            Some(1) if text("device") == "cpu" => format!("PyTorch {}, 1 thread", text("torch")),
            Some(threads) if text("device") == "cpu" => format!("PyTorch {}, {threads} threads", text("torch")),
            _ => format!("PyTorch {}, {}", text("torch"), text("device")),
        }
    }

    /// Seconds of a step of `training` over `steps` steps: of wall-clock time, and of CPU time.
    pub fn run(&mut self, training: &str, steps: usize) -> Result<[f64; 2], Failure> {
        let early = || Failure::run("PyTorch's process ended early");
        let questions = self.questions.as_mut().ok_or_else(early)?;
        writeln!(questions, "{training} {steps}").and_then(|()| questions.flush()).map_err(|_| early())?;
        let answer = self.answer().ok_or_else(early)?;
        match [&answer["wall_s"], &answer["cpu_s"]].map(Value::as_f64) {
            [Some(wall), Some(cpu)] => Ok([wall, cpu]),
            _ => Err(Failure::run(format!("expected seconds from PyTorch's process, got {answer}"))),
        }
    }

    /// The next line; `None` where there is none, or it is not JSON.
    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Torch {
    fn drop(&mut self) {
        // The script ends with its input.
        self.questions = None;
        let _ = self.process.wait();
    }
}
