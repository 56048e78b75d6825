//! The layer norm with its scale and shift.

use super::{Initialise, ParameterId, Parameters, Weights};
use crate::graph::Tensor;

/// Layer norm along the last axis (Ba et al. 2016).
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm {
    scale: ParameterId,
    shift: ParameterId,
}

impl LayerNorm {
    /// Added to the variance, as in PyTorch.
    pub const EPSILON: f32 = 1e-5;

    /// Declares `name.weight` (ones) and `name.bias` (zeros).
    pub fn new(parameters: &mut Parameters, name: &str, columns: usize) -> Self {
        Self {
            scale: parameters.add(format!("{name}.weight"), [columns], Initialise::Constant(1.0)),
            shift: parameters.add(format!("{name}.bias"), [columns], Initialise::Constant(0.0)),
        }
    }

    /// `x: (.., columns)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.layer_norm(weights.get(self.scale), weights.get(self.shift), Self::EPSILON)
    }
}
