//! `fourfold dt train`: trajectories that the user has, and MuJoCo through Python's Gymnasium.

mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use fourfold::Gpu;
use fourfold::data::{Actions, Format, Standardisation, Trajectories, printable};
use fourfold::models::behaviour_cloning::{self, BehaviourCloning};
use fourfold::models::decision_transformer::{self, DecisionTransformer};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo};
use fourfold::models::{Agent, AgentSettings, SequenceModel};
use fourfold::optim::Schedule;
use serde::Serialize;

use crate::dt::gymnasium::{Environments, Played, play};
use crate::dt::score::Reference;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// Train on a file of trajectories (D4RL, Minari, imitation, our own), and play in Gymnasium
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The file, a folder with one such file, or a data set of Minari
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Play in the environment through Python's Gymnasium after each evaluation's share of the training
    #[arg(long)]
    pub gymnasium: bool,
    /// The environment, e.g. Hopper-v5 [default: the one that the data name]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// The Python interpreter that has gymnasium[mujoco]
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// Worker processes that share the environments [default: one a processor]
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<usize>,
    /// Episodes that are played for each target return
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub episodes: usize,
    /// Target returns, with commas between them [default: the paper's, else the best return of the data]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_hyphen_values = true)]
    pub targets: Option<Vec<f32>>,
    /// Divide returns by this number [default: the paper's, else the largest return of the data]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale: Option<f32>,
    /// The learner
    #[arg(long, value_enum, default_value_t = Learner::Transformer)]
    pub model: Learner,
    /// Train on the best episodes alone, which are this share of all steps (percentile behaviour cloning)
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
    /// The length of a token, or the width of the perceptron [default: 128, or 256]
    #[arg(long, value_name = "COUNT")]
    pub width: Option<usize>,
    /// Transformer blocks, or layers of the perceptron
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub layers: usize,
    /// Attention heads
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub heads: usize,
    /// The share that dropout drops
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, allow_negative_numbers = true)]
    pub dropout: f32,
    /// The learning rate behind the warm-up
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-4, allow_negative_numbers = true)]
    pub rate: f32,
    /// Steps over which the rate rises
    #[arg(long, value_name = "STEPS", default_value_t = 10_000)]
    pub warm_up: usize,
}

/// The learners of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Learner {
    /// The decision transformer
    Transformer,
    /// The same network without returns
    TransformerBc,
    /// Behaviour cloning by a perceptron
    Bc,
}

/// Everything that decides a run, besides the seed and the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Settings {
    environment: Option<String>,
    learner: Learner,
    best: f64,
    delayed: bool,
    scale: f32,
    targets: Vec<f32>,
    episodes: usize,
    training_steps: usize,
    evaluations: usize,
    batch: usize,
    context: usize,
    width: usize,
    layers: usize,
    heads: usize,
    dropout: f32,
    rate: f32,
    warm_up: usize,
    /// Actions go through a hyperbolic tangent: those of the data are within -1 and 1.
    bounded: bool,
}

/// The name of the data, and their score.
struct Source {
    name: String,
    format: Format,
    reference: Option<Reference>,
}

/// The episodes of one target at one time of the training.
#[derive(Debug, Clone, PartialEq)]
struct Evaluation {
    target: f32,
    played: Played,
}

/// The state of the training at an evaluation.
#[derive(Debug, Clone, PartialEq)]
struct Milestone {
    step: usize,
    /// The mean over the steps since the last one.
    loss: f64,
    /// One a target; none without Gymnasium.
    evaluations: Vec<Evaluation>,
}

