//! Policies of rollouts at play: linear ones, perceptrons, attention neurons.

use std::rc::Rc;

use fourfold::Gpu;
use fourfold::models::{PolicyNetwork, TrainedPolicy};
use fourfold::rollout::{Composition, End, Operands, Plan, Rollout, Sensors, Settings, Step, WeightSource, Weights};
use fourfold::shaders::Data;

use super::{Player, World};
use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::experiments::neuron::watching::Script;
use crate::failure::Failure;
use crate::statistics::average;

/// Seeds that are tried for an episode that lasts.
const TRIES: u64 = 8;

/// A policy at play.
#[derive(Debug)]
pub(super) struct PolicyPlayer {
    gpu: Gpu,
    trained: TrainedPolicy,
    world: World,
    script: Script,
}

impl PolicyPlayer {
    pub(super) fn new(gpu: Gpu, trained: TrainedPolicy, world: World, shuffles: Vec<usize>, noise: usize) -> Self {
        let environment = world.environment.clone();
        let script = Script { world: environment, noise_channels: noise, shuffles, forget: false, seed: 0 };
        Self { gpu, trained, world, script }
    }

    fn steps(&self) -> Result<Vec<Step>, Failure> {
        let policy = self.trained.network().policy();
        Ok(self.script.play(&self.gpu, policy, self.trained.weights(), 0)?.steps)
    }

    fn film(&self) -> Result<Rc<dyn Animation>, Failure> {
        let who = match self.trained.network() {
            PolicyNetwork::Linear => "a linear policy",
            PolicyNetwork::Perceptron(_) => "a perceptron",
            PolicyNetwork::AttentionNeuron(_) => "an attention neuron",
        };
        Ok(Rc::new(self.world.reel(who, &self.steps()?, &self.script.shuffles, None)))
    }
}

impl Player for PolicyPlayer {
    fn keys(&self) -> &'static [Key] {
        match self.trained.network() {
            PolicyNetwork::AttentionNeuron(_) => &[Key::Shuffle, Key::Noise, Key::Restart],
            _ => &[Key::Shuffle, Key::Restart],
        }
    }

    /// The first seed whose episode lasts while nothing is shuffled.
    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        let shuffles = std::mem::take(&mut self.script.shuffles);
        for seed in seed..seed.saturating_add(TRIES) {
            self.script.seed = seed as u32;
            if self.steps()?.last().is_some_and(|step| step.end != End::Terminated) {
                break;
            }
        }
        self.script.shuffles = shuffles;
        self.film()
    }

    fn answer(&mut self, key: Key, step: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        match key {
            Key::Shuffle => {
                self.script.shuffle_at(step);
                let film = self.film()?;
                let last = film.length() - 1;
                Ok((film, step.min(last)))
            }
            Key::Noise => {
                self.script.toggle_noise();
                Ok((self.film()?, 0))
            }
            Key::Restart | Key::Quit => {
                let seed = self.script.next_seed();
                Ok((self.first(seed)?, 0))
            }
        }
    }

    fn score(&mut self, episodes: usize, seed: u64) -> Result<f64, Failure> {
        let composition = Composition {
            environment: self.world.environment.clone(),
            policy: self.trained.network().policy(),
            sensors: Sensors::default(),
            weights: WeightSource::Given { trace: false },
        };
        let settings = Settings::new(1, episodes, self.world.environment.horizon());
        let plan = Plan::new(&composition, &settings, &self.gpu.target())?;
        let operands = Operands {
            seed: self.gpu.upload("seed", &Data::U32(vec![seed as u32, 0]))?,
            weights: Weights::Given(self.gpu.upload("weights", &Data::F32(self.trained.weights().to_vec()))?),
            wiring: None,
        };
        let played = Rollout::new(&self.gpu, plan, operands)?.run()?;
        Ok(average(&played.returns))
    }
}
