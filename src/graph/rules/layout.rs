//! Operations that move elements: the cotangent moves back. Views and slices are gathered by the sweep itself.

use super::NodeGradient;
use super::algebra::sum_to;
use crate::graph::Tensor;

pub fn reshape<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || node.cotangent().reshape(node.inputs[0].shape()))
}

pub fn broadcast<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || sum_to(node.cotangent(), &node.inputs[0].shape()))
}

pub fn permute<'g>(node: &NodeGradient<'g>, axes: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    let mut inverse = vec![0; axes.len()];
    for (place, &axis) in axes.iter().enumerate() {
        inverse[axis] = place;
    }
    node.only(0, || node.cotangent().permute(&inverse))
}

pub fn pad<'g>(node: &NodeGradient<'g>, starts: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || node.cotangent().slice(starts, node.inputs[0].shape()))
}

pub fn concatenate<'g>(node: &NodeGradient<'g>, axis: usize) -> Vec<(usize, Tensor<'g>)> {
    let mut start = 0;
    let mut terms = Vec::new();
    for (input, tensor) in node.inputs.iter().enumerate() {
        let length = tensor.shape()[axis];
        if node.wants(input) {
            terms.push((input, node.cotangent().narrow(axis, start, length)));
        }
        start += length;
    }
    terms
}

pub fn pack<'g>(node: &NodeGradient<'g>, offsets: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    let wanted = offsets.iter().enumerate().filter(|&(input, _)| node.wants(input));
    wanted.map(|(input, &offset)| (input, node.cotangent().view(offset, node.inputs[input].shape()))).collect()
}
