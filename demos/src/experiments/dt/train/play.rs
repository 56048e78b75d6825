//! Episodes during a training: in Gymnasium, or in our own environment that the data were collected in.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Actions;
use fourfold::models::offline_training::OfflineTraining;
use fourfold::models::{Agent, AgentSettings};
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};

use super::setup::Setup;
use super::{Evaluation, Settings};
use crate::experiments::data::World as Collected;
use crate::experiments::dt::contender::{CHECKS, EVALUATION};
use crate::failure::Failure;
use crate::gymnasium::{Environments, Played, Program, play};
use crate::run::Run;

/// The place where the agent plays, on the weights of the training.
pub enum World {
    Gymnasium(Gymnasium),
    Lanes(Lanes),
}

/// Environments of Gymnasium: all targets' episodes side by side.
pub struct Gymnasium {
    environments: Environments,
    agent: Agent,
    /// Steps of the longest episode.
    most: usize,
}

/// Our own environment: the episodes of a target as the lanes of one batch on the GPU.
pub struct Lanes {
    environment: VectorEnvironment,
    agent: Agent,
}

/// Where an environment has no time limit of its own, episodes end after the paper's.
const TIME_LIMIT: usize = 1000;

impl World {
    /// Opens Gymnasium where it is asked for, else our own environment where the data come from one, else nothing.
    ///
    /// # Errors
    /// Python, a package or the environment is missing, or another environment than that of the data.
    pub fn open(
        gpu: &Gpu,
        settings: &Settings,
        setup: &Setup,
        training: &OfflineTraining,
        seed: u32,
    ) -> Result<Option<Self>, Failure> {
        match setup.collected {
            _ if settings.gymnasium => Ok(Some(Self::Gymnasium(Gymnasium::open(gpu, settings, setup, training)?))),
            Some(world) => Ok(Some(Self::Lanes(Lanes::open(gpu, world, settings, setup, training, seed)?))),
            None => Ok(None),
        }
    }

    /// Returns the platform of the environments.
    pub fn versions(&self) -> String {
        match self {
            Self::Gymnasium(gymnasium) => gymnasium.environments.greeting().versions.clone(),
            Self::Lanes(_) => concat!("fourfold ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Plays the episodes of all targets; each target's have the same seeds.
    ///
    /// # Errors
    /// A worker or the device failed.
    pub fn evaluate(
        &mut self,
        run: &mut Run,
        settings: &Settings,
        setup: &Setup,
        seed: u32,
    ) -> Result<Vec<Evaluation>, Failure> {
        match self {
            Self::Gymnasium(gymnasium) => gymnasium.evaluate(run, settings, setup, seed),
            Self::Lanes(lanes) => lanes.evaluate(run, settings, setup),
        }
    }
}

impl Gymnasium {
    fn open(gpu: &Gpu, settings: &Settings, setup: &Setup, training: &OfflineTraining) -> Result<Self, Failure> {
        let (name, data) = (setup.environment.as_deref().unwrap_or_default(), &setup.data);
        let targets = setup.targets.iter().flat_map(|&target| vec![target; settings.episodes]).collect::<Vec<_>>();
        let (python, workers) = (&settings.python, settings.workers);
        let environments = Environments::open(python, Program::ENVIRONMENTS, name, targets.len(), workers)?;
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
        let agent = Agent::new(gpu, &*setup.model, training.weights_view()?, &agent)?;
        Ok(Self { environments, agent, most })
    }

    fn evaluate(
        &mut self,
        run: &mut Run,
        settings: &Settings,
        setup: &Setup,
        seed: u32,
    ) -> Result<Vec<Evaluation>, Failure> {
        let lanes = 0..self.environments.lanes();
        let seeds: Vec<u32> = lanes.map(|lane| seed.wrapping_add((lane % settings.episodes) as u32)).collect();
        let watch = |step: usize, left: usize| {
            if step.is_multiple_of(10) {
                run.say(format!("playing: step {step}, {left} episodes go on"));
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
        Ok(setup.targets.iter().enumerate().map(of).collect())
    }
}

impl Lanes {
    fn open(
        gpu: &Gpu,
        world: Collected,
        settings: &Settings,
        setup: &Setup,
        training: &OfflineTraining,
        seed: u32,
    ) -> Result<Self, Failure> {
        let environment = world.environment();
        let vector = VectorSettings::new(settings.episodes, environment.horizon(), EVALUATION.wrapping_add(seed));
        let environment =
            VectorEnvironment::on_buffers(gpu, Arc::clone(&environment), &vector, VectorBuffers::default())?;
        let agent = AgentSettings::trained(training.settings(), settings.episodes, setup.targets[0]);
        let agent = Agent::in_environment(&environment, &*setup.model, training.weights_view()?, &agent)?;
        Ok(Self { environment, agent })
    }

    fn evaluate(&mut self, run: &mut Run, settings: &Settings, setup: &Setup) -> Result<Vec<Evaluation>, Failure> {
        let horizon = self.environment.settings().horizon as u32;
        let mut evaluations = Vec::with_capacity(setup.targets.len());
        for &target in &setup.targets {
            run.say(format!("plays for {target}"));
            self.agent.set_targets(&vec![target; settings.episodes])?;
            let played = self.agent.play(&self.environment, Some(CHECKS))?;
            let played = Played {
                returns: played.returns.into_iter().map(f64::from).collect(),
                terminated: played.lengths.iter().map(|&length| length < horizon).collect(),
                lengths: played.lengths.into_iter().map(|length| length as usize).collect(),
            };
            evaluations.push(Evaluation { target, played });
        }
        Ok(evaluations)
    }
}
