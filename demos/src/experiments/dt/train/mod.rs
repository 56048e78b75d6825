//! `fourfold dt train`: trajectories that the user has, played in our own environments or through Python's Gymnasium.

mod play;
mod report;
mod setup;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use fourfold::data::Checkpoint;
use fourfold::models::offline_training::OfflineTraining;
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::gymnasium::Played;
use crate::limits::{self, Span};
use crate::run::report::Report;
use crate::run::{Run, entry, set_entry};
use crate::statistics::average;
use play::World;
use setup::Setup;

/// Train on a file of trajectories (D4RL, Minari, imitation, our own) or on Atari's DQN replay, and play in Gymnasium, or on the GPU
/// where the file is of `data collect`
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// File, a folder with one such file, or a data set of Minari
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Read this checkpoint of a folder of the DQN replay data set, `$store$_observation_ckpt.N.gz` and its like
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub replay: Option<usize>,
    /// First step of the replay's checkpoint
    #[arg(long, value_name = "STEP", requires = "replay", default_value_t = 0)]
    #[serde(default)]
    pub replay_first: usize,
    /// Steps of the replay's checkpoint
    #[arg(long, value_name = "COUNT", requires = "replay", default_value_t = 100_000)]
    #[serde(default)]
    pub replay_steps: usize,
    /// Play in the environment through Python's Gymnasium after each evaluation's share of the training
    #[arg(long)]
    pub gymnasium: bool,
    /// Environment, e.g. Hopper-v5 [default: the one that the data name]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Python interpreter with Gymnasium and MuJoCo
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// Worker processes that share the environments [default: one for each processor]
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<usize>,
    /// Episodes played for each target return
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub episodes: usize,
    /// Target returns, separated by commas [default: the paper's, else the best return of the data]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_hyphen_values = true)]
    pub targets: Option<Vec<f32>>,
    /// Divide returns by this number [default: the paper's, else the largest return of the data]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale: Option<f32>,
    /// Learner
    #[arg(long, value_enum, default_value_t = Learner::Transformer)]
    pub model: Learner,
    /// Train on the best episodes only, which are this share of all steps (percentile behaviour cloning)
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, allow_negative_numbers = true)]
    pub best: f64,
    /// Rewards are paid at the end of an episode, in the data and in what the transformer is told
    #[arg(long)]
    pub delayed: bool,
    /// Training steps; the paper has 100,000
    #[arg(long, value_name = "STEPS", default_value_t = 100_000)]
    pub training_steps: usize,
    /// Evaluations, evenly over the training, the last one at its end
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub evaluations: usize,
    /// Windows of a training step
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// Steps of a window, K
    #[arg(long, value_name = "STEPS", default_value_t = 20)]
    pub context: usize,
    /// Length of a token, or width of the perceptron [default: 128, or 256]
    #[arg(long, value_name = "COUNT")]
    pub width: Option<usize>,
    /// Transformer blocks, or layers of the perceptron
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub layers: usize,
    /// Attention heads
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub heads: usize,
    /// Share that dropout drops
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, allow_negative_numbers = true)]
    pub dropout: f32,
    /// Learning rate after the warm-up
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-4, allow_negative_numbers = true)]
    pub rate: f32,
    /// Steps of the warm-up, over which the rate rises
    #[arg(long, value_name = "STEPS", default_value_t = 10_000)]
    pub warm_up: usize,
}

/// The learners of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Learner {
    /// The decision transformer
    Transformer,
    /// The same network without returns
    TransformerBc,
    /// Behaviour cloning by a perceptron
    Bc,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt train";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("training_steps", "20"),
        ("evaluations", "2"),
        ("episodes", "4"),
        ("batch", "16"),
        ("context", "5"),
        ("width", "32"),
        ("layers", "2"),
        ("warm_up", "5"),
    ];
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[]);

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] = &[
        ("python", "gymnasium", &["true"]),
        ("workers", "gymnasium", &["true"]),
        ("heads", "model", &["transformer", "transformer-bc"]),
        ("warm_up", "model", &["transformer", "transformer-bc"]),
    ];

    fn inputs(&self) -> Vec<PathBuf> {
        vec![self.data.clone()]
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--episodes", self.episodes, 1..=100_000),
            ("--training-steps", self.training_steps, 1..=limits::STEPS),
            ("--evaluations", self.evaluations, 1..=10_000),
            ("--batch", self.batch, 1..=65_536),
            ("--context", self.context, 1..=1_000),
            ("--layers", self.layers, 1..=limits::LAYERS),
            ("--width", self.width.unwrap_or(1), 1..=8_192),
            ("--heads", self.heads, 1..=self.width.unwrap_or(128)),
            ("--replay", self.replay.unwrap_or(0), 0..=1_000_000),
            ("--replay-first", self.replay_first, 0..=100_000_000),
            ("--replay-steps", self.replay_steps.max(usize::from(self.replay.is_none())), 1..=100_000_000),
            ("--workers", self.workers.unwrap_or(1), 1..=1_024),
            ("--warm-up", self.warm_up, 0..=limits::STEPS),
        ])?;
        limits::numbers([
            ("--dropout", self.dropout.into(), Span::below(0.0, 1.0)),
            ("--rate", self.rate.into(), limits::RATE),
            ("--scale", self.scale.unwrap_or(1.0).into(), Span::above(0.0, 1e9)),
            ("--best", self.best, Span::above(0.0, 1.0)),
        ])?;
        let targets = self.targets.iter().flatten();
        limits::numbers(targets.map(|&target| ("--targets", target.into(), Span::within(-1e9, 1e9))))?;
        Setup::new(self).map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let setup = Setup::new(self)?;
        let (seeds, steps) = (run.seeds(), self.training_steps as u64);
        let mut trainings = Vec::new();
        run.progress("dt train", seeds.len() as u64 * steps);
        for &seed in &seeds {
            // The files of one seed are named without it.
            let prefix = if seeds.len() > 1 { format!("seed-{seed}-") } else { String::new() };
            let work = |run: &mut Run| train(run, self, &setup, seed, &prefix);
            trainings.push(run.stage(&format!("seed {seed}"), steps, work)?);
        }
        report::report(self, &setup, &trainings)
    }
}

