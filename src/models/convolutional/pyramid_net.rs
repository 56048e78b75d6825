//! Deep pyramidal residual networks (Han et al. 2017), in the form of the SAM paper's code, without ShakeDrop.

use super::{Declarations, Pass, averaged, global_average, paper_head, with_zero_channels};
use crate::graph::Tensor;
use crate::nn::{BatchNorm2d, Conv2d, Linear};

/// PyramidNet-depth-alpha: a convolution to 16 channels with batch norm, three groups of (depth - 2) / 9 bottlenecks, of which
/// the k-th of n has 16 + alpha k / n channels (to the nearest whole number) and four times as many outputs, then batch norm,
/// ReLU, the mean over pixels and a linear head.
///
/// ShakeDrop, which the paper trains with as well, is left out: it draws other factors backward than forward, and the paper's
/// code draws them differently in the two passes of SAM.
#[derive(Debug, Clone)]
pub struct PyramidNet {
    stem: (Conv2d, BatchNorm2d),
    blocks: Vec<Bottleneck>,
    norm: BatchNorm2d,
    head: Linear,
}

#[derive(Debug, Clone)]
struct Bottleneck {
    norms: [BatchNorm2d; 4],
    convolutions: [Conv2d; 3],
    stride: usize,
    widths: [usize; 2],
}

impl PyramidNet {
    /// Declares all layers: `conv1`, `bn1`, `block1.0.bn1`, .. `bn2`, `fc`.
    ///
    /// # Errors
    /// A depth that is not 9 n + 2, or an alpha of 0.
    pub fn new(
        declare: &mut Declarations<'_>,
        depth: usize,
        alpha: usize,
        [channels, classes]: [usize; 2],
    ) -> Result<Self, String> {
        if depth < 11 || !(depth - 2).is_multiple_of(9) || alpha == 0 {
            return Err(format!(
                "a pyramidal network has 11, 20, 29, .. layers and an alpha above 0, got {depth} layers and {alpha}"
            ));
        }
        let stem = (declare.convolution("conv1", [channels, 16], 1), declare.norm("bn1", 16));
        let of_group = (depth - 2) / 9;
        let mut blocks = Vec::new();
        let mut inputs = 16;
        for (group, index) in (0..3).flat_map(|group| (0..of_group).map(move |index| (group, index))) {
            let grown = (blocks.len() + 1) as f64 * alpha as f64 / (3 * of_group) as f64;
            let width = (16.0 + grown).round_ties_even() as usize;
            let stride = if group > 0 && index == 0 { 2 } else { 1 };
            let name = format!("block{}.{index}", group + 1);
            let outputs = 4 * width;
            let before = declare.norm(&format!("{name}.bn1"), inputs);
            let contract = declare.projection(&format!("{name}.conv1"), [inputs, width], 1);
            let second = declare.norm(&format!("{name}.bn2"), width);
            let square = declare.padded_after(&format!("{name}.conv2"), [width; 2], stride);
            let third = declare.norm(&format!("{name}.bn3"), width);
            let expand = declare.projection(&format!("{name}.conv3"), [width, outputs], 1);
            let last = declare.norm(&format!("{name}.bn4"), outputs);
            blocks.push(Bottleneck {
                norms: [before, second, third, last],
                convolutions: [contract, square, expand],
                stride,
                widths: [inputs, outputs],
            });
            inputs = outputs;
        }
        let norm = declare.norm("bn2", inputs);
        Ok(Self { stem, blocks, norm, head: paper_head(declare, inputs, classes) })
    }

    /// Images to logits `(images, classes)`.
    #[track_caller]
    pub fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = pass.norm(&self.stem.1, self.stem.0.forward(&pass.weights, x));
        for block in &self.blocks {
            x = block.forward(pass, x);
        }
        self.head.forward(&pass.weights, global_average(pass.norm_relu(&self.norm, x)))
    }
}

impl Bottleneck {
    #[track_caller]
    fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let [before, second, third, last] = &self.norms;
        let [contract, square, expand] = &self.convolutions;
        let y = contract.forward(&pass.weights, pass.norm(before, x));
        let y = square.forward(&pass.weights, pass.norm_relu(second, y));
        let y = expand.forward(&pass.weights, pass.norm_relu(third, y));
        let around = averaged(x, self.stride);
        let around = if self.widths[0] == self.widths[1] { around } else { with_zero_channels(around, self.widths[1]) };
        pass.norm(last, y) + around
    }
}
