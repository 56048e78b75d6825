//! Reductions.

use fourfold_shaders::elementwise::Compare;

use super::NodeGradient;
use super::algebra::{over, positive, times};
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
