//! The training of a network by an optimiser of the textbooks, as an inner problem: what a learned one is held against.

use fourfold_shaders::Element;

use super::flat;
use crate::evolution::{GraphProblem, InnerStep, MemberState, SharedTensor, StepContext};
use crate::graph::Tensor;
use crate::models::hyperparameters::{ImageTask, bounded};

/// Perceptrons that learn images by a [`Rule`]; the one outer parameter is the logarithm of the learning rate, so the
/// members of a population are a grid of rates. Losses are those of a [`LearnedTraining`](super::LearnedTraining).
#[derive(Debug)]
pub struct RatedTraining {
    /// The images and the network.
    pub task: ImageTask,
    /// The update rule.
    pub rule: Rule,
}

/// An update rule: from a gradient to a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `v = momentum v + g`, `w -= rate v`.
    Sgd {
        /// The share of the velocity that a step keeps.
        momentum: f32,
    },
    /// Adam (Kingma & Ba 2015) with its usual 0.9, 0.999 and 1e-8.
    Adam,
}

impl GraphProblem for RatedTraining {
    fn name(&self) -> &str {
        match self.rule {
            Rule::Sgd { .. } => "training by SGD",
            Rule::Adam => "training by Adam",
        }
    }

    fn parameters(&self) -> usize {
        1
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.task.settings.horizon)
    }

    fn states(&self) -> Vec<MemberState> {
        ["weights", "average", "squares"].map(|name| MemberState::f32(name, [self.task.weights()])).to_vec()
    }

    fn shared(&self) -> Vec<SharedTensor<'_>> {
        self.task.shared()
    }

    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        let zeros = inner.graph.full([self.task.weights()], 0.0);
        vec![flat::initial(&self.task, inner), zeros, zeros]
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let [weights, average, squares] = states[..] else { unreachable!("there are three states") };
        let [loss, gradient] = flat::descent(&self.task, inner, weights);
        let rate = inner.parameter(0).exp().reshape([inner.population, 1]);
        let (average, squares, direction) = match self.rule {
            Rule::Sgd { momentum } => {
                let average = average * momentum + gradient;
                (average, squares, average)
            }
            Rule::Adam => {
                let average = average * 0.9 + gradient * 0.1;
                let squares = squares * 0.999 + gradient.square() * 0.001;
                let steps = inner.time.cast(Element::F32) + 1.0;
                let whole = |decay: f32| 1.0 - (steps * decay.ln()).exp();
                let direction = average / whole(0.9) / ((squares / whole(0.999)).sqrt() + 1e-8);
                (average, squares, direction)
            }
        };
        let states = vec![bounded(weights - rate * direction), bounded(average), bounded(squares)];
        InnerStep { states, loss }
    }
}