/// Reads, trains, plays and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let (all, format) = Trajectories::load_with_format(&arguments.data)?;
    let environment = arguments.env.clone().or_else(|| environment_of(&all));
    let reference = Reference::for_data(&all, environment.as_deref());
    let settings = arguments.settings(common, &all, environment, reference.as_ref())?;
    // Percentile behaviour cloning standardises as all data want it (the paper's code).
    let standardisation = all.standardisation();
    let data = if settings.best < 1.0 { all.best(settings.best) } else { all.clone() };
    let data = if settings.delayed { data.delayed() } else { data };
    let model = settings.model(&all)?;
    let gpu = common.open(false)?;
    let mut training = settings.training(&gpu, &*model, &data, &standardisation, common)?;
    let mut world = match arguments.gymnasium {
        true => Some(World::open(&gpu, arguments, &settings, &all, &*model, &training)?),
        false => None,
    };
    let folder = RunFolder::create(common, "dt", &gpu, serde_json::to_value(&settings).map_err(Failure::run)?)?;

    let source = Source { name: all.name().to_owned(), format, reference };
    let mut progress = Progress::new("dt train", settings.training_steps as u64, common.quiet);
    let mut milestones = Vec::new();
    let mut losses = Vec::new();
    let mut burst = 1;
    let mut trained = Duration::ZERO;
    for evaluation in 1..=settings.evaluations {
        let until = settings.training_steps * evaluation / settings.evaluations;
        let begun = losses.len();
        while losses.len() < until {
            let steps = burst.min(until - losses.len());
            let start = Instant::now();
            training.run(steps).map_err(Failure::run)?;
            let kept = training.losses().map_err(Failure::run)?;
            losses.extend_from_slice(&kept[kept.len() - steps..]);
            let took = start.elapsed();
            trained += took;
            // A look at the loss a second or so, and no more than the training keeps.
            burst = if took < Duration::from_millis(500) { (2 * burst).min(MOST_BURST) } else { burst };
            progress.say(format!("loss {:.4}", mean(&kept[kept.len() - steps..])));
            progress.advance(steps as u64);
        }
        let evaluations = match &mut world {
            Some(world) => world.evaluate(&settings, common.seed, &mut progress)?,
            None => Vec::new(),
        };
        let milestone = Milestone { step: until, loss: mean(&losses[begun..]), evaluations };
        progress.note(&report::line(&milestone, &source));
        milestones.push(milestone);
    }
    progress.finish();
    let versions = world.as_ref().map(|world| world.environments.greeting().versions.clone());
    let finished = report::Finished {
        source: &source,
        data: &all,
        trained_on: &data,
        milestones: &milestones,
        losses: &losses,
        seconds: trained.as_secs_f64(),
        versions,
    };
    report::save(&folder, &settings, &mut training, &standardisation, &finished)?;
    crate::show!("{}", report::write(&folder, &settings, &finished, &gpu)?);
    Ok(())
}

/// Training steps between two looks at the loss, at most; the training keeps so many losses.
const MOST_BURST: usize = 512;

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

/// The environment that Minari's metadata name.
fn environment_of(data: &Trajectories) -> Option<String> {
    let specification: serde_json::Value = serde_json::from_str(data.notes().get("env_spec")?).ok()?;
    Some(printable(specification.get("id")?.as_str()?))
}

impl Arguments {
    fn settings(
        &self,
        common: &Common,
        data: &Trajectories,
        environment: Option<String>,
        reference: Option<&Reference>,
    ) -> Result<Settings, Failure> {
        let counts = [
            ("--episodes", self.episodes),
            ("--training-steps", self.training_steps),
            ("--evaluations", self.evaluations),
            ("--batch", self.batch),
            ("--context", self.context),
            ("--layers", self.layers),
            ("--heads", self.heads),
            ("--width", self.width.unwrap_or(1)),
            ("--workers", self.workers.unwrap_or(1)),
        ];
        if let Some((flag, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Failure::Input(format!("{flag} takes a number from 1 on, got 0")));
        }
        if !(self.best > 0.0 && self.best <= 1.0) {
            return Err(Failure::Input(format!("--best takes a share above 0 and up to 1, got {}", self.best)));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Failure::Input(format!("--dropout takes a share from 0 to below 1, got {}", self.dropout)));
        }
        if self.gymnasium && environment.is_none() {
            let data = self.data.display();
            return Err(Failure::Input(format!("--gymnasium needs --env: {data} does not say where it is from")));
        }
        let returns = data.returns();
        let protocol = reference.and_then(|reference| reference.protocol.clone());
        let largest = returns.iter().fold(0.0_f64, |largest, total| largest.max(total.abs()));
        let best = returns.iter().fold(f64::MIN, |best, &total| best.max(total));
        let (scale, targets) =
            protocol.unwrap_or_else(|| (if largest > 0.0 { largest as f32 } else { 1.0 }, vec![best as f32]));
        let scale = self.scale.unwrap_or(scale);
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Failure::Input(format!("--scale takes a number above 0, got {scale}")));
        }
        let less = |count: usize, most: usize| if common.quick { count.min(most) } else { count };
        let width = self.width.unwrap_or(if self.model == Learner::Bc { 256 } else { 128 });
        let training_steps = less(self.training_steps, 20);
        Ok(Settings {
            environment,
            learner: self.model,
            best: self.best,
            delayed: self.delayed,
            scale,
            targets: self.targets.clone().unwrap_or(targets),
            episodes: less(self.episodes, 4),
            training_steps,
            evaluations: less(self.evaluations, 2).min(training_steps),
            batch: less(self.batch, 16),
            context: less(self.context, 5),
            width: less(width, 32),
            layers: less(self.layers, 2),
            heads: self.heads,
            dropout: self.dropout,
            rate: self.rate,
            warm_up: less(self.warm_up, 5),
            bounded: data.columns().actions.iter().all(|action| action.abs() <= 1.0),
        })
    }
}

impl Settings {
    fn network(&self, data: &Trajectories) -> decision_transformer::Settings {
        let settings = decision_transformer::Settings {
            // The paper's environments end after 1,000 steps.
            times: Some(data.longest().max(1000)),
            dropout: decision_transformer::DropoutRates::all(self.dropout),
            bounded: self.bounded,
            ..decision_transformer::Settings::gym(data.observations(), data.actions(), self.context)
        };
        let settings = settings.sized(self.width, self.layers, self.heads);
        if self.learner == Learner::TransformerBc { settings.without_returns() } else { settings }
    }

