//! `fourfold play`: a trained policy as a film, in the terminal and as a file.

use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::Gpu;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde_json::json;

use crate::entry::Plain;
use crate::experiments::neuron::evaluation::HORIZON;
use crate::experiments::neuron::network::File;
use crate::experiments::neuron::scene::Film;
use crate::experiments::neuron::stage::{animated, animated_gif};
use crate::experiments::neuron::terminal::{self, Key};
use crate::experiments::neuron::watching::Script;
use crate::failure::Failure;
use crate::options::Common;
use crate::run::Run;
use crate::run::report::Report;

/// Play a trained attention neuron: the cart, its pole and how much each input is attended to, as a film in the terminal
/// (keys: s shuffles the inputs, n adds noise inputs, r begins another episode, q quits) and as a GIF or animated PNG
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The policy: a file of weights, or the folder of a run that wrote one [default: the built-in one]
    #[arg(value_name = "POLICY")]
    pub policy: Option<PathBuf>,
    /// The steps in which the inputs are shuffled
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_values_t = [400])]
    pub shuffle_at: Vec<usize>,
    /// Noise inputs beside the five observations
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub noise_channels: usize,
    /// Steps from one frame to the next
    #[arg(long, value_name = "STEPS", default_value_t = 4)]
    pub every: usize,
    /// The kind of the file
    #[arg(long, value_name = "KIND", default_value = "gif")]
    pub format: Format,
}

/// The kind of a film's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Shown by every program.
    Gif,
    /// An animated PNG: as many colours as there are.
    Apng,
}

/// Noise inputs that the key adds.
const NOISE: usize = 5;

/// Seeds that are tried for an episode that lasts: some starts leave the track whatever one does.
const TRIES: u64 = 8;

impl Plain for Arguments {
    const NAME: &'static str = "play";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let every = if common.quick { self.every.max(20) } else { self.every };
        Failure::check_counts([("--every", every, 1..=100)])?;
        let mut shuffles = self.shuffle_at.clone();
        shuffles.sort_unstable();
        shuffles.dedup();
        if let Some(step) = shuffles.iter().find(|&&step| step >= HORIZON) {
            return Err(Failure::Input(format!("--shuffle-at: expected steps from 0 to {}, got {step}", HORIZON - 1)));
        }
        if self.noise_channels > 27 {
            return Err(Failure::Input(format!("--noise-channels: expected 0 to 27, got {}", self.noise_channels)));
        }
        let weights = file(self.policy.as_deref())?;
        let network = AttentionNeuron::cart_pole();
        let weights = File { weights, tensor: None }.load(&network)?;
        let gpu = common.open(false)?;
        let settings = json!({ "policy": self.policy, "shuffle_at": shuffles, "noise_channels": self.noise_channels });
        let mut run = Run::of_command(common, Self::NAME, &gpu, settings)?;
        let mut player = Player::new(gpu, network, weights, shuffles, self.noise_channels);
        let first = player.first(common.seed)?;
        let shown = if common.quiet {
            None
        } else {
            terminal::perform(&first, every, Some(&mut |key, step| player.answer(key, step)))?
        };
        let film = shown.unwrap_or(first);

        run.progress("film", film.frames(every).len() as u64);
        let (name, bytes) = match self.format {
            Format::Gif => ("film.gif", animated_gif(&film, every, || run.advance(1))?),
            Format::Apng => ("film.png", animated(&film, every, || run.advance(1))?),
        };
        run.end_progress();
        let mut report = Report::new("A film of a policy");
        let (steps, score) = (film.scenes.len(), film.score());
        let shuffles: Vec<String> = film.shuffles().iter().map(usize::to_string).collect();
        let times = match shuffles.len() {
            0 => "never shuffled".to_owned(),
            1 => format!("shuffled at step {}", shuffles[0]),
            _ => format!("shuffled at steps {}", shuffles.join(", ")),
        };
        report.paragraph(format!(
            "A score of {score:.0} in {steps} steps, with the inputs {times}; the film is `{name}`."
        ));
        report.picture(name, "the film", bytes);
        report.result("score", json!(score));
        report.result("steps", json!(steps));
        report.result("shuffles", json!(film.shuffles()));
        crate::show!("{}", run.publish(&report)?);
        Ok(())
    }
}

/// Returns the file of weights: in the folder of a run, the one that a command of ours wrote.
fn file(policy: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    const WRITTEN: [&str; 3] = ["attention_neuron.safetensors", "student.safetensors", "student-0.safetensors"];
    let Some(path) = policy else { return Ok(None) };
    if !path.is_dir() {
        return Ok(Some(path.to_owned()));
    }
    let found = WRITTEN.iter().map(|name| path.join(name)).find(|file| file.is_file());
    found.map(Some).ok_or_else(|| {
        let expected = "expected a run of `fourfold neuron train` or `fourfold neuron clone`";
        Failure::Input(format!("{}: {expected} with {}, got none of these files", path.display(), WRITTEN.join(" or ")))
    })
}

/// The episode that is played, and what plays it.
pub(crate) struct Player {
    gpu: Gpu,
    network: AttentionNeuron,
    weights: Vec<f32>,
    script: Script,
}

impl Player {
    /// Returns a player of the cart-pole swing-up from hard starts.
    pub(crate) fn new(
        gpu: Gpu,
        network: AttentionNeuron,
        weights: Vec<f32>,
        shuffles: Vec<usize>,
        noise_channels: usize,
    ) -> Self {
        let world = CartPoleSwingUp { easy: false };
        Self { gpu, network, weights, script: Script { world, noise_channels, shuffles, forget: false, seed: 0 } }
    }

    fn film(&self) -> Result<Film, Failure> {
        let played = self.script.play(&self.gpu, self.network, &self.weights, 0)?;
        Ok(self.script.show(self.network, &self.weights, &played)?.film)
    }

    /// Returns the first episode from a seed on that does not leave the track, or the last that was tried.
    pub(crate) fn first(&mut self, seed: u64) -> Result<Film, Failure> {
        for seed in seed..seed.saturating_add(TRIES - 1) {
            self.script.seed = seed as u32;
            let film = self.film()?;
            if !film.fell {
                return Ok(film);
            }
        }
        self.script.seed = seed.saturating_add(TRIES - 1) as u32;
        self.film()
    }

    /// Returns the film after a key at a step. An episode with one more shuffle is the same up to it.
    fn answer(&mut self, key: Key, step: usize) -> Result<(Film, usize), Failure> {
        match key {
            Key::Shuffle => {
                self.script.shuffles.retain(|&shuffle| shuffle < step);
                self.script.shuffles.push(step);
                let film = self.film()?;
                let step = step.min(film.scenes.len() - 1);
                Ok((film, step))
            }
            Key::Noise => {
                self.script.noise_channels = if self.script.noise_channels == 0 { NOISE } else { 0 };
                self.script.shuffles.clear();
                Ok((self.film()?, 0))
            }
            Key::Restart | Key::Quit => {
                self.script.shuffles.clear();
                let seed = u64::from(self.script.seed) + 1;
                Ok((self.first(seed)?, 0))
            }
        }
    }
}
