//! The tensors that every estimator has.

use fourfold_shaders::inner_problem::{OuterIterations, TruncationProblem};

use crate::gpu::program::{BufferId, RecordingId};

/// The ids of the tensors and recordings that every estimator has.
#[derive(Debug, Clone)]
pub(super) struct Tensors {
    /// Writes the gradient.
    pub estimate: RecordingId,
    /// Writes the metrics, if they are not there yet.
    pub measure: Option<RecordingId>,
    pub metrics: BufferId,
    pub shares: Option<BufferId>,
    pub counters: Option<BufferId>,
    pub accumulators: Vec<BufferId>,
    /// Of a population that is so small that one workgroup runs whole iterations.
    pub small: Option<Small>,
}

/// A small population: its unroll, and the buffers that hold it.
#[derive(Debug, Clone)]
pub(super) struct Small {
    pub iterations: OuterIterations,
    pub unroll: TruncationProblem,
    pub data: BufferId,
    /// The saved states, then the shares.
    pub saved: BufferId,
    pub counters: BufferId,
    /// The accumulators, then the metrics.
    pub accumulators: BufferId,
}

/// The dispatches of an unroll: first step and number of steps of each.
pub(super) fn segments(truncation: usize, steps: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..truncation).step_by(steps).map(move |first| (first, steps.min(truncation - first)))
}