/// The episodes of one target at one time of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Evaluation {
    target: f32,
    played: Played,
}

/// The state of the training at an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Milestone {
    step: usize,
    /// The mean over the steps since the last one.
    loss: f64,
    /// One for each target; none without an environment.
    evaluations: Vec<Evaluation>,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Training {
    seed: u32,
    milestones: Vec<Milestone>,
    /// (training steps)
    losses: Vec<f32>,
    /// The platform of the environments.
    versions: Option<String>,
}

/// Training steps between two looks at the loss, at most; the training keeps so many losses.
const MOST_BURST: usize = 512;

/// Trains from one seed, plays at each evaluation, and writes the weights.
fn train(run: &mut Run, settings: &Settings, setup: &Setup, seed: u32, prefix: &str) -> Result<Training, Failure> {
    let mut training = setup.training(&run.gpu(), settings, seed)?;
    let mut world = World::open(&run.gpu(), settings, setup, &training, seed)?;
    let mut milestones: Vec<Milestone> = Vec::new();
    let mut losses: Vec<f32> = Vec::new();
    if let Some(checkpoint) = run.restored() {
        training.restore(&checkpoint, "training.")?;
        losses = checkpoint.f32("losses", &[training.steps()])?.to_vec();
        milestones = entry(&checkpoint, "milestones")?;
        run.skip(training.steps() as u64);
    }
    let evaluations = settings.evaluations.min(settings.training_steps);
    let mut burst = 1;
    while milestones.len() < evaluations {
        let until = settings.training_steps * (milestones.len() + 1) / evaluations;
        let begun = Instant::now();
        while losses.len() < until {
            let steps = burst.min(until - losses.len());
            let start = Instant::now();
            training.submit(steps)?;
            let kept = training.losses()?;
            let new = &kept[kept.len() - steps..];
            let (loss, step) = (average(new), training.steps());
            if !loss.is_finite() {
                return Err(Failure::Run(format!("the loss became {loss} after {step} steps: try a smaller --rate")));
            }
            losses.extend_from_slice(new);
            // A look at the loss a second or so, and no more than the training keeps.
            burst = if start.elapsed() < Duration::from_millis(500) { (2 * burst).min(MOST_BURST) } else { burst };
            run.say(format!("loss {loss:.4}"));
            run.advance(steps as u64);
            run.save_if_due(|checkpoint| save(checkpoint, &mut training, &losses, &milestones))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let evaluations = match &mut world {
            Some(world) => world.evaluate(run, settings, setup, seed)?,
            None => Vec::new(),
        };
        let last = milestones.last().map_or(0, |milestone| milestone.step);
        let milestone = Milestone { step: until, loss: average(&losses[last..]), evaluations };
        run.note(&report::line(&milestone, setup));
        run.log(&json!({ "seed": seed, "step": until, "loss": milestone.loss, "training_seconds": seconds }))?;
        milestones.push(milestone);
        run.save(|checkpoint| save(checkpoint, &mut training, &losses, &milestones))?;
    }
    setup.write(run, settings, &mut training, prefix)?;
    let versions = world.map(|world| world.versions());
    Ok(Training { seed, milestones, losses, versions })
}

/// Saves the state within a training.
fn save(
    checkpoint: &mut Checkpoint,
    training: &mut OfflineTraining,
    losses: &[f32],
    milestones: &[Milestone],
) -> Result<(), Failure> {
    training.save(checkpoint, "training.")?;
    checkpoint.insert("losses", &[losses.len()], Data::F32(losses.to_vec()));
    set_entry(checkpoint, "milestones", milestones)?;
    Ok(())
}
