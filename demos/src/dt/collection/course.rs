//! A policy is trained by an evolution strategy, and every generation is written down.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::{Method, Settings, Strategy};
use fourfold::rollout::policies::{Linear, Perceptron};
use fourfold::rollout::{self, Composition, Interface, Members, Policy, Sensors};

use fourfold::shaders::random::threefry::Random;

use super::World;
use crate::Failure;
use crate::progress::Progress;

/// How the policy of an environment is trained: an evolution strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Widths of its hidden layers; none for a linear policy.
    pub hidden: Vec<usize>,
    pub method: Method,
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
        rollout::Settings { patient: true, ..rollout::Settings::new(self.members, self.episodes, horizon) }
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
        let members = Members::Perturbed;
        let composition = Composition { environment, policy, sensors: Sensors::default(), members };
        let settings = Settings {
            method: self.method,
            rate: self.rate,
            weight_decay: 0.0,
            rollout: self.rollout(world),
            key: seed,
            ring: 1,
        };
        const FIRST: u32 = 7;
        let mut random = Random::new(seed, FIRST);
        let first: Vec<f32> = (0..count).map(|_| self.start * random.normal()).collect();
        let mut strategy = Strategy::new(gpu, &composition, settings, &first)?;
        strategy.pace(DISPATCH)?;
        let mut generations = Vec::with_capacity(self.generations + 1);
        for number in 0..=self.generations {
            let mut state = Checkpoint::new();
            strategy.save(&mut state)?;
            let tensor = |name: &str| Ok::<_, Failure>(state.f32(name, &[count])?.to_vec());
            generations.push(Generation { center: tensor("center")?, deviation: tensor("deviation")? });
            if number < self.generations {
                let values = strategy.submit(1)?.wait()?;
                let (_, summaries) = strategy.progress(&values)?;
                let mean = summaries.last().map_or(f32::NAN, |summary| summary.mean);
                progress.say(format!("{}, mean return {mean:.0}", world.name()));
                progress.advance(1);
            }
        }
        Ok(generations)
    }
}
