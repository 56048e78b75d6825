//! Operations in terms of simpler ones: the definition by which second derivatives and the
//! [reference](super::Reference) go.

use fourfold_shaders::elementwise::Unary;

use super::rules::algebra::clamp;
use super::{Graph, Op, Tensor};

/// The outputs of `op` from `inputs` in operations that are simpler; `None` if it has no such definition. Whoever needs
/// one reports the operation by name.
pub(super) fn decompose<'g>(graph: &'g Graph, op: &Op, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
    match (op, inputs) {
        (Op::Unary(Unary::GeluTanhDerivative), &[x]) => Some(vec![gelu_tanh_derivative(x)]),
        (Op::Fused(operation), inputs) => operation.defined(graph, inputs),
        _ => None,
    }
}

/// `s + x s (1 - s) u'` with `s` the logistic function of `u = 2 sqrt(2/pi) (x + 0.044715 x^3)`.
fn gelu_tanh_derivative(x: Tensor<'_>) -> Tensor<'_> {
    const SCALE: f32 = 2.0 * 0.797_884_6;
    const CUBE: f32 = 0.044_715;
    // Past 40 the derivative is 0 or 1 to the last bit.
    let x = clamp(x, 40.0);
    let square = x.square();
    let share = (x * (square * CUBE + 1.0) * SCALE).unary(Unary::Sigmoid);
    let slope = (square * (3.0 * CUBE) + 1.0) * SCALE;
    share + x * share * (1.0 - share) * slope
}
