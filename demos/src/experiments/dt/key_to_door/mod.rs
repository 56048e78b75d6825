//! Key-to-Door: what the decision transformer and behaviour cloning learn from random play where one move in the first
//! room decides on a reward that comes, if at all, in the last (sections 5.4 and 5.5 of Decision Transformer).

mod credit;
mod random_play;
mod report;
mod training;

use clap::{Args, ValueEnum};
use fourfold::data::Actions;
use fourfold::models::decision_transformer::{self, DecisionTransformer, DropoutRates, ReturnCritic};
use fourfold::models::{AgentSettings, SequenceModel};
use fourfold::rollout::Environment;
use fourfold::rollout::environments::KeyToDoor;
use serde::{Deserialize, Serialize};

use super::trained::TrainedAgent;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::quantile;

use credit::predictions;
use random_play::{Outcome, RandomPlay};

/// Learn from random play to take a key that opens a door much later, and see what earned the reward
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Play the paper's task (rooms with walls, 15 + 90 + 15 steps) instead of three small squares
    #[arg(long)]
    pub full: bool,
    /// Cells along a side of the squares
    #[arg(long, value_name = "CELLS", default_value_t = 4)]
    pub side: usize,
    /// Steps in each square
    #[arg(long, value_name = "STEPS", default_value_t = 5)]
    pub room_steps: usize,
    /// Numbers of random episodes to learn from, with commas between them
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [1_000, 10_000])]
    pub episodes: Vec<usize>,
    /// Methods, with commas between them
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::ALL)]
    pub methods: Vec<Method>,
    /// Steps of each training
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub steps: usize,
    /// Episodes of a training step
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// Learning rate after a warm-up of a hundred steps
    #[arg(long, default_value_t = 1e-3)]
    pub rate: f32,
    /// Share of successes in the transformer's batches
    #[arg(long, default_value_t = 0.5)]
    pub share: f64,
    /// Share of successes in the critic's batches; the default is the paper's prediction at the first step (figure 5)
    #[arg(long, default_value_t = 0.28)]
    pub critic_share: f64,
    /// Width of a token
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
    /// Evaluations during training; 1 evaluates only at the end
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub points: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt key-to-door";
    const SEEDS: Option<&'static str> = Some("2");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("seeds", "1"), ("episodes", "600"), ("steps", "40"), ("batch", "16"), ("points", "2")];
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[("full", "true")]);

    const QUICK_IF: &'static [(&'static str, &'static str, &'static str, &'static str)] =
        &[("steps", "full", "true", "4"), ("batch", "full", "true", "4"), ("evaluation", "full", "true", "10")];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("side", "full", &["false"]), ("room_steps", "full", &["false"]), ("critic_share", "no_critic", &["false"])];

    fn check(&self) -> Result<(), Failure> {
        let counts = [
            ("--side", self.side, 2..=100),
            ("--room-steps", self.room_steps, 1..=1_000),
            ("--steps", self.steps, 1..=10_000_000),
            ("--batch", self.batch, 1..=10_000),
            ("--width", self.width, 1..=4_096),
            ("--layers", self.layers, 1..=limits::LAYERS),
            ("--heads", self.heads, 1..=self.width),
            ("--evaluation", self.evaluation, 1..=100_000),
            ("--points", self.points, 1..=self.steps),
        ];
        let episodes = self.episodes.iter().map(|&episodes| ("--episodes", episodes, 1..=1_000_000));
        limits::counts(counts.into_iter().chain(episodes))?;
        distinct("--episodes", &self.episodes)?;
        distinct("--methods", &self.methods)?;
        limits::numbers([
            ("--rate", self.rate.into(), Span::above(0.0, 1e6)),
            ("--share", self.share, Span::between(0.0, 1.0)),
            ("--critic-share", self.critic_share, Span::between(0.0, 1.0)),
        ])?;
        let network = DecisionTransformer::new(self.network()).map_err(Failure::input)?;
        limits::parameters("--width and --layers", network.parameters().length())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let of_a_seed = self.episodes.len() * self.methods.len() + usize::from(!self.no_critic);
        let (seeds, steps) = (run.seeds(), self.steps as u64);
        run.progress("key-to-door", (seeds.len() * of_a_seed) as u64 * steps);
        let (mut trials, mut credits, mut random) = (Vec::new(), Vec::new(), Vec::new());
        for seed in seeds {
            let most = self.episodes.iter().copied().max().unwrap_or(1);
            run.say(format!("seed {seed}, {most} random episodes"));
            let all = RandomPlay::collect(&run.gpu(), self.world(), most, seed)?;
            random.push(all.with(Outcome::Door).len() as f64 / most as f64);
            for &episodes in &self.episodes {
                let play = all.first(episodes)?;
                for &method in &self.methods {
                    let stage = format!("{} of {episodes} episodes, seed {seed}", method.name());
                    trials.push(run.stage(&stage, steps, |run| training::trial(run, self, method, &play, seed))?);
                }
            }
            if !self.no_critic {
                run.say(format!("seed {seed}, the critic"));
                let stage = format!("critic, seed {seed}");
                credits.push(run.stage(&stage, steps, |run| assign_credit(run, self, &all, seed))?);
            }
        }
        let random = random.iter().sum::<f64>() / random.len() as f64;
        report::report(self, &report::Results { trials, credits, random })
    }
}

