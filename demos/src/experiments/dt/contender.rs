//! Learners of a data set: the transformer and its baselines, trained and played in the same way.

use std::time::Instant;

use clap::Args;
use fourfold::data::{Actions, Checkpoint};
use fourfold::models::behaviour_cloning::{self, BehaviourCloning};
use fourfold::models::decision_transformer::{self, DecisionTransformer};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo};
use fourfold::models::{Agent, AgentSettings, Sampling, SequenceModel};
use fourfold::optim::Schedule;
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::data_set::DataSet;
use super::trained::TrainedAgent;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::statistics::average;

/// Sizes of networks and trainings.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Sizes {
    /// The length of the transformer's tokens; the paper has 128
    #[arg(long, value_name = "NUMBERS", default_value_t = 32)]
    pub width: usize,
    /// Blocks of the transformer; the paper has 3
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub layers: usize,
    /// Steps that networks see, K
    #[arg(long, value_name = "STEPS", default_value_t = 20)]
    pub context: usize,
    /// The width of the perceptron of behaviour cloning; the paper has 256
    #[arg(long, value_name = "NUMBERS", default_value_t = 128)]
    pub cloning_width: usize,
    /// Windows of a training step of a transformer; the paper has 64. One of context 1 has so many more that it sees as
    /// many steps of episodes
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub batch: usize,
    /// Windows of a training step of behaviour cloning
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub cloning_batch: usize,
    /// Training steps of a transformer; the paper has 100,000, at a tenth of the rate
    #[arg(long, value_name = "COUNT", default_value_t = 600)]
    pub steps: usize,
    /// Training steps of behaviour cloning; the paper has 25,000
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub cloning_steps: usize,
    /// The learning rate after its rise over the first tenth of the steps; it falls along half a cosine to a tenth
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-3)]
    pub rate: f32,
    /// The share of elements dropped in training; the paper has 0.1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// Embed the time of each step, as the paper does: its first values drown the observations for thousands of steps
    #[arg(long)]
    pub times: bool,
}

impl Sizes {
    pub fn times_in_words(&self) -> &'static str {
        if self.times { "times embedded" } else { "no embedding of times" }
    }

    /// # Errors
    /// Sizes that make no sense, by the names of their flags.
    pub fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--width", self.width, 1..=1_024),
            ("--layers", self.layers, 1..=limits::LAYERS),
            ("--context", self.context, 1..=1_000),
            ("--cloning-width", self.cloning_width, 1..=4_096),
            ("--batch", self.batch, 1..=65_536),
            ("--cloning-batch", self.cloning_batch, 1..=65_536),
            ("--steps", self.steps, 1..=1_000_000),
            ("--cloning-steps", self.cloning_steps, 1..=1_000_000),
        ])?;
        limits::numbers([
            ("--rate", self.rate.into(), Span::above(0.0, 1e6)),
            ("--dropout", self.dropout.into(), Span::below(0.0, 1.0)),
        ])?;
        // Of a few observations: blocks are what is large.
        let network = decision_transformer::Settings::gym(1, Actions::Continuous(1), self.context);
        let network = network.sized(self.width, self.layers, 1);
        let parameters = DecisionTransformer::new(network).map_err(Failure::input)?.parameters().length();
        limits::parameters("--width and --layers", parameters)
    }
}

/// A way to learn from a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// A decision transformer; with `short`, of context 1; with `delayed`, told the whole return at each step.
    Transformer { short: bool, delayed: bool },
    /// Behaviour cloning by a perceptron, of the best episodes that are this share of all steps.
    Cloning { percent: u32 },
}

impl Contender {
    /// All that experiments compare.
    pub const ALL: [Self; 7] = [
        Self::Transformer { short: false, delayed: false },
        Self::Transformer { short: false, delayed: true },
        Self::Transformer { short: true, delayed: false },
        Self::Cloning { percent: 10 },
        Self::Cloning { percent: 25 },
        Self::Cloning { percent: 40 },
        Self::Cloning { percent: 100 },
    ];

