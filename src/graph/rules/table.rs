//! Rows of tables, and dropout.

use super::NodeGradient;
use crate::graph::Tensor;

pub fn gather<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let (table, indices) = (node.inputs[0], node.inputs[1]);
    node.only(0, || node.cotangent().scatter_add(indices, table.shape()[0]))
}

pub fn scatter_add<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || node.cotangent().gather(node.inputs[1]))
}

/// The same mask on the cotangent.
pub fn dropout<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let dy = node.cotangent();
    node.only(0, || node.graph.add(node.op.clone(), &[dy, node.inputs[1]], [dy.kind()]))
}
