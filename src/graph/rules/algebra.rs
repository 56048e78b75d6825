//! Sums and products that leave out what is known to be neutral: cotangents are often constants.

use fourfold_shaders::elementwise::{Binary, Compare};

use crate::graph::{Op, Shape, Tensor};

/// The number of which every element of the tensor is a copy, where the graph shows it.
pub fn uniform_value(tensor: Tensor<'_>) -> Option<f32> {
    let graph = tensor.graph();
    let mut value = tensor.value();
    loop {
        let node = graph.node(value.node);
        match node.op {
            Op::Constant(number) => return Some(number),
            Op::Reshape
            | Op::StopGradient
            | Op::Broadcast
            | Op::Permute { .. }
            | Op::Slice { .. }
            | Op::View { .. } => {
                value = node.inputs[0];
            }
            _ => return None,
        }
    }
}

/// `a + b`.
pub fn plus<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    match (uniform_value(a), uniform_value(b)) {
        (Some(x), Some(y)) => filled(a, b, x + y),
        (Some(0.0), None) => stretched(b, a, b),
        (None, Some(0.0)) => stretched(a, a, b),
        _ => combine(Binary::Add, a, b),
    }
}

/// `a * b`; zero where either is known to be zero.
pub fn times<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    match (uniform_value(a), uniform_value(b)) {
        (Some(x), Some(y)) => filled(a, b, x * y),
        (Some(0.0), None) | (None, Some(0.0)) => filled(a, b, 0.0),
        (Some(1.0), None) => stretched(b, a, b),
        (None, Some(1.0)) => stretched(a, a, b),
        (Some(-1.0), None) => stretched(-b, a, b),
        (None, Some(-1.0)) => stretched(-a, a, b),
        _ => combine(Binary::Mul, a, b),
    }
}

/// `a / b`.
pub fn over<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    match (uniform_value(a), uniform_value(b)) {
        (Some(0.0), _) => filled(a, b, 0.0),
        (None, Some(1.0)) => stretched(a, a, b),
        _ => combine(Binary::Div, a, b),
    }
}

/// `-a`.
pub fn negative(a: Tensor<'_>) -> Tensor<'_> {
    times(a, a.graph().constant(-1.0))
}

/// The sum of `tensor` over the axes along which a tensor of `shape` was stretched.
pub fn sum_to<'g>(tensor: Tensor<'g>, shape: &Shape) -> Tensor<'g> {
    match uniform_value(tensor) {
        Some(number) => {
            let count = tensor.elements() / shape.elements();
            tensor.graph().full(shape, number * count as f32)
        }
        None => tensor.sum_to(shape),
    }
}

/// The product of all elements of both, added: shape `[]`.
pub fn dot<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    sum_to(times(a, b), &Shape::from([]))
}

/// `x` limited to `-limit ..= limit`: keeps squares and exponentials finite. Its derivative at 0 is 1.
pub fn clamp(x: Tensor<'_>, limit: f32) -> Tensor<'_> {
    x.min(x.graph().constant(limit)).max(x.graph().constant(-limit))
}

/// The norm, or 1 where it is too small to divide by.
pub fn positive(norm: Tensor<'_>) -> Tensor<'_> {
    is_positive(norm).select(norm, norm.graph().constant(1.0))
}

/// 0 where the norm counts as 0, being below the smallest normal number, else 1: of a NaN, too.
pub fn is_positive(norm: Tensor<'_>) -> Tensor<'_> {
    let number = |number: f32| norm.graph().constant(number);
    norm.compare(Compare::Lt, number(f32::MIN_POSITIVE)).select(number(0.0), number(1.0))
}

/// Both operands, the uniform ones as single numbers, of which nothing is stretched before the operation.
fn combine<'g>(function: Binary, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    let single = |tensor: Tensor<'g>| match uniform_value(tensor) {
        Some(number) if tensor.shape().rank() > 0 => tensor.graph().constant(number),
        _ => tensor,
    };
    stretched(single(a).binary(function, single(b)), a, b)
}

/// `tensor` in the shape to which `a` and `b` broadcast.
fn stretched<'g>(tensor: Tensor<'g>, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    match a.shape().broadcast(&b.shape()) {
        Some(shape) => tensor.broadcast_to(shape),
        None => a.binary(Binary::Mul, b),
    }
}

fn filled<'g>(a: Tensor<'g>, b: Tensor<'g>, number: f32) -> Tensor<'g> {
    stretched(a.graph().constant(number), a, b)
}