/// Checks that a list is not empty and names nothing twice.
fn distinct<T: PartialEq>(flag: &str, values: &[T]) -> Result<(), Failure> {
    let repeated = (1..values.len()).any(|index| values[..index].contains(&values[index]));
    match values.is_empty() || repeated {
        true => Err(Failure::Input(format!("{flag}: expected one value or more, each once"))),
        false => Ok(()),
    }
}

impl Settings {
    /// Steps of one submission: about the work of twenty steps of the small task.
    fn burst(&self) -> usize {
        if self.full { 2 } else { 20 }
    }

    pub fn world(&self) -> KeyToDoor {
        if self.full { KeyToDoor::full() } else { KeyToDoor::square(self.side, self.room_steps) }
    }

    /// The name of the world in a file of weights.
    fn environment(&self) -> String {
        match self.full {
            true => "key-to-door".to_owned(),
            false => format!("key-to-door:{}:{}", self.side, self.room_steps),
        }
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

/// A method of learning from the episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
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

/// Predictions of the critic of one seed for episodes that it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// In the order of `Outcome::ALL`.
    pub groups: [Group; 3],
}

/// The predictions for the episodes that came equally far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub outcome: String,
    /// Episodes.
    pub count: usize,
    /// (steps): the mean predicted chance of the reward; none without episodes.
    pub mean: Vec<Option<f64>>,
    /// (steps): the lower and the upper quartile.
    pub quartiles: Vec<[Option<f64>; 2]>,
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

/// Trains a critic, and asks it about random episodes that it has not seen.
fn assign_credit(run: &mut Run, settings: &Settings, play: &RandomPlay, seed: u32) -> Result<Credit, Failure> {
    let gpu = run.gpu();
    let critic = ReturnCritic::new(settings.network()).map_err(Failure::input)?;
    let mut training = training::begin_critic(&gpu, settings, &critic, play, seed)?;
    if let Some(checkpoint) = run.restored() {
        training::restore(run, &mut training, &checkpoint)?;
    }
    training::train(run, settings, &mut training, settings.steps, &[])?;
    let (data, described) = (training.weights()?, AgentSettings::trained(training.settings(), 1, 1.0));
    if let Some(agent) = TrainedAgent::new(&settings.environment(), &settings.network(), &data, &described) {
        let episodes = play.outcomes.len();
        run.write_checkpoint(&format!("critic-{episodes}-{seed}.safetensors"), &agent.to_critic_checkpoint()?)?;
    }
    let weights = training.weights_view()?;
    let asked = RandomPlay::collect(&gpu, settings.world(), ASKED, seed.wrapping_add(CRITIC))?;
    let standardisation = play.trajectories.standardisation();
    let group = |outcome: Outcome| -> Result<Group, Failure> {
        let mut episodes = asked.with(outcome);
        episodes.truncate(ASKED_OF_A_KIND);
        let rows = predictions(&gpu, &critic, weights.clone(), &standardisation, &asked.trajectories, &episodes)?;
        let at = |step: usize| rows.iter().map(|row| row[step]).collect::<Vec<f64>>();
        let finite = |value: f64| value.is_finite().then_some(value);
        let steps = 0..critic.context();
        Ok(Group {
            outcome: outcome.name().into(),
            count: rows.len(),
            mean: steps.clone().map(|step| finite(at(step).iter().sum::<f64>() / rows.len() as f64)).collect(),
            quartiles: steps.map(|step| [0.25, 0.75].map(|share| finite(quantile(&at(step), share)))).collect(),
        })
    };
    let [door, key, none] = Outcome::ALL.map(group);
    Ok(Credit { groups: [door?, key?, none?] })
}
