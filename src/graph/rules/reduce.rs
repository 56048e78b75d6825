//! Reductions.

use fourfold_shaders::elementwise::Compare;

use super::NodeGradient;
use super::algebra::{over, times};
use crate::graph::Tensor;

pub fn sum<'g>(node: &NodeGradient<'g>, axis: usize) -> Vec<(usize, Tensor<'g>)> {
    let shape = node.inputs[0].shape();
    node.only(0, || node.cotangent().reshape(shape.with_axis(axis, 1)).broadcast_to(&shape))
}

/// Equal maxima share the cotangent equally.
pub fn max<'g>(node: &NodeGradient<'g>, axis: usize) -> Vec<(usize, Tensor<'g>)> {
    let x = node.inputs[0];
    let kept = x.shape().with_axis(axis, 1);
    node.only(0, || {
        let chosen = x.compare(Compare::Eq, node.outputs[0].reshape(&kept));
        let share = over(node.cotangent(), chosen.sum(axis));
        times(chosen, share.reshape(&kept))
    })
}

/// `x / norm`; 0 where the norm is 0.
pub fn norm<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || times(node.inputs[0], over(node.cotangent(), positive(node.outputs[0]))))
}

/// The norm, or 1 where it is too small to divide by.
pub fn positive(norm: Tensor<'_>) -> Tensor<'_> {
    is_positive(norm).select(norm, norm.graph().constant(1.0))
}

/// 1 where the norm is a normal number, 0 where it counts as 0.
pub fn is_positive(norm: Tensor<'_>) -> Tensor<'_> {
    norm.compare(Compare::Ge, norm.graph().constant(f32::MIN_POSITIVE))
}
