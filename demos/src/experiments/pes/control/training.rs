//! The tasks, the estimators, and one training.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::problems::Control;
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, InnerProblem, OuterLoop, OuterSettings, OuterTensors,
    UnrollSettings, UnrolledGradient,
};
use fourfold::models::PolicyNetwork;
use fourfold::rollout::environments::{CartPoleSwingUp, Pendulum, Swimmer};
use fourfold::rollout::policies::{Linear, Perceptron};
use fourfold::rollout::{Environment, Interface};
use fourfold::shaders::random::threefry::Random;
use serde::Serialize;

use crate::failure::Failure;

/// A task: a policy in an environment, with a budget for training.
#[derive(Debug, Clone)]
pub struct Task {
    pub name: &'static str,
    /// The name of the environment in a file of weights.
    pub world: &'static str,
    /// The policy and the environment, in words.
    pub description: &'static str,
    pub problem: Arc<dyn InnerProblem>,
    /// The policy that the problem trains, and the numbers of its observations and actions.
    pub policy: (PolicyNetwork, Interface),
    /// Standard deviation of the first weights; 0 is the policy that does nothing.
    pub start: f32,
    /// Steps of an unroll of the truncated estimators.
    pub truncation: usize,
    /// Particles, two of each antithetic pair.
    pub particles: usize,
    /// Unperturbed particles of truncated ES, from whose states neighbouring pairs start: with only one, an estimate
    /// would see a single state.
    pub chunks: usize,
    /// Environment steps of one training.
    pub budget: u64,
    /// The return at which the task counts as solved.
    pub goal: f64,
}

impl Task {
    /// Lists the tasks of the experiment.
    pub fn all() -> [Self; 4] {
        let interface = |world: &dyn Environment| Interface { inputs: world.observations(), actions: world.actions() };
        let perceptron = || Perceptron::new(&[8]);
        let swing_up = CartPoleSwingUp { easy: true };
        let swimmer = Self {
            name: "swimmer",
            world: "swimmer",
            description: "a linear policy swims with three rods (18 weights, first zero; 20 particles, as the paper's)",
            problem: Arc::new(Control::new(Swimmer, Linear)),
            policy: (PolicyNetwork::Linear, interface(&Swimmer)),
            start: 0.0,
            truncation: 100,
            particles: 20,
            chunks: 1,
            budget: 600_000,
            goal: 300.0,
        };
        let short = Self {
            name: "swimmer-short",
            description: "the same in unrolls of 10 steps, 0.4 seconds: less than a stroke",
            truncation: 10,
            ..swimmer.clone()
        };
        // A linear policy of an angle's cosine and sine cannot swing a pole up and also hold it.
        let swing_up = Self {
            name: "swing-up",
            world: "cart-pole-swing-up-easy",
            description: "a perceptron 5-8-1 swings a pole up on a cart (57 weights; easy starts, and an episode that ends \
                          waits for its horizon)",
            problem: Arc::new(Control::new(swing_up, perceptron()).waiting()),
            policy: (PolicyNetwork::Perceptron(perceptron()), interface(&swing_up)),
            start: 0.3,
            truncation: 100,
            particles: 32,
            chunks: 4,
            budget: 3_000_000,
            goal: 500.0,
        };
        let pendulum = Self {
            name: "pendulum",
            world: "pendulum",
            description: "a perceptron 3-8-1 swings a pendulum up (41 weights)",
            problem: Arc::new(Control::new(Pendulum, perceptron())),
            policy: (PolicyNetwork::Perceptron(perceptron()), interface(&Pendulum)),
            start: 0.3,
            truncation: 20,
            particles: 32,
            chunks: 4,
            budget: 1_000_000,
            goal: -400.0,
        };
        [swimmer, short, swing_up, pendulum]
    }

    fn horizon(&self) -> usize {
        self.problem.horizon().unwrap_or_else(|| unreachable!("every environment has a horizon"))
    }

    /// Returns the first weights of a training, the same for every estimator.
    fn first(&self, seed: u32) -> Vec<f32> {
        const WEIGHTS: u32 = 7;
        let mut random = Random::new(seed, WEIGHTS);
        (0..self.problem.parameters()).map(|_| self.start * random.normal()).collect()
    }
}

/// An estimator with the length of its unrolls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorSetup {
    pub name: &'static str,
    pub estimator: Estimator,
    /// True if an unroll is a whole episode.
    pub whole: bool,
}

impl EstimatorSetup {
    /// The estimators that are compared. In unrolls of whole episodes all of them are full ES.
    pub const ALL: [Self; 4] = [
        Self { name: "PES", estimator: Estimator::PES, whole: false },
        Self { name: "NRES", estimator: Estimator::NRES, whole: false },
        Self { name: "full ES", estimator: Estimator::PES, whole: true },
        Self { name: "truncated ES", estimator: Estimator::TRUNCATED_ES, whole: false },
    ];

    /// Returns the steps of an unroll.
    pub fn truncation(&self, task: &Task) -> usize {
        if self.whole { task.horizon() } else { task.truncation }
    }

