//! Episodes of uniformly random moves, what the experiment learns from.

use fourfold::Gpu;
use fourfold::data::{Actions, Trajectories};
use fourfold::rollout::environments::KeyToDoor;
use fourfold::rollout::{Environment, Trace, VectorEnvironment, VectorSettings};
use fourfold::shaders::random::threefry::Random;

use crate::failure::Failure;

/// The end of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    NoKey,
    /// With the key, but not through the door.
    Key,
    Door,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Outcome::Door, Outcome::Key, Outcome::NoKey];

    /// One step: the state before it, and its reward.
    fn of(state: &[f32], reward: f32) -> Self {
        match (reward > 0.0, state[6] > 0.0) {
            (true, _) => Outcome::Door,
            (false, true) => Outcome::Key,
            (false, false) => Outcome::NoKey,
        }
    }

    /// The end of each episode. The key, which is taken in the first room, shows in the states of the later ones.
    pub fn of_trace(trace: &Trace) -> Vec<Self> {
        let furthest = |steps: &Vec<fourfold::rollout::Step>| {
            steps.iter().map(|step| Outcome::of(&step.state, step.reward)).max().unwrap_or(Outcome::NoKey)
        };
        trace.episodes.iter().map(furthest).collect()
    }

    /// For pictures.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::NoKey => "no key",
            Outcome::Key => "key, door not reached",
            Outcome::Door => "key and door",
        }
    }
}

/// Episodes and how far each came.
#[derive(Debug, Clone)]
pub struct RandomPlay {
    pub trajectories: Trajectories,
    pub outcomes: Vec<Outcome>,
}

/// Most episodes that are played side by side: their trace stays below 10 MiB.
const LANES: usize = 1_000;

impl RandomPlay {
    /// Plays `episodes` episodes of uniformly random moves on the device.
    ///
    /// # Errors
    /// No memory, or the loss of the device.
    pub fn collect(gpu: &Gpu, world: KeyToDoor, episodes: usize, seed: u32) -> Result<Self, Failure> {
        let lanes = episodes.min(LANES);
        let settings = VectorSettings { trace: true, ..VectorSettings::new(lanes, world.horizon(), seed) };
        let mut environment = VectorEnvironment::new(gpu, world, &settings)?;
        // The environment draws at the first four places of the seed.
        let mut moves = Random::new(seed, 16);
        let mut played = Trace { episodes: Vec::with_capacity(episodes) };
        for generation in 0..episodes.div_ceil(lanes) {
            environment.reset(generation as u32)?;
            for _ in 0..world.horizon() {
                let directions: Vec<f32> = (0..lanes).map(|_| moves.below(4) as f32).collect();
                environment.step(&directions)?;
            }
            played.episodes.extend(environment.trace()?.episodes);
        }
        played.episodes.truncate(episodes);
        let mut trajectories = played.trajectories("key-to-door", Actions::Discrete(4))?;
        trajectories.set_note("environment", format!("{world:?}"));
        trajectories.set_note("policy", "uniformly random moves");
        trajectories.set_note("seed", seed.to_string());
        Ok(Self { trajectories, outcomes: Outcome::of_trace(&played) })
    }

    /// The first so many of the episodes.
    ///
    /// # Errors
    /// There are none.
    pub fn first(&self, episodes: usize) -> Result<Self, Failure> {
        let kept: Vec<usize> = (0..episodes.min(self.outcomes.len())).collect();
        Ok(Self { trajectories: self.trajectories.select(&kept)?, outcomes: self.outcomes[..kept.len()].to_vec() })
    }

    /// The numbers of the episodes that came so far, and no further.
    pub fn with(&self, outcome: Outcome) -> Vec<usize> {
        (0..self.outcomes.len()).filter(|&episode| self.outcomes[episode] == outcome).collect()
    }
}
