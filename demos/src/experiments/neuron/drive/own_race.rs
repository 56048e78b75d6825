//! The network at the wheel in the car race of equations, many steps to a submission.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::car_racing::CarRacing;
use fourfold::rollout::{PatchWiring, VectorSettings};

use super::{Driven, Race};
use crate::experiments::neuron::evaluation::Scores;
use crate::failure::Failure;

/// Steps of a submission: a fraction of a second on a software driver.
const STEPS: usize = 10;

/// The race of equations, with a track for each episode.
#[derive(Debug)]
pub(super) struct OwnRace<'a> {
    pub trained: &'a TrainedVision,
    pub world: Arc<CarRacing>,
    /// Steps of an episode at most.
    pub horizon: usize,
    pub seed: u32,
}

impl Race for OwnRace<'_> {
    fn drive(
        &self,
        gpu: &Gpu,
        batch: usize,
        wiring: PatchWiring,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Driven, Failure> {
        let settings = VectorSettings::new(wiring.lanes(), self.horizon, self.seed);
        let mut rollout = self.trained.rollout(gpu, self.world.clone(), &settings, wiring)?;
        let mut before = 0;
        let episodes = rollout.run(batch as u32, STEPS, |taken| {
            progress((taken - before) as u64);
            before = taken;
        })?;
        let returns = episodes.returns.into_iter().map(f64::from).collect();
        Ok(Driven { scores: Scores { returns, lengths: episodes.lengths }, versions: None })
    }
}
