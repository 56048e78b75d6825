//! Trajectories with what their returns are measured by.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::{Actions, Steps, Trajectories};
use fourfold::rollout::Environment;

use crate::experiments::data::{Collector, Stage, World, random_return};
use crate::failure::Failure;
use crate::statistics::{average, extremes};

/// Trajectories of an environment that can be played here.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The environment that is played.
    pub environment: Arc<dyn Environment>,
    /// Its name in a file of weights.
    pub played: &'static str,
    pub trajectories: Trajectories,
    /// The mean return of uniform actions: a score of 0.
    pub random: f64,
    /// The mean return of an expert: a score of 100.
    pub expert: f64,
}

impl DataSet {
    /// Episodes of our own collection.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn collected(collector: &Collector, stage: Stage, episodes: usize) -> Result<Self, Failure> {
        let trajectories = collector.collect(stage, episodes)?;
        let (world, random, expert) = (collector.world(), collector.random, collector.best());
        Ok(Self { environment: world.environment(), played: world.played(), trajectories, random, expert })
    }

    /// The expert episodes of the `imitation` library, which are built in: its pendulum's torques in units of ours.
    ///
    /// # Errors
    /// There are none for this environment, or the loss of the device.
    pub fn imitation(gpu: &Gpu, world: World, seed: u32) -> Result<Self, Failure> {
        let (bytes, torque) = match world {
            World::Pendulum => {
                (include_bytes!("../../../../tests/fixtures/trajectories/experts/pendulum.npz").as_slice(), 2.0)
            }
            World::CartPole => {
                (include_bytes!("../../../../tests/fixtures/trajectories/experts/cartpole.npz").as_slice(), 1.0)
            }
            _ => {
                return Err(Failure::Input(format!(
                    "{}: expected pendulum or cart-pole, of which there are expert episodes of `imitation`",
                    world.name()
                )));
            }
        };
        let name = format!("{}-imitation", world.name());
        let (read, _) = Trajectories::from_bytes(&name, bytes.to_vec(), None)?;
        let steps = read.columns().clone();
        let actions = steps.actions.iter().map(|action| action / torque).collect();
        let trajectories = Trajectories::new(&name, read.observations(), world.actions(), Steps { actions, ..steps })?;
        let expert = average(&trajectories.returns());
        let random = random_return(gpu, world, seed)?;
        Ok(Self { environment: world.environment(), played: world.played(), trajectories, random, expert })
    }

    pub fn name(&self) -> &str {
        self.trajectories.name()
    }

    pub fn actions(&self) -> Actions {
        self.trajectories.actions()
    }

    /// The normalised score of a return: 0 is random, 100 the expert.
    pub fn score(&self, value: f64) -> f64 {
        100.0 * (value - self.random) / (self.expert - self.random)
    }

    /// The return that is asked of transformers: the expert's, or that of the best episode where it is lower. More than
    /// anything in the data is no question that they have an answer to.
    pub fn target(&self) -> f64 {
        self.expert.min(extremes(&self.trajectories.returns()).1)
    }

    /// The number that returns are divided by, so that they are a few units at most, as the paper's are.
    pub fn return_scale(&self) -> f32 {
        let largest = self.trajectories.returns().into_iter().fold(0.0, |largest, value| value.abs().max(largest));
        if largest > 0.0 { (largest / 4.0) as f32 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experts_of_imitation_are_in_our_units_and_score_far_above_random() {
        let gpu = Gpu::open().unwrap();
        let pendulum = DataSet::imitation(&gpu, World::Pendulum, 0).unwrap();
        assert_eq!((pendulum.trajectories.episodes(), pendulum.trajectories.steps()), (56, 11_200));
        assert!(pendulum.trajectories.columns().actions.iter().all(|torque| torque.abs() <= 1.0));
        assert!((pendulum.expert + 189.4).abs() < 0.1 && pendulum.random < -1_000.0, "{pendulum:?}");
        assert_eq!((pendulum.score(pendulum.random), pendulum.score(pendulum.expert)), (0.0, 100.0));
        let poles = DataSet::imitation(&gpu, World::CartPole, 0).unwrap();
        assert_eq!(poles.actions(), Actions::Discrete(2));
        assert_eq!(poles.target(), poles.expert);
        let beyond = DataSet { expert: 1_000.0, ..poles.clone() };
        assert_eq!(beyond.target(), 500.0);
        assert!((poles.expert - 473.1).abs() < 0.1, "{}", poles.expert);
        assert!(DataSet::imitation(&gpu, World::Swimmer, 0).is_err());
    }

    /// The rewards of a recorded pendulum follow from what was seen and done, in our units too.
    #[test]
    fn the_recorded_pendulum_is_the_one_that_is_played_here() {
        let gpu = Gpu::open().unwrap();
        let pendulum = DataSet::imitation(&gpu, World::Pendulum, 0).unwrap();
        let environment = World::Pendulum.environment();
        let data = &pendulum.trajectories;
        for step in 0..190 {
            let (seen, after) = (data.observation(step), data.observation(step + 1));
            let angle = f64::from(seen[1]).atan2(f64::from(seen[0]));
            let mut state = [angle, f64::from(seen[2])];
            let torque = f64::from(data.action(step)[0]);
            let mut random = fourfold::rollout::EpisodeRandom::new(0, 0, 0, 0);
            let reward = environment.step(&mut state, &[torque], &mut random).reward;
            assert!((reward - f64::from(data.columns().rewards[step])).abs() < 1e-4, "{step}");
            assert!((state[1] - f64::from(after[2])).abs() < 1e-4, "{step}");
        }
    }
}
