//! Players of trained policies: what a file holds, and the films of its episodes.

mod agent;
mod digits;
mod neuron;
mod paths;
mod policy;
mod shipped;
mod sight;
mod trained;
mod world;

use std::rc::Rc;

pub use neuron::NeuronPlayer;
pub use shipped::{SHIPPED, Shipped};
pub use trained::Trained;
pub use world::World;

use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::failure::Failure;

/// A trained policy at play.
pub trait Player {
    /// Lists the keys that it answers.
    fn keys(&self) -> &'static [Key];

    /// Returns the film of an episode.
    ///
    /// # Errors
    /// A policy that does not fit its world, or the loss of the device.
    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure>;

    /// Returns the film after a key at a step, and the step to go on from.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    fn answer(&mut self, key: Key, step: usize) -> Result<(Rc<dyn Animation>, usize), Failure>;

    /// Plays episodes and returns the mean of what their policy is judged by, the return or a share.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    fn score(&mut self, episodes: usize, seed: u64) -> Result<f64, Failure>;
}

/// The settings of a player.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The steps in which the inputs are shuffled, where they are given.
    pub shuffles: Option<Vec<usize>>,
    pub noise_channels: usize,
    /// The return that is asked of a transformer, instead of the file's.
    pub target: Option<f32>,
}
