//! The convolutions of the DQN (Mnih et al. 2015), through which the decision transformer sees games.

use crate::data::FrameShape;
use crate::graph::{ConvolutionOptions, Tensor};
use crate::nn::{Conv2d, Linear, Parameters, Weights};

/// Convolutions to 32 channels by 8 x 8 with a stride of 4, to 64 by 4 x 4 with a stride of 2 and to 64 by 3 x 3, without padding
/// and each with ReLU, then an affine layer: 479,520 parameters from [`FrameShape::ATARI`] to 128 numbers.
///
/// The affine layer takes the last image as (rows, columns, channels). PyTorch's takes (channels, rows, columns): permute the
/// columns of its weight.
#[derive(Debug, Clone)]
pub struct NatureEncoder {
    shape: FrameShape,
    convolutions: [Conv2d; 3],
    /// Rows and columns of the last image.
    last: [usize; 2],
    affine: Linear,
}

/// Channels, side and stride of each convolution.
const LAYERS: [(usize, usize, usize); 3] = [(32, 8, 4), (64, 4, 2), (64, 3, 1)];

impl NatureEncoder {
    /// Declares `name.conv1`, `name.conv2`, `name.conv3` and `name.fc`, with PyTorch's initialisation.
    ///
    /// # Errors
    /// Pictures of less than 36 x 36 pixels, of which nothing is left.
    pub fn new(parameters: &mut Parameters, name: &str, shape: FrameShape, outputs: usize) -> Result<Self, String> {
        let through = |side: usize| {
            LAYERS.iter().try_fold(side, |side, (_, kernel, stride)| Some(side.checked_sub(*kernel)? / stride + 1))
        };
        let (Some(rows), Some(columns)) = (through(shape.rows), through(shape.columns)) else {
            let FrameShape { rows, columns, .. } = shape;
            return Err(format!("the convolutions take pictures of at least 36 x 36 pixels, got {rows} x {columns}"));
        };
        let mut channels = shape.stack;
        let mut index = 0;
        let convolutions = LAYERS.map(|(outputs, kernel, stride)| {
            index += 1;
            let sides = [kernel, kernel, std::mem::replace(&mut channels, outputs), outputs];
            Conv2d::with_bias(parameters, &format!("{name}.conv{index}"), sides, ConvolutionOptions::new(stride, 0))
        });
        let affine = Linear::new(parameters, &format!("{name}.fc"), rows * columns * channels, outputs);
        Ok(Self { shape, convolutions, last: [rows, columns], affine })
    }

    /// Observations (.., rows * columns * stack), numbers from 0 to 1, to (.., outputs).
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let FrameShape { rows, columns, stack } = self.shape;
        let outside = x.shape();
        let count = x.elements() / self.shape.numbers();
        let mut images = x.reshape([count, rows, columns, stack]);
        for convolution in &self.convolutions {
            images = convolution.forward(weights, images).relu();
        }
        let features = self.last[0] * self.last[1] * LAYERS[2].0;
        let y = self.affine.forward(weights, images.reshape([count, features]));
        let outputs = y.shape().last().copied().unwrap_or_default();
        y.reshape(outside.with_axis(outside.rank() - 1, outputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_has_as_many_parameters_as_in_pytorch() {
        let mut parameters = Parameters::new();
        NatureEncoder::new(&mut parameters, "encoder", FrameShape::ATARI, 128).unwrap();
        assert_eq!(parameters.count(), 479_520);
    }

    #[test]
    fn pictures_of_which_nothing_is_left_are_refused() {
        let shape = FrameShape { rows: 36, columns: 35, stack: 4 };
        let error = NatureEncoder::new(&mut Parameters::new(), "encoder", shape, 128).unwrap_err();
        assert!(error.ends_with("got 36 x 35"), "{error}");
    }
}