    fn chunks(&self, task: &Task) -> usize {
        if self.estimator == Estimator::TRUNCATED_ES { task.chunks } else { 1 }
    }

    /// Returns the environment steps of one outer iteration: those of the particles, and of the unperturbed ones that some share.
    pub fn steps(&self, task: &Task) -> u64 {
        let unperturbed = if self.estimator == Estimator::TRUNCATED_ES { task.chunks } else { 0 };
        ((task.particles + unperturbed) * self.truncation(task)) as u64
    }
}

/// The settings that each estimator is tuned over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hyperparameters {
    /// Standard deviation of the perturbations.
    pub sigma: f32,
    /// The learning rate of Adam.
    pub rate: f32,
}

/// The learning curve of a training: environment steps so far, and the mean return of the unperturbed policy.
pub type Curve = Vec<(f64, f64)>;

/// A task on a device.
#[derive(Debug)]
pub struct Trainer<'a> {
    gpu: &'a Gpu,
    task: &'a Task,
    evaluator: Evaluator,
    points: usize,
}

impl<'a> Trainer<'a> {
    /// Creates a trainer whose curves have `points` points after the first, each the mean over the same `episodes` episodes.
    ///
    /// # Errors
    /// Sizes of zero, or no memory.
    pub fn new(gpu: &'a Gpu, task: &'a Task, [points, episodes]: [usize; 2]) -> Result<Self, Failure> {
        const EPISODES: u32 = 0x5157;
        let settings = EvaluatorSettings { episodes, ..EvaluatorSettings::new(points + 1, EPISODES) };
        let evaluator = Evaluator::new(gpu, task.problem.clone(), &settings)?;
        Ok(Self { gpu, task, evaluator, points })
    }

    /// Trains once, with Adam, and returns the curve and the last weights of the unperturbed policy.
    ///
    /// # Errors
    /// Settings out of range, or the loss of the device.
    pub fn train(
        &self,
        setup: &EstimatorSetup,
        hyperparameters: Hyperparameters,
        seed: u32,
    ) -> Result<(Curve, Vec<f32>), Failure> {
        let Task { problem, particles, budget, .. } = self.task;
        let unroll =
            UnrollSettings::new(setup.estimator, *particles, setup.truncation(self.task), hyperparameters.sigma);
        // Each pair has episodes of its own, as in the paper: one start for all would leave little to learn from.
        let unroll = UnrollSettings { common_random_numbers: false, chunks: setup.chunks(self.task), ..unroll };
        let mut centers = self.task.first(seed);
        let outer = OuterTensors::new(self.gpu, &centers, seed)?;
        let source = UnrolledGradient::new(self.gpu, problem.clone(), &unroll, &outer)?;
        let settings = OuterSettings { descent: Descent::adam(0.9), rate: hyperparameters.rate, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(self.gpu, outer, Box::new(source), settings)?;

        let each = setup.steps(self.task);
        let iterations = (budget / each).max(1) as usize;
        let mut steps = vec![0.0];
        for point in 1..=self.points {
            let wanted = (point * iterations / self.points).max(1);
            let progress = outer.run(wanted.saturating_sub(outer.iteration() as usize))?;
            centers.extend(&progress.centers[0]);
            steps.push((wanted as u64 * each) as f64);
        }
        let returns = self.evaluator.run(&centers)?.into_iter().map(|evaluated| -evaluated.sum);
        let last = centers[centers.len() - problem.parameters()..].to_vec();
        Ok((steps.into_iter().zip(returns).collect(), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_steps_count_every_particle() {
        let tasks = Task::all();
        let steps = |task: &Task| EstimatorSetup::ALL.map(|setup| setup.steps(task));
        assert_eq!(steps(&tasks[0]), [2_000, 2_000, 20_000, 2_100]);
        assert_eq!(steps(&tasks[3]), [640, 640, 6_400, 720]);
    }

    #[test]
    fn chunks_are_equal() {
        for task in Task::all() {
            assert_eq!(task.particles / 2 % task.chunks, 0, "{}", task.name);
            assert_eq!(task.horizon() % task.truncation, 0, "{}", task.name);
        }
    }

    #[test]
    fn a_swimmer_learns_to_swim() {
        let gpu = Gpu::open().unwrap();
        let [swimmer, ..] = Task::all();
        let task = Task { budget: 400_000, ..swimmer };
        let trainer = Trainer::new(&gpu, &task, [2, 10]).unwrap();
        let (curve, weights) =
            trainer.train(&EstimatorSetup::ALL[0], Hyperparameters { sigma: 0.3, rate: 0.05 }, 100).unwrap();
        assert_eq!(weights.len(), 18);
        assert_eq!(curve.iter().map(|point| point.0).collect::<Vec<_>>(), [0.0, 200_000.0, 400_000.0]);
        assert!(curve[0].1.abs() < 10.0 && curve[2].1 > 200.0, "{curve:?}");
    }
}