    pub fn name(self) -> String {
        match self {
            Contender::Transformer { short: false, delayed: false } => "transformer".into(),
            Contender::Transformer { short: false, delayed: true } => "transformer, delayed".into(),
            Contender::Transformer { short: true, delayed } => {
                format!("transformer, K = 1{}", if delayed { ", delayed" } else { "" })
            }
            Contender::Cloning { percent: 100 } => "BC".into(),
            Contender::Cloning { percent } => format!("{percent} % BC"),
        }
    }

    /// Training steps.
    pub fn steps(self, sizes: &Sizes) -> usize {
        match self {
            Contender::Transformer { .. } => sizes.steps,
            Contender::Cloning { .. } => sizes.cloning_steps,
        }
    }

    /// Windows of a training step.
    fn batch(self, sizes: &Sizes) -> usize {
        match self {
            Contender::Transformer { short: true, .. } => sizes.batch * sizes.context,
            Contender::Transformer { .. } => sizes.batch,
            Contender::Cloning { .. } => sizes.cloning_batch,
        }
    }

    /// The sizes of the transformer.
    fn network(short: bool, sizes: &Sizes, data: &DataSet) -> decision_transformer::Settings {
        let context = if short { 1 } else { sizes.context };
        let settings = decision_transformer::Settings {
            times: sizes.times.then(|| data.environment.horizon()),
            dropout: decision_transformer::DropoutRates::all(sizes.dropout),
            ..decision_transformer::Settings::gym(data.trajectories.observations(), data.actions(), context)
        };
        settings.sized(sizes.width, sizes.layers, 1)
    }

    /// The network before its training.
    ///
    /// # Errors
    /// Sizes that describe no network.
    pub fn model(self, sizes: &Sizes, data: &DataSet) -> Result<Box<dyn SequenceModel>, Failure> {
        let observations = data.trajectories.observations();
        match self {
            Contender::Transformer { short, .. } => {
                let settings = Self::network(short, sizes, data);
                Ok(Box::new(DecisionTransformer::new(settings).map_err(Failure::input)?))
            }
            Contender::Cloning { .. } => {
                let settings = behaviour_cloning::Settings {
                    width: sizes.cloning_width,
                    dropout: sizes.dropout,
                    ..behaviour_cloning::Settings::new(observations, data.actions(), sizes.context)
                };
                Ok(Box::new(BehaviourCloning::new(settings).map_err(Failure::input)?))
            }
        }
    }

    /// Trains on a data set, in a stage of the run.
    ///
    /// # Errors
    /// Sizes out of range, a loss that is not finite, or the loss of the device.
    pub fn train(self, run: &mut Run, data: &DataSet, sizes: &Sizes, seed: u32) -> Result<Learner, Failure> {
        /// Steps between two looks at the device.
        const BURST: usize = 50;
        let begun = Instant::now();
        let model = self.model(sizes, data)?;
        let (steps, return_scale) = (self.steps(sizes), data.return_scale());
        let standardisation = data.trajectories.standardisation();
        let delayed = matches!(self, Contender::Transformer { delayed: true, .. });
        let best = match self {
            Contender::Cloning { percent } if percent < 100 => Some(data.trajectories.best(f64::from(percent) / 100.0)),
            _ => None,
        };
        let settings = OfflineSettings {
            batch: self.batch(sizes),
            rate: sizes.rate,
            schedule: Schedule::WarmUpCosine { warm_up: steps.div_ceil(10), steps, least: 0.1 },
            returns: if delayed { ReturnsToGo::Delayed } else { ReturnsToGo::Sums },
            return_scale,
            // Of all episodes, before the best are chosen.
            standardisation: Some(standardisation.clone()),
            seed,
            losses: BURST,
            ..match self {
                Contender::Transformer { .. } => OfflineSettings::gym(&data.trajectories),
                Contender::Cloning { .. } => OfflineSettings::behaviour_cloning(&data.trajectories),
            }
        };
        let episodes = best.as_ref().unwrap_or(&data.trajectories);
        let mut training = OfflineTraining::new(&run.gpu(), &*model, episodes, settings)?;
        if let Some(checkpoint) = run.restored() {
            training.restore(&checkpoint, "training.")?;
            run.skip(training.steps() as u64);
        }
        while training.steps() < steps {
            let burst = BURST.min(steps - training.steps());
            training.submit(burst)?;
            let (loss, step) = (average(&training.losses()?), training.steps());
            if !loss.is_finite() {
                return Err(Failure::Run(format!("the loss became {loss} after {step} steps: try a smaller --rate")));
            }
            run.say(format!("{}, {}, loss {loss:.4}", data.name(), self.name()));
            run.advance(burst as u64);
            let seconds = begun.elapsed().as_secs_f64();
            let row = json!({ "data": data.name(), "contender": self.name(), "seed": seed, "step": step, "loss": loss, "seconds": seconds });
            run.log(&row)?;
            run.save_if_due(|checkpoint| Ok(training.save(checkpoint, "training.")?))?;
        }
        let (weights, loss) = (training.weights()?, average(&training.losses()?));
        let agent = AgentSettings {
            return_scale,
            delayed,
            standardisation: Some(standardisation),
            ..AgentSettings::new(1, data.target() as f32)
        };
        let network = match self {
            Contender::Transformer { short, .. } => Some(Self::network(short, sizes, data)),
            Contender::Cloning { .. } => None,
        };
        let played = data.played;
        let file = match network.and_then(|network| TrainedAgent::new(played, &network, &weights, &agent)) {
            Some(trained) => trained.to_checkpoint()?,
            // A perceptron has no file that `fourfold play` reads: its weights and what they were trained for.
            None => {
                let mut file = Checkpoint::new();
                training.save(&mut file, "")?;
                file
            }
        };
        let name = self.name().replace([',', '=', '%'], "").split_whitespace().collect::<Vec<_>>().join("-");
        run.write_checkpoint(&format!("{}-{name}-{seed}.safetensors", data.name()), &file)?;
        Ok(Learner { model, weights, agent, loss })
    }
}

