//! The small network: 24,058 parameters for 28 x 28 images.

use super::{Declarations, Pass, global_average};
use crate::graph::{PoolOptions, Tensor};
use crate::nn::{BatchNorm2d, Conv2d, Linear};

/// Convolutions of 3 x 3 to 16, 32 and 64 channels, each with batch norm and ReLU, the first two with max pooling of 2, then the
/// mean over pixels and a linear head.
#[derive(Debug, Clone)]
pub struct SmallConvNet {
    layers: [(Conv2d, BatchNorm2d); 3],
    head: Linear,
}

impl SmallConvNet {
    /// Declares `conv1`, `bn1`, `conv2`, `bn2`, `conv3`, `bn3` and `fc`.
    pub fn new(declare: &mut Declarations<'_>, channels: usize, classes: usize) -> Self {
        let mut layer = |index: usize, widths: [usize; 2]| {
            (declare.convolution(&format!("conv{index}"), widths, 1), declare.norm(&format!("bn{index}"), widths[1]))
        };
        let layers = [layer(1, [channels, 16]), layer(2, [16, 32]), layer(3, [32, 64])];
        Self { layers, head: Linear::new(declare.parameters, "fc", 64, classes) }
    }

    /// Images to logits `(images, classes)`.
    #[track_caller]
    pub fn forward<'g>(&self, pass: Pass<'_, 'g>, mut x: Tensor<'g>) -> Tensor<'g> {
        for (index, (convolution, norm)) in self.layers.iter().enumerate() {
            x = pass.norm_relu(norm, convolution.forward(&pass.weights, x));
            if index < 2 {
                x = x.max_pool(PoolOptions::new(2));
            }
        }
        self.head.forward(&pass.weights, global_average(x))
    }
}
