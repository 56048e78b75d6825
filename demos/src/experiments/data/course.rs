//! A policy is trained by an evolution strategy, and every generation is written down.

use std::sync::Arc;

use clap::Args;
use fourfold::evolution::{
    Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, RolloutGradientPlan,
};
use fourfold::rollout::policies::{Linear, Perceptron};
use fourfold::rollout::{self, Composition, Interface, Policy, Sensors, WeightSource};
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::World;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;

/// The training of the policy of an environment: an evolution strategy.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

    /// The play of a generation.
    pub(super) fn rollout(&self, world: World) -> rollout::Settings {
        let horizon = world.environment().horizon();
        rollout::Settings { allow_slow_compile: true, ..rollout::Settings::new(self.members, self.episodes, horizon) }
    }

    /// Trains in a stage of the run, and returns every generation, the last one after the last update.
    ///
    /// # Errors
    /// Settings out of range, or the loss of the device.
    pub fn train(&self, run: &mut Run, world: World, seed: u32) -> Result<Vec<Generation>, Failure> {
        let (gpu, environment, policy) = (run.gpu(), world.environment(), self.policy());
        let interface = Interface { inputs: environment.observations(), actions: environment.actions() };
        let count = policy.weights(interface);
        let weights = WeightSource::Perturbed;
        let composition = Composition { environment, policy, sensors: Sensors::default(), weights };
        const FIRST: u32 = 7;
        let mut random = Random::new(seed, FIRST);
        let first: Vec<f32> = (0..count).map(|_| self.start * random.normal()).collect();
        let plan = RolloutGradientPlan::new(&composition, self.strategy, &self.rollout(world), &gpu.target())?;
        let outer = OuterTensors::new(&gpu, &first, seed)?;
        let source = RolloutGradient::new(&gpu, plan, &outer)?.paced(DISPATCH)?;
        let descent = OuterSettings { descent: Descent::adam(0.9), rate: self.rate, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(&gpu, outer, Box::new(source), descent)?;
        let mut generations: Vec<Generation> = Vec::with_capacity(self.generations + 1);
        if let Some(checkpoint) = run.restored() {
            outer.restore(&checkpoint)?;
            let shape = [outer.iteration() as usize, count];
            let (centers, deviations) = (checkpoint.f32(CENTERS, &shape)?, checkpoint.f32(DEVIATIONS, &shape)?);
            let rows = centers.chunks(count).zip(deviations.chunks(count));
            generations
                .extend(rows.map(|(center, own)| Generation { center: center.to_vec(), deviation: own.to_vec() }));
            run.skip(generations.len() as u64);
        }
        while generations.len() <= self.generations {
            generations.push(Generation { center: outer.parameters()?, deviation: outer.source().deviation()? });
            if generations.len() <= self.generations {
                let summaries = RolloutGradient::summaries(&outer.run(1)?);
                let mean = summaries.last().map_or(f32::NAN, |summary| summary.mean);
                run.say(format!("{}, mean return {mean:.0}", world.name()));
                let mean_return = mean.is_finite().then_some(mean);
                run.log(&json!({
                    "environment": world.name(), "seed": seed, "generation": generations.len(), "mean_return": mean_return,
                }))?;
                run.advance(1);
                run.save_if_due(|checkpoint| {
                    outer.save(checkpoint)?;
                    let all =
                        |of: fn(&Generation) -> &[f32]| Data::F32(generations.iter().flat_map(of).copied().collect());
                    checkpoint.insert(CENTERS, &[generations.len(), count], all(|generation| &generation.center));
                    checkpoint.insert(DEVIATIONS, &[generations.len(), count], all(|generation| &generation.deviation));
                    Ok(())
                })?;
            }
        }
        Ok(generations)
    }
}

/// Tensors of a checkpoint within a training, (generations, weights).
const CENTERS: &str = "generations.center";
const DEVIATIONS: &str = "generations.deviation";

/// The effort of training the policies from which data is collected.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct CourseFlags {
    /// Generations of the training of a policy from which data is collected, as a share of the usual number
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, default_value_t = 1.0)]
    pub policy_share: f64,
    /// Trainings of such a policy, of which the first that reaches its environment's goal counts, else the best
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub policy_tries: usize,
}

impl CourseFlags {
    /// Checks the flags.
    ///
    /// # Errors
    /// A flag out of its range.
    pub fn check(&self) -> Result<(), Failure> {
        if !(self.policy_share > 0.0 && self.policy_share <= 1e3) {
            let got = self.policy_share;
            return Err(Failure::Input(format!("--policy-share: expected a number above 0 up to 1000, got {got}")));
        }
        limits::counts([("--policy-tries", self.policy_tries, 1..=1_000)])
    }

    /// Returns the training of an environment's policies.
    pub fn course(&self, world: World) -> Course {
        let course = world.course();
        let generations = (course.generations as f64 * self.policy_share).ceil() as usize;
        Course { generations, tries: self.policy_tries, ..course }
    }
}
