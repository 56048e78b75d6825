//! The gradient from the four numbers that each pair contributes: the dispatches that all estimators of pairs end
//! with.

use fourfold_shaders::Target;
use fourfold_shaders::evolution::{fitness, persistent_gradient};
use fourfold_shaders::inner_problem::{OuterIterations, SHARES};
use fourfold_shaders::reduction::reduce::{self, Reduction};

use crate::gpu::program::{Allocation, BufferId, ProgramPlan, RecordingId};

/// The rows of the shares, and the names of their means.
pub(super) const COLUMNS: &[&str] = &["a", "b", "keep", "add", "loss_plus", "loss_minus"];

/// The tensors of a gradient from pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairGradient {
    /// (6, pairs)
    pub shares: BufferId,
    /// `u32` (pairs, or more): the unroll in which each pair's perturbation was drawn.
    pub drawn: BufferId,
    /// `u32` (2)
    pub seed: BufferId,
    /// (parameters)
    pub gradient: BufferId,
}

impl PairGradient {
    /// Adds the dispatches that write the gradient and update the accumulators, which it returns.
    pub fn plan(
        &self,
        program: &mut ProgramPlan,
        recording: RecordingId,
        problem: &persistent_gradient::Problem,
        target: &Target,
    ) -> Vec<BufferId> {
        // The plan keeps the error of a problem whose sizes are out of range.
        let lengths = problem.accumulators().unwrap_or_default().into_iter().enumerate();
        let accumulators: Vec<_> = lengths
            .map(|(index, length)| Allocation::f32(format!("accumulators.{index}"), length).zeros().kept())
            .map(|allocation| program.buffer(allocation))
            .collect();
        let mut arguments = vec![self.shares, self.drawn, self.seed, self.gradient];
        arguments.extend(&accumulators);
        program.sequence(recording, problem.sequence(target), &arguments);
        accumulators
    }
}

/// Adds the dispatches that write the mean of each of `rows` rows of `columns` numbers.
pub(super) fn means(
    program: &mut ProgramPlan,
    recording: RecordingId,
    [rows, columns]: [usize; 2],
    [from, to]: [BufferId; 2],
    target: &Target,
) {
    let mean = reduce::Problem { reduction: Reduction::Mean, outer: rows, axis: columns, inner: 1 };
    program.sequence(recording, mean.sequence(target), &[from, to]);
}

/// Adds a tensor with the means of the shares of `pairs` pairs, in the order of [`COLUMNS`], and its dispatches.
pub(super) fn mean_shares(
    program: &mut ProgramPlan,
    recording: RecordingId,
    pairs: usize,
    shares: BufferId,
    target: &Target,
) -> BufferId {
    let metrics = program.buffer(Allocation::f32("metrics", SHARES).zeros());
    if pairs <= OuterIterations::MOST_PAIRS {
        // One by one, as the kernel that runs whole iterations of so few pairs sums them.
        let mean = fitness::Problem { members: SHARES, episodes: pairs };
        program.sequence(recording, mean.sequence(target), &[shares, metrics]);
    } else {
        means(program, recording, [SHARES, pairs], [shares, metrics], target);
    }
    metrics
}
