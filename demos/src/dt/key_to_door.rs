//! Key-to-Door: what the decision transformer and behaviour cloning learn from random play where one move in the first
//! room decides on a reward that comes, if at all, in the last (sections 5.4 and 5.5 of Decision Transformer).

mod credit;
mod random_play;
mod report;
mod training;

use std::time::Instant;

use clap::{Args, FromArgMatches, ValueEnum};
use fourfold::Gpu;
use fourfold::data::Actions;
use fourfold::models::SequenceModel;
use fourfold::models::decision_transformer::{self, DecisionTransformer, DropoutRates};
use fourfold::rollout::Environment;
use fourfold::rollout::environments::KeyToDoor;
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;
use crate::statistics::quantile;

pub use credit::{Critic, predictions};
pub use random_play::{Outcome, RandomPlay};
pub use training::{Played, Trial, trial};

/// The settings of the experiment.
#[derive(Debug, Clone, PartialEq, Args, Serialize)]
pub struct Settings {
    /// The task of the paper, in rooms with walls and for 15 + 90 + 15 steps, and not three small squares
    #[arg(long)]
    pub full: bool,
    /// Cells along a side of the squares
    #[arg(long, value_name = "CELLS", default_value_t = 4)]
    pub side: usize,
    /// Steps in each square
    #[arg(long, value_name = "STEPS", default_value_t = 5)]
    pub room_steps: usize,
    /// How many random episodes there are to learn from, with commas between them
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [1_000, 10_000])]
    pub episodes: Vec<usize>,
    /// What learns from them, with commas between
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::ALL)]
    pub methods: Vec<Method>,
    /// Seeds, from --seed on: each has episodes and networks of its own
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub seeds: u32,
    /// Steps of each training
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub steps: usize,
    /// Episodes of a training step
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// The learning rate, which the first hundred steps warm up to
    #[arg(long, default_value_t = 1e-3)]
    pub rate: f32,
    /// The share of successes in the transformer's batches
    #[arg(long, default_value_t = 0.5)]
    pub share: f64,
    /// The same in the critic's [default: what the paper's critic says at the first step, by its figure 5]
    #[arg(long, default_value_t = 0.28)]
    pub critic_share: f64,
    /// The length of a token
    #[arg(long, value_name = "NUMBERS", default_value_t = 16)]
    pub width: usize,
    /// Blocks of the transformer
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub layers: usize,
    /// Heads of attention
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub heads: usize,
    /// Train no critic
    #[arg(long)]
    pub no_critic: bool,
    /// Episodes of an evaluation
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub evaluation: usize,
    /// Points of a learning curve, the start not counted; 1 evaluates at the end alone
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub points: usize,
}

impl Settings {
    /// The settings of a command line without flags.
    pub fn standard() -> Self {
        let matches = Self::augment_args(clap::Command::new("key-to-door")).get_matches_from(["key-to-door"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }

    /// The same with less of all, to see it work.
    fn quick(self) -> Self {
        Self { episodes: vec![600], seeds: 1, steps: self.steps.min(40), batch: self.batch.min(16), points: 2, ..self }
    }

    fn check(&self) -> Result<(), Failure> {
        let counts = [
            ("--side", self.side, 2..=100),
            ("--room-steps", self.room_steps, 1..=1_000),
            ("--seeds", self.seeds as usize, 1..=100),
            ("--steps", self.steps, 1..=10_000_000),
            ("--batch", self.batch, 1..=10_000),
            ("--width", self.width, 1..=4_096),
            ("--layers", self.layers, 1..=100),
            ("--heads", self.heads, 1..=self.width),
            ("--evaluation", self.evaluation, 1..=100_000),
            ("--points", self.points, 1..=self.steps),
        ];
        let episodes = self.episodes.iter().map(|&episodes| ("--episodes", episodes, 1..=1_000_000));
        Failure::check_counts(counts.into_iter().chain(episodes))?;
        if self.episodes.is_empty() {
            return Err(Failure::Input("--episodes: expected at least one number, got none".into()));
        }
        if !(self.rate.is_finite() && self.rate > 0.0) {
            return Err(Failure::Input(format!("--rate: expected a number above 0, got {}", self.rate)));
        }
        for (name, share) in [("--share", self.share), ("--critic-share", self.critic_share)] {
            if !(share > 0.0 && share < 1.0) {
                return Err(Failure::Input(format!("{name}: expected a number between 0 and 1, got {share}")));
            }
        }
        self.network().check().map_err(Failure::input)
    }

    /// Steps of one submission: about the work of twenty steps of the small task.
    fn burst(&self) -> usize {
        if self.full { 2 } else { 20 }
    }

    pub fn world(&self) -> KeyToDoor {
        if self.full { KeyToDoor::full() } else { KeyToDoor::square(self.side, self.room_steps) }
    }

    /// The network that acts: whole episodes are its context.
    fn network(&self) -> decision_transformer::Settings {
        let world = self.world();
        let steps = world.horizon();
        let gym = decision_transformer::Settings::gym(world.observations(), Actions::Discrete(4), steps);
        decision_transformer::Settings {
            times: Some(steps),
            dropout: DropoutRates::NONE,
            ..gym.sized(self.width, self.layers, self.heads)
        }
    }
}

/// What learns from the episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Method {
    /// The decision transformer, asked for a return of 1.
    Transformer,
    /// The same network without returns, of successes alone.
    SuccessCloning,
    /// The same network without returns, of all episodes.
    Cloning,
}

impl Method {
    pub const ALL: [Self; 3] = [Method::Transformer, Method::SuccessCloning, Method::Cloning];

