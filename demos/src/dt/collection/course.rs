//! A policy is trained by an evolution strategy, and every generation is written down.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{
    Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, RolloutGradientPlan,
};
use fourfold::rollout::policies::{Linear, Perceptron};
use fourfold::rollout::{self, Composition, Interface, Policy, Sensors, WeightSource};

use fourfold::shaders::random::threefry::Random;

use super::World;
use crate::failure::Failure;
use crate::progress::Progress;

/// How the policy of an environment is trained: an evolution strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Widths of its hidden layers; none for a linear policy.
    pub hidden: Vec<usize>,
    pub strategy: EvolutionStrategy,
    /// Standard deviation of the first weights.
    pub start: f32,
    /// The rate of Adam on the centre.
    pub rate: f32,
    pub members: usize,
    /// Episodes of a member; all members start theirs alike.
    pub episodes: usize,
    pub generations: usize,
    /// The mean return of an expert. A training that ends below is begun again with the next seed, a few times; the best
    /// one counts where none gets there.
    pub goal: f64,
    pub tries: usize,
}

/// The distribution that a generation's members were drawn from: normal, each weight by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub center: Vec<f32>,
    pub deviation: Vec<f32>,
}

/// Longest dispatch.
const DISPATCH: std::time::Duration = std::time::Duration::from_millis(200);

impl Course {
    /// The policy that learns.
    pub fn policy(&self) -> Arc<dyn Policy> {
        if self.hidden.is_empty() { Arc::new(Linear) } else { Arc::new(Perceptron::new(&self.hidden)) }
    }

    /// The same with less of all, to see it work.
    pub fn quick(self) -> Self {
        Self { generations: self.generations.div_ceil(4), tries: 1, ..self }
    }

    /// How a generation plays.
    pub(super) fn rollout(&self, world: World) -> rollout::Settings {
        let horizon = world.environment().horizon();
        rollout::Settings { allow_slow_compile: true, ..rollout::Settings::new(self.members, self.episodes, horizon) }
    }

    /// Trains, and returns every generation, the last one after the last update.
    ///
    /// # Errors
    /// Settings that make no sense, or the loss of the device.
    pub fn train(
        &self,
        gpu: &Gpu,
        world: World,
        seed: u32,
        progress: &mut Progress,
    ) -> Result<Vec<Generation>, Failure> {
        let (environment, policy) = (world.environment(), self.policy());
        let interface = Interface { inputs: environment.observations(), actions: environment.actions() };
        let count = policy.weights(interface);
        let weights = WeightSource::Perturbed;
        let composition = Composition { environment, policy, sensors: Sensors::default(), weights };
        const FIRST: u32 = 7;
        let mut random = Random::new(seed, FIRST);
        let first: Vec<f32> = (0..count).map(|_| self.start * random.normal()).collect();
        let plan = RolloutGradientPlan::new(&composition, self.strategy, &self.rollout(world), &gpu.target())?;
        let outer = OuterTensors::new(gpu, &first, seed)?;
        let source = RolloutGradient::new(gpu, plan, &outer)?.paced(DISPATCH)?;
        let descent = OuterSettings { descent: Descent::adam(0.9), rate: self.rate, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(gpu, outer, Box::new(source), descent)?;
        let mut generations = Vec::with_capacity(self.generations + 1);
        for number in 0..=self.generations {
            generations.push(Generation { center: outer.parameters()?, deviation: outer.source().deviation()? });
            if number < self.generations {
                let summaries = RolloutGradient::summaries(&outer.run(1)?);
                let mean = summaries.last().map_or(f32::NAN, |summary| summary.mean);
                progress.say(format!("{}, mean return {mean:.0}", world.name()));
                progress.advance(1);
            }
        }
        Ok(generations)
    }
}
