//! Dropout whose mask two passes can share.

use crate::graph::Tensor;

/// The random numbers of dropout layers. Evaluation has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noise<'g> {
    /// `(key, step)`, `u32 (2)`.
    pub seed: Option<Tensor<'g>>,
}

impl<'g> Noise<'g> {
    /// No noise: layers behave as in evaluation.
    pub const NONE: Self = Self { seed: None };

    /// Draws from a seed, `(key, step)`.
    pub fn of(seed: Tensor<'g>) -> Self {
        Self { seed: Some(seed) }
    }
}

/// A place in a model where elements are dropped (Srivastava et al. 2014). The stream belongs to the place, so the second
/// pass of a sharpness-aware step meets the mask of the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The share of elements that are zeroed.
    pub rate: f32,
    /// The stream of random numbers.
    pub stream: u32,
}

impl Dropout {
    /// Zeroes a share of the elements where there is noise.
    #[track_caller]
    pub fn forward<'g>(&self, x: Tensor<'g>, noise: Noise<'g>) -> Tensor<'g> {
        match noise.seed {
            Some(seed) if self.rate > 0.0 => x.dropout(seed, self.stream, self.rate),
            _ => x,
        }
    }
}
