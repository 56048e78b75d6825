//! A small vision transformer (Dosovitskiy et al. 2021).

use crate::data::ImageShape;
use crate::graph::{AttentionMask, Graph, Tensor};
use crate::nn::{
    Initialise, LayerNorm, Linear, Noise, ParameterId, Parameters, TransformerBlock, TransformerOptions, Weights,
};

/// The sizes of a vision transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisionTransformerOptions {
    /// Height, width and channels of an image.
    pub image: ImageShape,
    /// The side of a square patch, which divides both.
    pub patch: usize,
    /// The length of a token.
    pub dimension: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads; they divide the dimension.
    pub heads: usize,
    /// Classes, the outputs of the head.
    pub classes: usize,
    /// The share of elements dropped in training.
    pub dropout: f32,
}

/// The most blocks: each declares parameters of its own.
const MOST_BLOCKS: usize = 1_024;

/// Patches as tokens with learnt positions, pre-norm blocks, the mean over tokens, and a linear head.
#[derive(Debug, Clone)]
pub struct VisionTransformer {
    options: VisionTransformerOptions,
    embedding: Linear,
    positions: ParameterId,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl VisionTransformer {
    /// Declares the parameters of all layers.
    ///
    /// # Errors
    /// A patch that does not divide the image, heads that do not divide the length of a token, a size of 0, or more than
    /// 1,024 blocks.
    pub fn new(parameters: &mut Parameters, options: VisionTransformerOptions) -> Result<Self, String> {
        let VisionTransformerOptions { image, patch, dimension, heads, classes, depth, .. } = options;
        let ImageShape { height, width, channels } = image;
        if patch == 0 || height == 0 || width == 0 || !height.is_multiple_of(patch) || !width.is_multiple_of(patch) {
            return Err(format!("images of {height} x {width} pixels cannot be cut into patches of {patch} x {patch}"));
        }
        if heads == 0 || dimension == 0 || !dimension.is_multiple_of(heads) {
            return Err(format!("expected heads that divide tokens of {dimension} numbers, got {heads}"));
        }
        if channels == 0 {
            return Err("expected images of at least one channel, got none".into());
        }
        if depth > MOST_BLOCKS || classes == 0 {
            return Err(format!("expected at most {MOST_BLOCKS} blocks and a class, got {depth} and {classes}"));
        }
        let tokens = (height / patch).saturating_mul(width / patch);
        let block = TransformerOptions { dropout: options.dropout, ..TransformerOptions::new(dimension, heads) };
        Ok(Self {
            options,
            embedding: Linear::new(
                parameters,
                "embedding",
                patch.saturating_mul(patch).saturating_mul(channels),
                dimension,
            ),
            positions: parameters.add("positions", [tokens, dimension], Initialise::Normal(0.02)),
            blocks: (0..options.depth)
                .map(|index| TransformerBlock::new(parameters, &format!("block{index}"), block, 2 * index as u32))
                .collect(),
            norm: LayerNorm::new(parameters, "norm", dimension),
            head: Linear::new(parameters, "head", dimension, classes),
        })
    }

    /// Images `(batch, height * width * channels)` to logits `(batch, classes)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, images: Tensor<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let mut x = self.embedding.forward(weights, self.patches(images)) + weights.get(self.positions);
        for block in &self.blocks {
            x = block.forward(weights, x, AttentionMask::default(), noise);
        }
        self.head.forward(weights, self.norm.forward(weights, x).mean(1))
    }

    /// `(batch, height * width * channels)` to `(batch, patches, numbers of a patch)`.
    #[track_caller]
    fn patches<'g>(&self, images: Tensor<'g>) -> Tensor<'g> {
        let VisionTransformerOptions { image: ImageShape { height, width, channels }, patch, .. } = self.options;
        let Some(&batch) = images.shape().first() else {
            let graph: &Graph = images.graph();
            return graph.fail("patches", format!("takes images (batch, height * width * channels), got {images:?}"));
        };
        let (rows, columns) = (height / patch, width / patch);
        let split = images.reshape([batch, rows, patch, columns, patch * channels]);
        split.permute(&[0, 1, 3, 2, 4]).reshape([batch, rows * columns, patch * patch * channels])
    }
}
