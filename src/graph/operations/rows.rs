//! Expressions over rows, the last axis.

use crate::graph::{Graph, Tensor};

/// The sum of each row, with a last axis of length 1.
pub fn row_sum(x: Tensor<'_>) -> Tensor<'_> {
    let last = x.shape().rank() - 1;
    x.sum(last).reshape(x.shape().with_axis(last, 1))
}

/// The mean of each row, with a last axis of length 1.
pub fn row_mean(x: Tensor<'_>) -> Tensor<'_> {
    let columns = x.shape().last().copied().unwrap_or(1);
    row_sum(x) / columns as f32
}

/// (`exp(x - largest)`, its sum, the largest) of each row, the latter two with a last axis of length 1.
///
/// The largest is no more than a common shift, on which neither softmax nor log-sum-exp depends.
pub fn exponentials(x: Tensor<'_>) -> (Tensor<'_>, Tensor<'_>, Tensor<'_>) {
    let last = x.shape().rank() - 1;
    let largest = x.maximum(last).reshape(x.shape().with_axis(last, 1)).stop_gradient();
    let weights = (x - largest).exp();
    (weights, row_sum(weights), largest)
}

/// 0, 1, .. `length - 1`.
pub fn positions(graph: &Graph, length: usize) -> Tensor<'_> {
    let mut positions = graph.full([1], 0.0);
    while positions.elements() < length {
        let count = positions.elements() as f32;
        positions = graph.concatenate(&[positions, positions + count], 0);
    }
    positions.narrow(0, 0, length)
}