    fn model(&self, data: &Trajectories) -> Result<Box<dyn SequenceModel>, Failure> {
        if self.learner != Learner::Bc {
            return Ok(Box::new(DecisionTransformer::new(self.network(data)).map_err(Failure::input)?));
        }
        let settings = behaviour_cloning::Settings {
            width: self.width,
            layers: self.layers,
            dropout: self.dropout,
            bounded: self.bounded,
            ..behaviour_cloning::Settings::new(data.observations(), data.actions(), self.context)
        };
        Ok(Box::new(BehaviourCloning::new(settings).map_err(Failure::input)?))
    }

    fn training(
        &self,
        gpu: &Gpu,
        model: &dyn SequenceModel,
        data: &Trajectories,
        standardisation: &Standardisation,
        common: &Common,
    ) -> Result<OfflineTraining, Failure> {
        let paper = match self.learner {
            Learner::Bc => OfflineSettings::behaviour_cloning(data),
            _ => OfflineSettings {
                schedule: Schedule::WarmUp { steps: self.warm_up.max(1) },
                ..OfflineSettings::gym(data)
            },
        };
        let settings = OfflineSettings {
            batch: self.batch,
            rate: self.rate,
            returns: if self.delayed { ReturnsToGo::Delayed } else { ReturnsToGo::Sums },
            return_scale: self.scale,
            standardisation: Some(standardisation.clone()),
            seed: common.seed as u32,
            losses: MOST_BURST,
            ..paper
        };
        OfflineTraining::new(gpu, model, data, settings).map_err(Failure::input)
    }
}

/// Where the agent plays: all targets' episodes side by side, on the weights of the training.
struct World {
    environments: Environments,
    agent: Agent,
    /// Steps of the longest episode.
    most: usize,
}

/// Where an environment has no time limit of its own, episodes end after the paper's.
const TIME_LIMIT: usize = 1000;

impl World {
    fn open(
        gpu: &Gpu,
        arguments: &Arguments,
        settings: &Settings,
        data: &Trajectories,
        model: &dyn SequenceModel,
        training: &OfflineTraining,
    ) -> Result<Self, Failure> {
        let name = settings.environment.as_deref().unwrap_or_default();
        let targets = settings.targets.iter().flat_map(|&target| vec![target; settings.episodes]).collect::<Vec<_>>();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = arguments.workers.unwrap_or(processors);
        let environments = Environments::open(&arguments.python, name, targets.len(), workers)?;
        let greeting = environments.greeting();
        // Choices that the data never made are not known from them.
        let same = match (greeting.actions, data.actions()) {
            (Actions::Discrete(world), Actions::Discrete(data)) => data <= world,
            (world, data) => world == data,
        };
        if !same || greeting.observations != data.observations() {
            let show = |observations: usize, actions: Actions| match actions {
                Actions::Continuous(width) => format!("{observations} observations and {width} numbers as action"),
                Actions::Discrete(choices) => format!("{observations} observations and {choices} choices"),
            };
            let (has, data_has) =
                (show(greeting.observations, greeting.actions), show(data.observations(), data.actions()));
            return Err(Failure::Input(format!("{name} has {has}, and {} {data_has}", data.name())));
        }
        let most = greeting.time_limit.unwrap_or(TIME_LIMIT);
        let agent = AgentSettings { targets, ..AgentSettings::trained(training.settings(), 1, 0.0) };
        let weights = training.weights_view().map_err(Failure::run)?;
        let agent = Agent::new(gpu, model, weights, &agent).map_err(Failure::input)?;
        Ok(Self { environments, agent, most })
    }

    /// Plays the episodes of all targets; each target's have the same seeds.
    fn evaluate(
        &mut self,
        settings: &Settings,
        seed: u64,
        progress: &mut Progress,
    ) -> Result<Vec<Evaluation>, Failure> {
        let seeds: Vec<u32> = (0..self.environments.lanes())
            .map(|lane| (seed as u32).wrapping_add((lane % settings.episodes) as u32))
            .collect();
        let watch = |step: usize, left: usize| {
            if step.is_multiple_of(10) {
                progress.say(format!("playing: step {step}, {left} episodes go on"));
            }
        };
        let played = play(&mut self.agent, &mut self.environments, &seeds, self.most, watch)?;
        let of = |(index, &target): (usize, &f32)| {
            let lanes = index * settings.episodes..(index + 1) * settings.episodes;
            let played = Played {
                returns: played.returns[lanes.clone()].to_vec(),
                lengths: played.lengths[lanes.clone()].to_vec(),
                terminated: played.terminated[lanes].to_vec(),
            };
            Evaluation { target, played }
        };
        Ok(settings.targets.iter().enumerate().map(of).collect())
    }
}
