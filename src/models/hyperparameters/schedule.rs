//! A learning rate that decays over the training.

use fourfold_shaders::Element;

use super::ImageTask;
use crate::evolution::{GraphProblem, InnerStep, MemberState, SharedTensor, StepContext};
use crate::graph::Tensor;

/// Two outer parameters: the rate is `a / (1 + t / steps)^d` with `a = exp(theta[0])` and `d = exp(theta[1])`.
#[derive(Debug)]
pub struct RateSchedule {
    /// The images and the network.
    pub task: ImageTask,
    /// 0.9 in the paper.
    pub momentum: f32,
    /// Steps after which the rate has fallen to `a / 2^d`: 5,000 in the paper, whose trainings have as many.
    pub steps: f32,
}

impl GraphProblem for RateSchedule {
    fn name(&self) -> &str {
        "the schedule of a learning rate"
    }

    fn parameters(&self) -> usize {
        2
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.task.settings.horizon)
    }

    fn states(&self) -> Vec<MemberState> {
        self.task.states()
    }

    fn shared(&self) -> Vec<SharedTensor<'_>> {
        self.task.shared()
    }

    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        self.task.reset(inner)
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let slower = (inner.time.cast(Element::F32) * (1.0 / self.steps) + 1.0).log();
        let rate = (inner.parameter(0) - inner.parameter(1).exp() * slower).exp();
        let momentum = inner.graph.full([inner.population], self.momentum);
        let tensors = states.len() / 2;
        self.task.step(inner, states, &vec![rate; tensors], &vec![momentum; tensors], &[])
    }
}
