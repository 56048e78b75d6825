//! `fourfold live`: starts the window, a program of its own.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;

/// Watch a method learn and act in a window: press, draw, push (needs `fourfold-live`)
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The scene to begin with
    #[arg(value_enum, value_name = "SCENE")]
    scene: Option<Scene>,
    /// Begin with a checkpoint, as `neuron train` writes it
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Compute on the device that draws the window, instead of one of its own
    #[arg(long)]
    share: bool,
    /// Close the window after so many frames
    #[arg(long, value_name = "COUNT")]
    frames: Option<u32>,
}

/// The scenes of the window.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scene {
    /// An attention neuron on 64 cart-poles, beside a perceptron
    Neuron,
    /// Estimators on the loss surface of the toy problem
    Pes,
    /// SGD and SAM side by side on digits
    Sam,
    /// A decision transformer in Key-to-Door
    Dt,
}

/// The program of the window.
const PROGRAM: &str = "fourfold-live";

impl Plain for Arguments {
    const NAME: &'static str = "live";
    const COMMON: &'static [&'static str] = &["seed"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let mut command = Command::new(program());
        command.args(self.scene.and_then(|scene| scene.to_possible_value()).map(|value| value.get_name().to_owned()));
        if common.is_given("seed") {
            command.args(["--seed", &common.seed.to_string()]);
        }
        if let Some(file) = &self.load {
            command.arg("--load").arg(file);
        }
        if self.share {
            command.arg("--share");
        }
        if let Some(frames) = self.frames {
            command.args(["--frames", &frames.to_string()]);
        }
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Run(format!("{PROGRAM} ended with {status}"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::Run(format!(
                "{PROGRAM}: expected the program beside this one or on PATH, found none (install it with `cargo install \
                 --path live/window`)"
            ))),
            Err(error) => Err(Failure::Run(format!("{PROGRAM}: {error}"))),
        }
    }
}

/// The program beside this one, or else its name, which the system looks for on PATH.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let beside = beside.map(|path| path.with_extension(std::env::consts::EXE_EXTENSION));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}
