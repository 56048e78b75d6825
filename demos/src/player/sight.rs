//! Networks that see at play.

use std::rc::Rc;

use fourfold::Gpu;
use fourfold::models::TrainedVision;

use super::Player;
use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::experiments::neuron::input_order::InputOrder;
use crate::experiments::neuron::sight::Sight;
use crate::failure::Failure;

/// A network that sees at play.
#[derive(Debug)]
pub(super) struct SightPlayer {
    gpu: Gpu,
    trained: TrainedVision,
    sight: Sight,
}

/// Steps of a film at most: a car needs some 20 seconds for a good part of its track.
pub(super) const HORIZON: usize = 1_000;

/// Episodes of a score at most: a step that is seen costs thousands of others.
const EPISODES: usize = 16;

impl SightPlayer {
    pub(super) fn new(gpu: Gpu, trained: TrainedVision, shuffles: Vec<usize>) -> Self {
        Self { gpu, trained, sight: Sight { seed: 0, shuffles, horizon: HORIZON } }
    }

    fn film(&self) -> Result<Rc<dyn Animation>, Failure> {
        Ok(Rc::new(self.sight.film(&self.gpu, &self.trained)?))
    }
}

impl Player for SightPlayer {
    fn keys(&self) -> &'static [Key] {
        &[Key::Shuffle, Key::Restart]
    }

    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        self.sight.seed = seed as u32;
        self.film()
    }

    fn answer(&mut self, key: Key, step: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        if key == Key::Shuffle {
            self.sight.shuffles.retain(|&shuffle| shuffle < step);
            self.sight.shuffles.push(step);
            let film = self.film()?;
            let last = film.length() - 1;
            return Ok((film, step.min(last)));
        }
        self.sight.shuffles.clear();
        let next = u64::from(self.sight.seed) + 1;
        Ok((self.first(next)?, 0))
    }

    fn score(&mut self, episodes: usize, seed: u64) -> Result<f64, Failure> {
        let sight = Sight { seed: seed as u32, ..self.sight.clone() };
        sight.score(&self.gpu, &self.trained, episodes.min(EPISODES), InputOrder::Plain)
    }
}
