//! Products: of matrices, and of the ascent step's numbers with its gradient.

use super::Site;
use super::algebra::{dot, negative, over, times};
use super::reduce::{is_positive, positive};
use crate::graph::Tensor;

/// For `c = a b`: `da = dc b^T`, `db = a^T dc`, each in the layout in which the operand lies, summed over the batch
/// where one matrix served all of it.
pub fn matmul<'g>(site: &Site<'g>, transpose_a: bool, transpose_b: bool) -> Vec<(usize, Tensor<'g>)> {
    let (a, b, dc) = (site.inputs[0], site.inputs[1], site.cotangent());
    let term = |input: usize| match (input, transpose_a, transpose_b) {
        (0, false, _) => dc.matmul_transposed(b, false, !transpose_b),
        (0, true, _) => b.matmul_transposed(dc, transpose_b, true),
        (_, _, false) => a.matmul_transposed(dc, !transpose_a, false),
        (_, _, true) => dc.matmul_transposed(a, true, transpose_a),
    };
    let wanted = [0, 1].into_iter().filter(|&input| site.wants(input));
    wanted.map(|input| (input, term(input).sum_to(&site.inputs[input].shape()))).collect()
}

/// For `w + rho g / norm`, with `norm` an input of its own: its dependence on `g` is another node's.
pub fn ascent<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [_, gradient, norm, rho] = site.inputs[..] else { return Vec::new() };
    let dy = site.cotangent();
    let step = || over(times(rho, is_positive(norm)), positive(norm));
    let along = || dot(dy, gradient);
    [
        site.only(0, || dy),
        site.only(1, || times(dy, step())),
        site.only(2, || negative(times(along(), over(step(), positive(norm))))),
        site.only(3, || times(along(), over(is_positive(norm), positive(norm)))),
    ]
    .concat()
}

/// For `w + rho sign(g)`.
pub fn sign_ascent<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let dy = site.cotangent();
    [site.only(0, || dy), site.only(2, || dot(dy, site.inputs[1].sign()))].concat()
}
