//! The affine layer.

use super::{Initialise, ParameterId, Parameters, Weights};
use crate::graph::Tensor;

/// `y = x W^T + b`, with W stored as (outputs, inputs) as in PyTorch.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    weight: ParameterId,
    bias: ParameterId,
}

impl Linear {
    /// Declares `name.weight` and `name.bias` with PyTorch's default initialisation.
    pub fn new(parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize) -> Self {
        let initialise = Initialise::linear(inputs);
        Self {
            weight: parameters.add(format!("{name}.weight"), [outputs, inputs], initialise),
            bias: parameters.add(format!("{name}.bias"), [outputs], initialise),
        }
    }

    /// `x: (.., inputs)` to `(.., outputs)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.linear(weights.get(self.weight), weights.get(self.bias))
    }
}
