//! Clipping by the global norm.

use fourfold_shaders::elementwise::{Binary, Unary};

use crate::graph::Tensor;

/// `g min(1, largest / ||g||)` for a flat gradient: unchanged bits where the norm is within bounds.
#[track_caller]
pub fn clip_by_global_norm(gradient: Tensor<'_>, largest: f32) -> Tensor<'_> {
    let graph = gradient.graph();
    // A norm of zero clips nothing; the bound keeps its reciprocal finite.
    let norm = gradient.norm().binary(Binary::Max, graph.constant(1e-30));
    let factor = norm.unary(Unary::Recip).binary(Binary::Mul, graph.constant(largest)).min(graph.constant(1.0));
    gradient * factor
}