/// A network that has learned.
#[derive(Debug)]
pub struct Learner {
    model: Box<dyn SequenceModel>,
    weights: Data,
    agent: AgentSettings,
    /// The mean loss of the last steps.
    pub loss: f64,
}

/// Steps after which to look whether all episodes are over.
pub const CHECKS: usize = 50;

impl Learner {
    pub fn parameters(&self) -> usize {
        self.model.parameters().length()
    }

    /// The same network, choosing discrete actions in this way; `seed` draws them.
    pub fn choosing(self, sampling: Sampling, seed: u32) -> Self {
        Self { agent: AgentSettings { sampling, seed: SAMPLES.wrapping_add(seed), ..self.agent }, ..self }
    }

    /// Plays `episodes` episodes as one batch for each target, all from the same starts, which `seed` draws, and returns
    /// their returns.
    ///
    /// # Errors
    /// A number that was not finite, or the loss of the device.
    pub fn play(
        &self,
        run: &mut Run,
        data: &DataSet,
        targets: &[f64],
        [episodes, seed]: [u32; 2],
    ) -> Result<Vec<Vec<f64>>, Failure> {
        let environment = data.environment.clone();
        let settings = VectorSettings::new(episodes as usize, environment.horizon(), EVALUATION.wrapping_add(seed));
        let environment = VectorEnvironment::on_buffers(&run.gpu(), environment, &settings, VectorBuffers::default())?;
        let wanted = vec![data.expert as f32; episodes as usize];
        let settings = AgentSettings { targets: wanted, ..self.agent.clone() };
        let mut agent = Agent::in_environment(&environment, &*self.model, self.weights.clone(), &settings)?;
        let mut returns = Vec::with_capacity(targets.len());
        for &target in targets {
            run.say(format!("{}, plays for {target:.0}", data.name()));
            agent.set_targets(&vec![target as f32; episodes as usize]).map_err(Failure::run)?;
            let played = agent.play(&environment, Some(CHECKS))?;
            returns.push(played.returns.into_iter().map(f64::from).collect());
            run.advance(PLAYED);
        }
        Ok(returns)
    }
}

/// Starts of evaluations, which no data set has.
pub const EVALUATION: u32 = 0xE7A1_0000;

/// Samples of actions, which no training draws.
const SAMPLES: u32 = 0x5A3B_0000;

/// The weight of a played batch on the progress bar, in training steps.
pub const PLAYED: u64 = 50;
