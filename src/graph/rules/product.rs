//! Products: of matrices, and of the ascent step's numbers with its gradient.

use super::NodeGradient;
use super::algebra::{dot, is_positive, negative, over, positive, times};
use crate::graph::Tensor;

/// For `c = a b`: `da = dc b^T`, `db = a^T dc`, each in the layout in which the operand lies, summed over the batch
/// where one matrix served all of it.
pub fn matmul<'g>(node: &NodeGradient<'g>, transpose_a: bool, transpose_b: bool) -> Vec<(usize, Tensor<'g>)> {
    let (a, b, dc) = (node.inputs[0], node.inputs[1], node.cotangent());
    let term = |input: usize| match (input, transpose_a, transpose_b) {
        (0, false, _) => dc.matmul_transposed(b, false, !transpose_b),
        (0, true, _) => b.matmul_transposed(dc, transpose_b, true),
        (_, _, false) => a.matmul_transposed(dc, !transpose_a, false),
        (_, _, true) => dc.matmul_transposed(a, true, transpose_a),
    };
    let wanted = [0, 1].into_iter().filter(|&input| node.wants(input));
    wanted.map(|input| (input, term(input).sum_to(&node.inputs[input].shape()))).collect()
}

/// For `w + rho g / norm`, with `norm` an input of its own: its dependence on `g` is another node's.
pub fn ascent<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [_, gradient, norm, rho] = node.inputs();
    let dy = node.cotangent();
    let step = || over(times(rho, is_positive(norm)), positive(norm));
    let along = || dot(dy, gradient);
    [
        node.only(0, || dy),
        node.only(1, || times(dy, step())),
        node.only(2, || negative(times(along(), over(step(), positive(norm))))),
        node.only(3, || times(along(), over(is_positive(norm), positive(norm)))),
    ]
    .concat()
}

/// For `w + rho sign(g)`.
pub fn sign_ascent<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let dy = node.cotangent();
    [node.only(0, || dy), node.only(2, || dot(dy, node.inputs[1].sign()))].concat()
}
