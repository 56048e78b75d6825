//! `fourfold live`: starts the window, a program of its own, or draws the same as a film.

mod film;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::limits;
use crate::options::Common;
use crate::picture::film::Format;
use crate::progress::Progress;
use film::Press;

/// Watch a method learn and act in a window: press, draw, push (needs `fourfold-live`); or as a film, by --gif
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
    /// Close the window after so many frames; a film has so many [default for a film: 150]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames: Option<u32>,
    /// Write what the window would draw to this file, a GIF or, if its name ends in .png, an animated PNG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load", "share"])]
    gif: Option<PathBuf>,
    /// Press a key of the scene before a frame of the film, as in 60:s
    #[arg(long, value_name = "FRAME:KEY", requires = "gif")]
    press: Vec<Press>,
}

/// Frames of a film.
const FRAMES: u32 = 150;

/// The scenes of the window.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scene {
    /// An attention neuron on 64 cart-poles, beside a perceptron
    Neuron,
    /// Estimators on the loss surface of the toy problem
    Pes,
    /// SGD and SAM side by side on digits
    Sam,
    /// A decision transformer in Key-to-Door, or on a graph
    Dt,
    /// An attention neuron that drives a car by a picture in patches
    Car,
}

/// The program of the window.
const PROGRAM: &str = "fourfold-live";

impl Plain for Arguments {
    const NAME: &'static str = "live";
    const COMMON: &'static [&'static str] = &["seed", "adapter"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let seed = u32::try_from(common.seed)
            .map_err(|_| Failure::Input(format!("--seed: expected at most {}, got {}", u32::MAX, common.seed)))?;
        if let Some(file) = &self.gif {
            return self.film(common, seed, file);
        }
        if common.is_given("adapter") {
            return Err(Failure::input(
                "--adapter: a film takes it, a window does not; set WGPU_ADAPTER_NAME for that",
            ));
        }
        let mut command = Command::new(program());
        command.args(self.scene.and_then(|scene| scene.to_possible_value()).map(|value| value.get_name().to_owned()));
        if common.is_given("seed") {
            command.args(["--seed", &seed.to_string()]);
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

impl Arguments {
    fn film(&self, common: &Common, seed: u32, file: &Path) -> Result<(), Failure> {
        limits::file("--gif", file)?;
        let scene = self.scene.unwrap_or(Scene::Neuron).to_possible_value();
        let scene = scene.as_ref().map_or("", |scene| scene.get_name());
        let count = self.frames.unwrap_or(FRAMES).into();
        let mut progress = Progress::new("live", count, common.quiet);
        let gpu = common.open()?;
        let frames = film::frames(&gpu, scene, seed, count, &self.press, || progress.advance(1))?;
        progress.finish();
        let bytes = Format::of(file).encode(frames.len(), frames.into_iter())?;
        fourfold::data::file::write(file, &bytes)?;
        crate::show!("The film is {}", file.display());
        Ok(())
    }
}

/// The program beside this one, or else its name, which the system looks for on PATH.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let beside = beside.map(|path| path.with_extension(std::env::consts::EXE_EXTENSION));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}
