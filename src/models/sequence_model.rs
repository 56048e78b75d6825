//! Models that learn from windows of trajectories: the decision transformer and its baselines.

use crate::data::Actions;
use crate::graph::Tensor;
use crate::nn::{Noise, Parameters, Weights};

/// K consecutive steps of each of B trajectories, as tensors of a graph. Where a trajectory has fewer, they stand last
/// and the rows before them are padding.
#[derive(Debug, Clone, Copy)]
pub struct Window<'g> {
    /// (B, K): what is still to be earned, this step's reward included, in units of the return scale.
    pub returns: Tensor<'g>,
    /// (B, K, observations): standardised.
    pub observations: Tensor<'g>,
    /// (B, K, [`Actions::width`]): numbers, or the number of a choice. The last one may not be known yet: no output
    /// of its own step depends on it.
    pub actions: Tensor<'g>,
    /// `u32` (B, K): the step within the episode.
    pub times: Tensor<'g>,
    /// (B, K): 1 where there is a step, 0 where there is padding.
    pub mask: Tensor<'g>,
}

/// A policy that sees a window of a trajectory.
pub trait SequenceModel: std::fmt::Debug {
    /// The parameters, in the order of their declaration.
    fn parameters(&self) -> &Parameters;

    /// Numbers in an observation.
    fn observations(&self) -> usize;

    /// The kind of action.
    fn actions(&self) -> Actions;

    /// Steps of a window, K.
    fn context(&self) -> usize;

    /// The loss of a window, shape `[]`: the mean over all steps that are not padding.
    #[track_caller]
    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g>;

    /// The action of the last step of each window, or its logits: (B, [`Actions::outputs`]).
    #[track_caller]
    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g>;
}
