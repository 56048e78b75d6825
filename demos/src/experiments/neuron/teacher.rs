//! An ordinary teacher: a perceptron that learns the cart-pole swing-up by CMA-ES.

use fourfold::data::Checkpoint;
use fourfold::evolution::CmaEs;
use fourfold::evolution::cma_es::Settings;

use super::actor::Perceptron;
use super::episodes::{CHANNELS, Starts, in_parallel, score};
use crate::failure::Failure;

/// Units of the teacher's hidden layer.
pub const HIDDEN: usize = 16;

/// Weights of a teacher.
pub const PARAMETERS: usize = Perceptron::parameters(CHANNELS, HIDDEN);

/// The initial deviation of every weight.
const SIGMA: f64 = 0.2;

/// The penalty of a member for changes of its action: without it the search finds teachers that push now left, now right at
/// full force in every step, which score well and are hard to imitate.
const CHANGE_PENALTY: f64 = 0.1;

/// Members of a generation.
const MEMBERS: usize = 48;

/// Episodes by which a member is judged, the same for all members of a generation.
const EPISODES: u32 = 16;

/// A search for a teacher's weights.
#[derive(Debug)]
pub struct Search {
    search: CmaEs,
    starts: Starts,
}

impl Search {
    /// A search that begins at weights of zero; `starts` says in which world and from which random numbers.
    ///
    /// # Errors
    /// If the search refuses its settings.
    pub fn new(starts: &Starts) -> Result<Self, Failure> {
        let settings = Settings { members: MEMBERS, sigma: SIGMA, seed: starts.seed, ..Settings::new(PARAMETERS) };
        let search = CmaEs::new(&[0.0; PARAMETERS], settings).map_err(Failure::run)?;
        Ok(Self { search, starts: Starts { count: EPISODES, ..*starts } })
    }

    /// One generation: the mean score of its members, less the penalty for changes of their actions.
    ///
    /// # Errors
    /// If the search diverges.
    pub fn advance(&mut self) -> Result<f64, Failure> {
        let starts = Starts { first: self.starts.first + self.search.generation() * EPISODES, ..self.starts };
        let members: Vec<Perceptron> =
            self.search.ask().map_err(Failure::run)?.chunks_exact(PARAMETERS).map(teacher).collect();
        let scores = in_parallel(0..MEMBERS as u32, |member| {
            let episodes = starts.first..starts.first + starts.count;
            let played = episodes.map(|episode| score(&members[member as usize], &starts, episode, false));
            played.map(|episode| episode.score - CHANGE_PENALTY * episode.action_changes).sum::<f64>()
        });
        let fitness: Vec<f32> = scores.iter().map(|score| (score / f64::from(EPISODES)) as f32).collect();
        self.search.tell(&fitness).map_err(Failure::run)?;
        Ok(scores.iter().sum::<f64>() / (f64::from(EPISODES) * MEMBERS as f64))
    }

    /// Returns the number of generations done.
    pub fn generation(&self) -> u32 {
        self.search.generation()
    }

    /// Adds the state of the search to a checkpoint.
    pub fn save(&self, checkpoint: &mut Checkpoint) {
        self.search.save(checkpoint, "cma_es.");
    }

    /// Resumes from a checkpoint.
    ///
    /// # Errors
    /// It is damaged, or of another search.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        Ok(self.search.restore(checkpoint, "cma_es.")?)
    }

    /// The mean of the search distribution.
    pub fn weights(&self) -> Vec<f32> {
        self.search.mean()
    }
}

/// The teacher of these weights.
pub fn teacher(weights: &[f32]) -> Perceptron {
    Perceptron::new(CHANNELS, HIDDEN, weights)
}

#[cfg(test)]
mod tests {
    use fourfold::shaders::rollout::environments::CartPoleSwingUp;

    use super::super::episodes::scores;
    use super::*;

    #[test]
    fn a_search_soon_finds_a_teacher_that_scores_more_than_doing_nothing() {
        let starts = Starts { world: CartPoleSwingUp { easy: true }, seed: 3, stream: 1, first: 0, count: 32 };
        let mean = |weights: &[f32]| {
            let episodes = scores(&teacher(weights), &starts, false);
            episodes.iter().map(|episode| episode.score).sum::<f64>() / episodes.len() as f64
        };
        let mut search = Search::new(&Starts { stream: 2, ..starts }).unwrap();
        let before = mean(&search.weights());
        for _ in 0..12 {
            search.advance().unwrap();
        }
        let after = mean(&search.weights());
        assert!(after > 3.0 * before, "{before} became {after}");
    }
}
