//! Wide residual networks (Zagoruyko & Komodakis 2016), in their form and in that of the SAM paper's code.

use super::{Declarations, Pass, averaged, global_average, paper_head, with_zero_channels};
use crate::graph::Tensor;
use crate::nn::{BatchNorm2d, Conv2d, Linear};

/// The way around a block where its shape changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WideShortcut {
    /// The mean of stride x stride pixels, with channels of zeros after the last, as in the SAM paper's code; padding and head
    /// are PyTorch's.
    Zeros,
    /// A convolution of one tap: Zagoruyko's.
    Projection,
    /// As [`Zeros`](Self::Zeros), with the rest of the SAM paper's code: where the stride is 2, images are padded after the last
    /// row and column alone, as TensorFlow does, and the head is drawn uniformly within 1 / sqrt(classes).
    PaperCode,
}

/// WRN-depth-widening: a convolution to 16 channels, three groups of (depth - 4) / 6 blocks with batch norm and ReLU before each
/// convolution, widths 16 k, 32 k, 64 k, then batch norm, ReLU, the mean over pixels and a linear head.
#[derive(Debug, Clone)]
pub struct WideResNet {
    stem: Conv2d,
    blocks: Vec<Block>,
    norm: BatchNorm2d,
    head: Linear,
}

#[derive(Debug, Clone)]
struct Block {
    norms: [BatchNorm2d; 2],
    convolutions: [Conv2d; 2],
    projection: Option<Conv2d>,
    stride: usize,
    widths: [usize; 2],
    /// The way around begins after the first batch norm and ReLU: in the first block of the SAM paper's code.
    after_norm: bool,
}

impl WideResNet {
    /// Declares all layers: `conv1`, `block1.0.bn1`, .. `bn1`, `fc`.
    ///
    /// # Errors
    /// A depth that is not 6 n + 4, or a widening of 0.
    pub fn new(
        declare: &mut Declarations<'_>,
        depth: usize,
        widening: usize,
        shortcut: WideShortcut,
        [channels, classes]: [usize; 2],
    ) -> Result<Self, String> {
        if depth < 10 || !(depth - 4).is_multiple_of(6) || widening == 0 {
            return Err(format!(
                "a wide residual network has 10, 16, 22, .. layers and a widening above 0, got {depth} layers and {widening}"
            ));
        }
        let stem = declare.convolution("conv1", [channels, 16], 1);
        let mut blocks = Vec::new();
        let mut inputs = 16;
        for group in 0..3 {
            let outputs = (16 << group) * widening;
            for index in 0..(depth - 4) / 6 {
                let stride = if group > 0 && index == 0 { 2 } else { 1 };
                let name = format!("block{}.{index}", group + 1);
                let first = declare.norm(&format!("{name}.bn1"), inputs);
                let widen = format!("{name}.conv1");
                let widen = match shortcut {
                    WideShortcut::PaperCode => declare.padded_after(&widen, [inputs, outputs], stride),
                    _ => declare.convolution(&widen, [inputs, outputs], stride),
                };
                let second = declare.norm(&format!("{name}.bn2"), outputs);
                let keep = declare.convolution(&format!("{name}.conv2"), [outputs; 2], 1);
                let changes = stride != 1 || inputs != outputs;
                let projects = changes && shortcut == WideShortcut::Projection;
                let projection =
                    projects.then(|| declare.projection(&format!("{name}.shortcut"), [inputs, outputs], stride));
                blocks.push(Block {
                    norms: [first, second],
                    convolutions: [widen, keep],
                    after_norm: projects || (shortcut != WideShortcut::Projection && blocks.is_empty()),
                    projection,
                    stride,
                    widths: [inputs, outputs],
                });
                inputs = outputs;
            }
        }
        let norm = declare.norm("bn1", inputs);
        let head = match shortcut {
            WideShortcut::PaperCode => paper_head(declare, inputs, classes),
            _ => Linear::new(declare.parameters, "fc", inputs, classes),
        };
        Ok(Self { stem, blocks, norm, head })
    }

    /// Images to logits `(images, classes)`.
    #[track_caller]
    pub fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = self.stem.forward(&pass.weights, x);
        for block in &self.blocks {
            x = block.forward(pass, x);
        }
        self.head.forward(&pass.weights, global_average(pass.norm_relu(&self.norm, x)))
    }
}

impl Block {
    #[track_caller]
    fn forward<'g>(&self, pass: Pass<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
        let normal = pass.norm_relu(&self.norms[0], x);
        let y = self.convolutions[0].forward(&pass.weights, normal);
        let y = self.convolutions[1].forward(&pass.weights, pass.norm_relu(&self.norms[1], y));
        let around = if self.after_norm { normal } else { x };
        let around = match &self.projection {
            Some(projection) => projection.forward(&pass.weights, around),
            None if self.widths[0] == self.widths[1] => around,
            None => with_zero_channels(averaged(around, self.stride), self.widths[1]),
        };
        y + around
    }
}
