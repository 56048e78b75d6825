//! The convolution layer.

use super::{Initialise, ParameterId, Parameters, Weights};
use crate::graph::{ConvolutionOptions, Tensor};

/// A 2-D convolution of images `(images, rows, columns, channels)`.
///
/// The weight is stored as `(kernel rows, kernel columns, channels / groups, outputs)`; PyTorch's is
/// `(outputs, channels / groups, kernel rows, kernel columns)`, and files are permuted.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d {
    weight: ParameterId,
    bias: Option<ParameterId>,
    options: ConvolutionOptions,
}

impl Conv2d {
    /// Declares `name.weight` without a bias, which batch norm after it would take away again. It is drawn from
    /// N(0, 2 / (kernel rows * kernel columns * outputs)), as the SAM paper's networks (He et al. 2015, fan-out).
    pub fn new(parameters: &mut Parameters, name: &str, shape: [usize; 4], options: ConvolutionOptions) -> Self {
        let [rows, columns, _, outputs] = shape;
        let fan_out = rows.saturating_mul(columns).saturating_mul(outputs) as f32;
        let weight = parameters.add(format!("{name}.weight"), shape, Initialise::Normal((2.0 / fan_out).sqrt()));
        Self { weight, bias: None, options }
    }

    /// Declares `name.weight` and `name.bias` with PyTorch's default initialisation.
    pub fn with_bias(parameters: &mut Parameters, name: &str, shape: [usize; 4], options: ConvolutionOptions) -> Self {
        let [rows, columns, channels, outputs] = shape;
        let initialise = Initialise::linear(rows.saturating_mul(columns).saturating_mul(channels));
        Self {
            weight: parameters.add(format!("{name}.weight"), shape, initialise),
            bias: Some(parameters.add(format!("{name}.bias"), [outputs], initialise)),
            options,
        }
    }

    /// Returns strides, padding and groups.
    pub fn options(&self) -> ConvolutionOptions {
        self.options
    }

    /// `x: (images, rows, columns, channels)` to `(images, rows, columns, outputs)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let y = x.convolution(weights.get(self.weight), self.options);
        self.bias.map_or(y, |bias| y + weights.get(bias))
    }
}
