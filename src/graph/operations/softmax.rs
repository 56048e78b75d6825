//! Softmax and log-softmax along the last axis.

use fourfold_shaders::normalisation::{softmax, softmax_backward};
use fourfold_shaders::{Sequence, Target};

use super::rows::{exponentials, row_sum};
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::rules::algebra::times;
use crate::graph::{Graph, Tensor, TensorType};

/// x to softmax(x), or its logarithm, along the last axis.
#[derive(Debug)]
struct Softmax {
    log: bool,
}

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [x] if x.is_float() && x.rows().is_some() => Ok(vec![x.clone()]),
            _ => Err("takes F32 rows along the last axis".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(softmax::Problem { rows, columns, log: self.log }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let x = inputs[0];
        let (weights, total, largest) = exponentials(x);
        // Large numbers first: the logarithm would be lost in the largest.
        Some(vec![if self.log { x - largest - total.log() } else { weights / total }])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(vec![(0, softmax_gradient(node.outputs[0], node.gradient(0), self.log, 1.0))])
    }
}

/// (y, dy) to the gradient for x of y = softmax(x), or its logarithm.
#[derive(Debug)]
struct SoftmaxGradient {
    log: bool,
}

impl Operation for SoftmaxGradient {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax_gradient" } else { "softmax_gradient" }
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [y, dy] if y.is_float() && y.rows().is_some() && y == dy => Ok(vec![y.clone()]),
            _ => Err("takes F32 rows along the last axis and their gradient".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(softmax_backward::Problem { rows, columns, log: self.log, factor: 1.0 }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (y, dy) = (inputs[0], inputs[1]);
        Some(vec![if self.log { dy - y.exp() * row_sum(dy) } else { y * (dy - row_sum(y * dy)) }])
    }
}

/// The gradient for x of `y = softmax(scale x)`, or its logarithm.
pub fn softmax_gradient<'g>(y: Tensor<'g>, dy: Tensor<'g>, log: bool, scale: f32) -> Tensor<'g> {
    times(y.graph().fused(SoftmaxGradient { log }, &[y, dy]), y.graph().constant(scale))
}

impl Tensor<'_> {
    /// Softmax along the last axis.
    #[track_caller]
    pub fn softmax(self) -> Self {
        self.graph().fused(Softmax { log: false }, &[self])
    }

    /// The logarithm of the softmax along the last axis.
    #[track_caller]
    pub fn log_softmax(self) -> Self {
        self.graph().fused(Softmax { log: true }, &[self])
    }
}
