//! Episodes in Gymnasium during a training.

use fourfold::Gpu;
use fourfold::data::Actions;
use fourfold::models::offline_training::OfflineTraining;
use fourfold::models::{Agent, AgentSettings};

use super::setup::Setup;
use super::{Evaluation, Settings};
use crate::experiments::dt::gymnasium::{Environments, Played, play};
use crate::failure::Failure;
use crate::run::Run;

/// Where the agent plays: all targets' episodes side by side, on the weights of the training.
pub struct World {
    environments: Environments,
    agent: Agent,
    /// Steps of the longest episode.
    most: usize,
}

/// Where an environment has no time limit of its own, episodes end after the paper's.
const TIME_LIMIT: usize = 1000;

impl World {
    /// Starts the environments, and an agent on the weights of a training.
    ///
    /// # Errors
    /// Python, a package or the environment is missing, or another environment than that of the data.
    pub fn open(gpu: &Gpu, settings: &Settings, setup: &Setup, training: &OfflineTraining) -> Result<Self, Failure> {
        let (name, data) = (setup.environment.as_deref().unwrap_or_default(), &setup.data);
        let targets = setup.targets.iter().flat_map(|&target| vec![target; settings.episodes]).collect::<Vec<_>>();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.workers.unwrap_or(processors);
        let environments = Environments::open(&settings.python, name, targets.len(), workers)?;
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
        let agent = Agent::new(gpu, &*setup.model, training.weights_view()?, &agent).map_err(Failure::input)?;
        Ok(Self { environments, agent, most })
    }

    /// Returns the platform of the environments.
    pub fn versions(&self) -> String {
        self.environments.greeting().versions.clone()
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
