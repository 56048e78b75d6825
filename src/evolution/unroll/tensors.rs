//! The tensors that every estimator has.

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
}

/// The dispatches of an unroll: first step and number of steps of each.
pub(super) fn segments(truncation: usize, steps: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..truncation).step_by(steps).map(move |first| (first, steps.min(truncation - first)))
}
