//! Scores of one policy over many episodes of the cart-pole swing-up, in one rollout on the GPU.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{
    Composition, Operands, Plan, Policy, Rollout, Sensors, Settings, Trace, WeightSource, Weights, Wiring, shuffled,
};
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::gymnasium::Played;
use crate::statistics::{average, spread};

/// Observations of the cart-pole swing-up.
pub const OBSERVATIONS: usize = 5;

/// Steps of an episode at most.
pub const HORIZON: usize = 1_000;

/// The order of the inputs of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The order of the environment.
    Plain,
    /// One permutation for each episode.
    Shuffled,
    /// A new permutation every so many steps, and whether the memory of the channels is cleared then.
    Reshuffled { interval: usize, forget: bool },
}

/// A protocol of evaluation: resets, order of the inputs, copies and noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Protocol {
    pub world: CartPoleSwingUp,
    /// The observations this many times over.
    pub copies: usize,
    /// Channels of noise of deviation 0.1 beside them.
    pub noise_channels: usize,
    pub order: Order,
    pub episodes: usize,
    /// Equal seeds give equal starts, whatever the policy and the order.
    pub seed: u32,
}

impl Protocol {
    /// The plain observation on hard resets.
    pub fn plain(episodes: usize, seed: u32) -> Self {
        let world = CartPoleSwingUp { easy: false };
        Self { world, copies: 1, noise_channels: 0, order: Order::Plain, episodes, seed }
    }

    fn sensors(&self) -> Sensors {
        let wiring = match self.order {
            Order::Plain => None,
            Order::Shuffled => Some(Wiring { interval: HORIZON, phases: 1, forget: false }),
            Order::Reshuffled { interval, forget } => {
                Some(Wiring { interval, phases: HORIZON.div_ceil(interval), forget })
            }
        };
        Sensors { copies: self.copies, noise_channels: self.noise_channels, noise: 0.1, wiring }
    }

    /// A rollout of one member with these weights.
    ///
    /// # Errors
    /// Another number of weights than the policy has, or the device fails.
    pub fn rollout(
        &self,
        gpu: &Gpu,
        policy: Arc<dyn Policy>,
        weights: &[f32],
        trace: bool,
    ) -> Result<Rollout, Failure> {
        let sensors = self.sensors();
        let environment = Arc::new(self.world);
        let composition = Composition { environment, policy, sensors, weights: WeightSource::Given { trace } };
        let expected = composition.parameters();
        if weights.len() != expected {
            return Err(Failure::Input(format!("expected {expected} weights, got {}", weights.len())));
        }
        let settings = Settings::new(1, self.episodes, HORIZON);
        let plan = Plan::new(&composition, &settings, &gpu.target())?;
        let inputs = composition.interface().inputs;
        let wiring = sensors.wiring.map(|wiring| shuffled(self.seed, self.episodes, wiring.phases, inputs, false));
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(vec![self.seed, 0]))?,
            weights: Weights::Given(gpu.upload("weights", &Data::F32(weights.to_vec()))?),
            wiring: wiring.map(|wiring| gpu.upload("wiring", &wiring)).transpose()?,
        };
        Ok(Rollout::new(gpu, plan, operands)?)
    }

    /// The score of each episode.
    ///
    /// # Errors
    /// As [`rollout`](Self::rollout), and a policy that gives numbers that are not finite.
    pub fn scores(&self, gpu: &Gpu, policy: Arc<dyn Policy>, weights: &[f32]) -> Result<Scores, Failure> {
        let episodes = self.rollout(gpu, policy, weights, false)?.run()?;
        Ok(Scores { returns: episodes.returns.into_iter().map(f64::from).collect(), lengths: episodes.lengths })
    }

    /// Every step of each episode.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn trace(&self, gpu: &Gpu, policy: Arc<dyn Policy>, weights: &[f32]) -> Result<Trace, Failure> {
        Ok(self.rollout(gpu, policy, weights, true)?.trace()?.1)
    }
}

/// The episodes of one protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub returns: Vec<f64>,
    pub lengths: Vec<u32>,
}

impl From<Played> for Scores {
    fn from(Played { returns, lengths, .. }: Played) -> Self {
        Self { returns, lengths: lengths.into_iter().map(|length| length as u32).collect() }
    }
}

impl Scores {
    pub fn mean(&self) -> f64 {
        average(&self.returns)
    }

    /// The standard deviation of a score (not of the mean).
    pub fn deviation(&self) -> f64 {
        spread(&self.returns, false).1
    }

    /// The standard error of the mean.
    pub fn error(&self) -> f64 {
        self.deviation() / (self.returns.len() as f64).sqrt()
    }

    /// The share of episodes above a score.
    pub fn above(&self, score: f64) -> f64 {
        self.returns.iter().filter(|&&reached| reached > score).count() as f64 / self.returns.len() as f64
    }

    /// Steps of an episode on average.
    pub fn length(&self) -> f64 {
        self.lengths.iter().map(|&length| f64::from(length)).sum::<f64>() / self.lengths.len() as f64
    }
}
