//! The training of a network by a learned optimiser, as an inner problem.

use fourfold_shaders::Data;

use super::{LearnedOptimiser, OptimiserConstants, OptimiserInput, flat};
use crate::evolution::{GraphProblem, InnerStep, MemberState, SharedTensor, StepContext};
use crate::graph::Tensor;
use crate::models::hyperparameters::{ImageTask, bounded};

/// Perceptrons that learn images by a [`LearnedOptimiser`], whose weights are the outer parameters.
///
/// The loss of a step is the cross-entropy of its training minibatch before the step, cut off at `3 ln 10`, three times
/// the loss of guessing; a NaN counts as that. All members see the same minibatches and begin with the same
/// weights. Of the task's settings, how it is judged plays no part.
#[derive(Debug)]
pub struct LearnedTraining {
    task: ImageTask,
    optimiser: LearnedOptimiser,
    constants: [(Data, [usize; 2]); 4],
}

const CONSTANTS: [&str; 4] = ["decays", "rates", "means", "belongs"];

impl LearnedTraining {
    /// Trains the networks of a task by a learned optimiser.
    pub fn new(task: ImageTask, optimiser: LearnedOptimiser) -> Self {
        let constants = LearnedOptimiser::constants(&flat::sizes(&task));
        Self { task, optimiser, constants }
    }

    /// Returns the images and the network.
    pub fn task(&self) -> &ImageTask {
        &self.task
    }

    /// The task alone, for another optimiser.
    pub fn into_task(self) -> ImageTask {
        self.task
    }

    /// Returns the sizes of the optimiser.
    pub fn optimiser(&self) -> &LearnedOptimiser {
        &self.optimiser
    }
}

impl GraphProblem for LearnedTraining {
    fn name(&self) -> &str {
        "the learned optimiser"
    }

    fn parameters(&self) -> usize {
        self.optimiser.parameters()
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.task.settings.horizon)
    }

    fn states(&self) -> Vec<MemberState> {
        let weights = self.task.weights();
        vec![
            MemberState::f32("weights", [weights]),
            MemberState::f32("averages", [LearnedOptimiser::DECAYS.len(), weights]),
            MemberState::f32("squares", [weights]),
        ]
    }

    fn shared(&self) -> Vec<SharedTensor<'_>> {
        let mut shared = self.task.shared();
        let constants = CONSTANTS.iter().zip(&self.constants);
        shared.extend(constants.map(|(name, (data, shape))| SharedTensor { name, data, shape }));
        shared
    }

    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        let weights = self.task.weights();
        let averages = inner.graph.full([LearnedOptimiser::DECAYS.len(), weights], 0.0);
        vec![flat::initial(&self.task, inner), averages, inner.graph.full([weights], 0.0)]
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let [weights, averages, squares] = states[..] else { unreachable!("there are three states") };
        let [loss, gradient] = flat::descent(&self.task, inner, weights);
        let [decays, rates, means, belongs] = inner.shared[inner.shared.len() - CONSTANTS.len()..] else {
            unreachable!("there are four constants")
        };
        let input = OptimiserInput {
            theta: inner.theta,
            time: inner.time,
            weights,
            gradient,
            averages,
            squares,
            constants: OptimiserConstants { decays, rates, means, belongs },
        };
        let step = self.optimiser.step(inner.graph, &input);
        InnerStep { states: vec![bounded(step.weights), step.averages, bounded(step.squares)], loss }
    }
}