    pub fn name(self) -> &'static str {
        match self {
            Method::Transformer => "transformer",
            Method::SuccessCloning => "%BC",
            Method::Cloning => "BC",
        }
    }

    fn model(self, settings: &Settings) -> Result<DecisionTransformer, Failure> {
        let network = settings.network();
        let network = if self == Method::Transformer { network } else { network.without_returns() };
        DecisionTransformer::new(network).map_err(Failure::input)
    }
}

/// What the critic of one seed says of episodes that it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Credit {
    /// In the order of [`Outcome::ALL`].
    pub groups: [Group; 3],
}

/// The predictions for the episodes that came equally far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub outcome: &'static str,
    /// Episodes.
    pub count: usize,
    /// (steps): the mean predicted chance of the reward.
    pub mean: Vec<f64>,
    /// (steps): the lower and the upper quartile.
    pub quartiles: Vec<(f64, f64)>,
}

impl Credit {
    pub fn of(&self, outcome: Outcome) -> &Group {
        let place = Outcome::ALL.iter().position(|&one| one == outcome);
        &self.groups[place.unwrap_or_else(|| unreachable!("all outcomes are listed"))]
    }
}

/// Random episodes that the critic is asked about.
const ASKED: usize = 4_000;

/// Of each kind at most.
const ASKED_OF_A_KIND: usize = 200;

/// Added to a seed for the episodes that nothing is learnt from: those of evaluations, and those the critic is asked about.
const EVALUATION: u32 = 1 << 20;
const CRITIC: u32 = 1 << 21;

/// Runs the experiment and writes its report.
///
/// # Errors
/// Settings that make no sense, a folder that cannot be written, random episodes without a success, or the loss of the
/// device.
pub fn run(common: &Common, settings: &Settings) -> Result<(), Failure> {
    let settings = if common.quick { settings.clone().quick() } else { settings.clone() };
    settings.check()?;
    let gpu = common.open(false)?;
    let folder =
        RunFolder::create(common, "dt-key-to-door", &gpu, serde_json::to_value(&settings).map_err(Failure::run)?)?;
    let begun = Instant::now();
    let of_a_seed = settings.episodes.len() * settings.methods.len() + usize::from(!settings.no_critic);
    let trainings = settings.seeds as usize * of_a_seed;
    let mut progress = Progress::new("key-to-door", (trainings * settings.steps) as u64, common.quiet);
    let (mut trials, mut credits, mut random) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..settings.seeds {
        let seed = (common.seed as u32).wrapping_add(number);
        let most = settings.episodes.iter().copied().max().unwrap_or(1);
        progress.say(format!("seed {seed}, {most} random episodes"));
        let all = RandomPlay::collect(&gpu, settings.world(), most, seed)?;
        random.push(all.with(Outcome::Door).len() as f64 / most as f64);
        for &episodes in &settings.episodes {
            let play = all.first(episodes)?;
            for &method in &settings.methods {
                trials.push(trial(&gpu, &settings, method, &play, seed, &mut progress)?);
            }
        }
        if !settings.no_critic {
            progress.say(format!("seed {seed}, the critic"));
            credits.push(assign_credit(&gpu, &settings, &all, seed, &mut progress)?);
        }
    }
    progress.finish();
    let random = random.iter().sum::<f64>() / random.len() as f64;
    let results = report::Results { trials, credits, random, took: begun.elapsed() };
    let summary = report::write(&folder, &settings, &results, &gpu)?;
    println!("{summary}\n\nThe run is in {}", folder.path().display());
    Ok(())
}

/// Trains a critic, and asks it about random episodes that it has not seen.
fn assign_credit(
    gpu: &Gpu,
    settings: &Settings,
    play: &RandomPlay,
    seed: u32,
    progress: &mut Progress,
) -> Result<Credit, Failure> {
    let critic = Critic::new(settings.network()).map_err(Failure::input)?;
    let mut training = training::begin_critic(gpu, settings, &critic, play, seed)?;
    for point in 1..=settings.points {
        let steps = settings.steps * point / settings.points - training.steps();
        training.run(steps).map_err(Failure::run)?;
        training.losses().map_err(Failure::run)?;
        progress.advance(steps as u64);
    }
    let weights = training.weights_view().map_err(Failure::run)?;
    let asked = RandomPlay::collect(gpu, settings.world(), ASKED, seed.wrapping_add(CRITIC))?;
    let standardisation = play.trajectories.standardisation();
    let group = |outcome: Outcome| -> Result<Group, Failure> {
        let mut episodes = asked.with(outcome);
        episodes.truncate(ASKED_OF_A_KIND);
        let rows = predictions(gpu, &critic, weights.clone(), &standardisation, &asked.trajectories, &episodes)?;
        let at = |step: usize| rows.iter().map(|row| row[step]).collect::<Vec<f64>>();
        let steps = 0..critic.context();
        Ok(Group {
            outcome: outcome.name(),
            count: rows.len(),
            mean: steps.clone().map(|step| at(step).iter().sum::<f64>() / rows.len() as f64).collect(),
            quartiles: steps.map(|step| (quantile(&at(step), 0.25), quantile(&at(step), 0.75))).collect(),
        })
    };
    let [door, key, none] = Outcome::ALL.map(group);
    Ok(Credit { groups: [door?, key?, none?] })
}
