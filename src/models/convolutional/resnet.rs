//! Residual networks for small images (He et al. 2016, section 4.2).

use super::{Declarations, Pass, global_average, with_zero_channels};
use crate::graph::Tensor;
use crate::nn::{BatchNorm2d, Conv2d, Linear};

/// The way around a block where its shape changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shortcut {
    /// Every second pixel, with channels of zeros after the last: option A, without parameters.
    Zeros,
    /// A convolution of one tap with batch norm: option B.
    Projection,
}

/// ResNet-(6 n + 2): a convolution, three groups of n blocks with widths w, 2 w, 4 w, the mean over pixels and a linear head.
#[derive(Debug, Clone)]
pub struct ResNet {
    stem: (Conv2d, BatchNorm2d),
    blocks: Vec<Block>,
    head: Linear,
}

#[derive(Debug, Clone)]
struct Block {
    first: (Conv2d, BatchNorm2d),
    second: (Conv2d, BatchNorm2d),
    projection: Option<(Conv2d, BatchNorm2d)>,
    stride: usize,
    outputs: usize,
}

impl ResNet {
    /// Declares all layers, named as in PyTorch's usual code: `conv1`, `bn1`, `layer1.0.conv1`, .. `fc`.
    ///
    /// # Errors
    /// A depth that is not 6 n + 2, or a width of 0.
    pub fn new(
        declare: &mut Declarations<'_>,
        depth: usize,
        width: usize,
        shortcut: Shortcut,
        [channels, classes]: [usize; 2],
    ) -> Result<Self, String> {
        if depth < 8 || !(depth - 2).is_multiple_of(6) || width == 0 {
            return Err(format!(
                "a residual network has 8, 14, 20, .. layers and a width above 0, got {depth} layers and a width of {width}"
            ));
        }
        let stem = (declare.convolution("conv1", [channels, width], 1), declare.norm("bn1", width));
        let mut blocks = Vec::new();
        let mut inputs = width;
        for group in 0..3 {
            let outputs = width << group;
            for index in 0..(depth - 2) / 6 {
                let stride = if group > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", group + 1);
                let first = declare.convolution(&format!("{name}.conv1"), [inputs, outputs], stride);
                let first = (first, declare.norm(&format!("{name}.bn1"), outputs));
                let second = declare.convolution(&format!("{name}.conv2"), [outputs; 2], 1);
                let second = (second, declare.norm(&format!("{name}.bn2"), outputs));
                let projects = shortcut == Shortcut::Projection && (stride != 1 || inputs != outputs);
                let projection = projects.then(|| {
                    let convolution = declare.projection(&format!("{name}.shortcut.0"), [inputs, outputs], stride);
                    (convolution, declare.norm(&format!("{name}.shortcut.1"), outputs))
                });
                blocks.push(Block { first, second, projection, stride, outputs });
                inputs = outputs;
            }
        }
        Ok(Self { stem, blocks, head: Linear::new(declare.parameters, "fc", inputs, classes) })
    }

    /// Images to logits `(images, classes)`.
    #[track_caller]
    pub fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = pass.norm_relu(&self.stem.1, self.stem.0.forward(&pass.weights, x));
        for block in &self.blocks {
            x = block.forward(pass, x);
        }
        self.head.forward(&pass.weights, global_average(x))
    }
}

impl Block {
    #[track_caller]
    fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let y = pass.norm_relu(&self.first.1, self.first.0.forward(&pass.weights, x));
        let y = pass.norm(&self.second.1, self.second.0.forward(&pass.weights, y));
        let around = match &self.projection {
            Some((convolution, norm)) => pass.norm(norm, convolution.forward(&pass.weights, x)),
            None => with_zero_channels(every(x, self.stride), self.outputs),
        };
        (y + around).relu()
    }
}

/// Every `stride`-th pixel along both axes, from the first on.
#[track_caller]
fn every(x: Tensor<'_>, stride: usize) -> Tensor<'_> {
    let &[images, rows, columns, channels] = &*x.shape() else { return x };
    if stride == 1 {
        return x;
    }
    let [across, down] = [columns, rows].map(|length| length.div_ceil(stride));
    // Whole strides, of which the first pixel is kept.
    let whole = x.pad(&[0; 4], [images, down * stride, across * stride, channels]);
    whole
        .reshape([images * down, stride, across, stride, channels])
        .narrow(1, 0, 1)
        .narrow(3, 0, 1)
        .reshape([images, down, across, channels])
}
