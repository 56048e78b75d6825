//! Products of matrices.

use super::NodeGradient;
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
