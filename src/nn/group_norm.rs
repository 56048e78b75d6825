//! The group norm layer.

use super::{Initialise, ParameterId, Parameters, Weights};
use crate::graph::Tensor;

/// Group norm of images (Wu & He 2018), as PyTorch's `GroupNorm`. It keeps no statistics: each image is normalised by itself,
/// so that chunks of a batch, tiny batches and second derivatives mean what they say.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm {
    groups: usize,
    scale: ParameterId,
    shift: ParameterId,
}

impl GroupNorm {
    /// Added to the variance, as in PyTorch.
    pub const EPSILON: f32 = 1e-5;

    /// Declares `name.weight` (ones) and `name.bias` (zeros); `groups` divides the channels.
    pub fn new(parameters: &mut Parameters, name: &str, groups: usize, channels: usize) -> Self {
        Self {
            groups,
            scale: parameters.add(format!("{name}.weight"), [channels], Initialise::Constant(1.0)),
            shift: parameters.add(format!("{name}.bias"), [channels], Initialise::Constant(0.0)),
        }
    }

    /// `x: (images, .., channels)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.group_norm(self.groups, weights.get(self.scale), weights.get(self.shift), Self::EPSILON)
    }
}
