//! The affine layer.

use std::ops::Range;

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
        Self::initialised(parameters, name, [inputs, outputs], [initialise; 2])
    }

    /// Declares `name.weight` and `name.bias` with their own initialisation each.
    pub fn initialised(
        parameters: &mut Parameters,
        name: &str,
        [inputs, outputs]: [usize; 2],
        [weight, bias]: [Initialise; 2],
    ) -> Self {
        Self {
            weight: parameters.add(format!("{name}.weight"), [outputs, inputs], weight),
            bias: parameters.add(format!("{name}.bias"), [outputs], bias),
        }
    }

    /// `x: (.., inputs)` to `(.., outputs)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.linear(weights.get(self.weight), weights.get(self.bias))
    }

    /// Some of the outputs alone.
    #[track_caller]
    pub fn forward_part<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>, outputs: Range<usize>) -> Tensor<'g> {
        let part = |id| weights.get(id).narrow(0, outputs.start, outputs.len());
        x.linear(part(self.weight), part(self.bias))
    }
}
