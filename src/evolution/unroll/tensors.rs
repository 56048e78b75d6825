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
    /// The tensors of particles that several processes can share; `None` where each has to have all.
    pub shared_out: Option<SharedOut>,
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

/// The tensors (rows, pairs, perhaps more columns) of which a process computes only the columns of its own pairs.
#[derive(Debug, Clone)]
pub(super) struct SharedOut {
    /// Dispatches of the estimate that advance the own pairs; those after them need the shares of all.
    pub unrolled: usize,
    pub pairs: usize,
    /// Buffers that go on from unroll to unroll, with their rows and the elements of a row.
    pub state: Vec<(BufferId, usize, usize)>,
}

/// The dispatches of an unroll: first step and number of steps of each.
pub(super) fn segments(truncation: usize, steps: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..truncation).step_by(steps).map(move |first| (first, steps.min(truncation - first)))
}
