//! From what each pair adds to a gradient to the gradient: the dispatches that all estimators of pairs end with.

use fourfold_shaders::evolution::persistent_gradient;
use fourfold_shaders::inner_problem::SHARES;
use fourfold_shaders::reduction::reduce::{self, Reduction};

use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::Error;

/// What the rows of the shares are, and so their means.
pub(super) const COLUMNS: &[&str] = &["a", "b", "keep", "add", "loss_plus", "loss_minus"];

/// The tensors of a gradient from pairs.
pub(super) struct PairGradient<'a> {
    /// (6, pairs)
    pub shares: &'a BufferView,
    /// `u32` (pairs)
    pub drawn: &'a BufferView,
    /// `u32` (2)
    pub seed: &'a BufferView,
    /// As many as [`persistent_gradient::Problem::accumulators`] asks for.
    pub accumulators: &'a [BufferView],
    pub sums: &'a BufferView,
    /// (parameters)
    pub gradient: &'a BufferView,
}

impl PairGradient<'_> {
    /// The dispatches that leave the gradient, and bring the accumulators up to date.
    pub fn prepare(&self, gpu: &Gpu, problem: &persistent_gradient::Problem) -> Result<Recording, Error> {
        let (partial, last) = problem.calls(&gpu.target());
        let shared = [self.shares, self.drawn, self.seed];
        let operands: Vec<Vec<BufferView>> = partial
            .iter()
            .map(|(shard, _)| shared.into_iter().chain([&self.accumulators[*shard], self.sums]).cloned().collect())
            .collect();
        let ends = [self.sums.clone(), self.gradient.clone()];
        let launches = partial.iter().zip(&operands).map(|((_, call), views)| Launch::new(call, views));
        Ok(gpu.prepare(&launches.chain([Launch::new(&last, &ends)]).collect::<Vec<_>>())?)
    }
}

/// The dispatches that leave the means of the shares of `pairs` pairs, in the order of [`COLUMNS`].
pub(super) fn means(gpu: &Gpu, pairs: usize, shares: &BufferView, means: &BufferView) -> Result<Recording, Error> {
    let mean = reduce::Problem { reduction: Reduction::Mean, outer: SHARES, axis: pairs, inner: 1 };
    Ok(gpu.prepare_sequence(&mean.sequence(&gpu.target()), &[shares.clone(), means.clone()])?)
}
