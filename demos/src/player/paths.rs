//! A transformer that generates paths on its graph.

use std::rc::Rc;

use super::Player;
use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::experiments::dt::shortest_paths::Pathfinder;
use crate::failure::Failure;

/// A transformer on its graph; an episode is the path from one node.
#[derive(Debug)]
pub(super) struct PathPlayer {
    pub found: Pathfinder,
    pub seed: u64,
}

impl Player for PathPlayer {
    fn keys(&self) -> &'static [Key] {
        &[Key::Restart]
    }

    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        self.seed = seed;
        Ok(Rc::new(self.found.film(seed)))
    }

    fn answer(&mut self, _: Key, _: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        Ok((self.first(self.seed.wrapping_add(1))?, 0))
    }

    /// The share of the nodes with a way to the goal from which the path is a shortest one.
    fn score(&mut self, _: usize, _: u64) -> Result<f64, Failure> {
        Ok(self.found.optimal())
    }
}
