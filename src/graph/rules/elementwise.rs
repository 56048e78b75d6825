//! Elementwise operations.

use std::f32::consts::FRAC_2_SQRT_PI;

use fourfold_shaders::elementwise::{Binary, Compare, Unary};

use super::NodeGradient;
use super::algebra::{clamp, negative, over, sum_to, times, uniform_value};
use crate::graph::Tensor;

/// Functions of one number: the cotangent times the slope.
pub fn unary<'g>(node: &NodeGradient<'g>, function: Unary) -> Vec<(usize, Tensor<'g>)> {
    match slope(function, node.inputs[0], node.outputs[0]) {
        Some(slope) => node.only(0, || times(node.cotangent(), slope)),
        None => node.through_decomposition(),
    }
}

/// The derivative of `y = function(x)`; `None` where it comes from the decomposition. Where the function is clamped the
/// derivative is 0, so that no infinity arises.
fn slope<'g>(function: Unary, x: Tensor<'g>, y: Tensor<'g>) -> Option<Tensor<'g>> {
    let number = |value: f32| x.graph().constant(value);
    Some(match function {
        Unary::Neg => number(-1.0),
        Unary::Abs => x.sign(),
        Unary::Sign | Unary::Step | Unary::Floor => number(0.0),
        // y is positive where x is: so x need not be kept, and the product before it takes bias and ReLU along.
        Unary::Relu => y.unary(Unary::Step),
        Unary::Square => x * 2.0,
        Unary::Sqrt => x.unary(Unary::Rsqrt) * x.unary(Unary::Step) * 0.5,
        // Below 1e-19 the quotient would leave the range of f32.
        Unary::Rsqrt => y / x.max(number(1e-19)) * x.unary(Unary::Step) * -0.5,
        Unary::Recip => -y.square(),
        Unary::Exp => y,
        Unary::Log => x.max(number(f32::MIN_POSITIVE)).unary(Unary::Recip) * x.unary(Unary::Step),
        Unary::Sin => x.unary(Unary::Cos),
        Unary::Cos => -x.unary(Unary::Sin),
        Unary::Tanh => 1.0 - y.square(),
        Unary::Erf => (-clamp(x, 20.0).square()).exp() * FRAC_2_SQRT_PI,
        Unary::Sigmoid => y * (1.0 - y),
        Unary::Softplus => x.unary(Unary::Sigmoid),
        Unary::GeluErf => x.unary(Unary::GeluErfDerivative),
        Unary::GeluErfDerivative => {
            // The density p of the normal distribution has the derivative -x p: (P + x p)' = p (2 - x^2).
            const DENSITY_AT_ZERO: f32 = 0.398_942_3;
            let square = clamp(x, 20.0).square();
            (square * -0.5).exp() * (2.0 - square) * DENSITY_AT_ZERO
        }
        Unary::GeluTanh => x.unary(Unary::GeluTanhDerivative),
        Unary::GeluTanhDerivative => return None,
    })
}

/// Functions of two numbers: the cotangent times each slope, summed over what was stretched.
pub fn binary<'g>(node: &NodeGradient<'g>, function: Binary) -> Vec<(usize, Tensor<'g>)> {
    let (a, b, y, dy) = (node.inputs[0], node.inputs[1], node.outputs[0], node.cotangent());
    let term = |input: usize| match (function, input) {
        (Binary::Add, _) | (Binary::Sub, 0) => dy,
        (Binary::Sub, _) => negative(dy),
        (Binary::Mul, 0) => times(dy, b),
        (Binary::Mul, _) => times(dy, a),
        (Binary::Div, 0) => over(dy, b),
        (Binary::Div, _) => times(negative(dy), over(y, b)),
        (Binary::Max, 0) | (Binary::Min, 1) => times(dy, share(a, b)),
        (Binary::Max, _) | (Binary::Min, _) => times(dy, share(b, a)),
        (Binary::Pow, 0) => times(dy, base_slope(a, b, y)),
        // The magnitude is raised; at 0 every power is 0 or 1.
        (Binary::Pow, _) => times(dy, y * (a.abs().log() * a.sign().abs())),
    };
    let wanted = [0, 1].into_iter().filter(|&input| node.wants(input));
    wanted.map(|input| (input, sum_to(term(input), &node.inputs[input].shape()))).collect()
}

/// 1 where `a > b`, one half where they are equal, 0 elsewhere.
fn share<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    (a.compare(Compare::Gt, b) + a.compare(Compare::Ge, b)) * 0.5
}

/// The derivative of `y = a^b` for `a`: `b a^(b-1)`, and `b y / a` where `a` is negative, since then the sign of the
/// power follows the parity of `b`, not of `b - 1`.
fn base_slope<'g>(a: Tensor<'g>, b: Tensor<'g>, y: Tensor<'g>) -> Tensor<'g> {
    let lower = match uniform_value(b) {
        Some(2.0) => return a * 2.0,
        Some(exponent) => a.graph().constant(exponent - 1.0),
        None => b - 1.0,
    };
    let positive = times(b, a.binary(Binary::Pow, lower));
    if uniform_value(b).is_some_and(|exponent| exponent.fract() == 0.0) {
        return positive;
    }
    let below = a.compare(Compare::Lt, a.graph().constant(0.0));
    let divisor = below.select(a, a.graph().constant(1.0));
    below.select(times(b, y / divisor), positive)
}

/// The gradient goes to the chosen operand alone.
pub fn select<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let (condition, dy, zero) = (node.inputs[0], node.cotangent(), node.graph.constant(0.0));
    let term = |input| if input == 1 { condition.select(dy, zero) } else { condition.select(zero, dy) };
    let wanted = [1, 2].into_iter().filter(|&input| node.wants(input));
    wanted.map(|input| (input, sum_to(term(input), &node.inputs[input].shape()))).collect()
}
