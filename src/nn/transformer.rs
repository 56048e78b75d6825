//! The pre-norm transformer block.

use super::{Dropout, LayerNorm, Linear, Noise, Parameters, Weights};
use crate::graph::{AttentionMask, Tensor};

/// The sizes of a transformer block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerOptions {
    /// The length of a token.
    pub dimension: usize,
    /// Attention heads; they divide the dimension.
    pub heads: usize,
    /// The width of the hidden layer.
    pub hidden: usize,
    /// The share of elements dropped behind attention and behind the hidden layers.
    pub dropout: f32,
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))` with GELU (erf form), as in Vision Transformers (Dosovitskiy et al.
/// 2021) and GPT-2.
#[derive(Debug, Clone, Copy)]
pub struct TransformerBlock {
    options: TransformerOptions,
    attention_norm: LayerNorm,
    query_key_value: Linear,
    projection: Linear,
    hidden_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    /// The first of two streams of random numbers.
    stream: u32,
}

impl TransformerBlock {
    /// Declares the block's parameters under `name`; `stream` and the next one are for its dropout.
    pub fn new(parameters: &mut Parameters, name: &str, options: TransformerOptions, stream: u32) -> Self {
        let TransformerOptions { dimension, hidden, .. } = options;
        Self {
            options,
            attention_norm: LayerNorm::new(parameters, &format!("{name}.norm1"), dimension),
            query_key_value: Linear::new(parameters, &format!("{name}.qkv"), dimension, 3 * dimension),
            projection: Linear::new(parameters, &format!("{name}.proj"), dimension, dimension),
            hidden_norm: LayerNorm::new(parameters, &format!("{name}.norm2"), dimension),
            expand: Linear::new(parameters, &format!("{name}.fc1"), dimension, hidden),
            contract: Linear::new(parameters, &format!("{name}.fc2"), hidden, dimension),
            stream,
        }
    }

    /// `x: (batch, length, dimension)`.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        x: Tensor<'g>,
        mask: AttentionMask<'g>,
        noise: Noise<'g>,
    ) -> Tensor<'g> {
        let attended = self.attend(weights, self.attention_norm.forward(weights, x), mask);
        let x = x + self.dropout(0).forward(attended, noise);
        let hidden = self.expand.forward(weights, self.hidden_norm.forward(weights, x)).gelu_erf();
        x + self.dropout(1).forward(self.contract.forward(weights, hidden), noise)
    }

    #[track_caller]
    fn attend<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>, mask: AttentionMask<'g>) -> Tensor<'g> {
        let TransformerOptions { dimension, heads, .. } = self.options;
        let [batch, length, _] = x.shape()[..] else {
            let message = format!("takes x (batch, length, dimension), got {x:?}");
            return x.graph().fail("transformer_block", message);
        };
        let size = dimension / heads;
        // (batch, length, 3, heads, size) to (3, batch, heads, length, size)
        let packed = self.query_key_value.forward(weights, x).reshape([batch, length, 3, heads, size]);
        let packed = packed.permute(&[2, 0, 3, 1, 4]);
        let part = |index| packed.narrow(0, index, 1).reshape([batch, heads, length, size]);
        let attended = part(0).attention(part(1), part(2), mask);
        self.projection.forward(weights, attended.permute(&[0, 2, 1, 3]).reshape([batch, length, dimension]))
    }

    fn dropout(&self, place: u32) -> Dropout {
        Dropout { rate: self.options.dropout, stream: self.stream + place }
    }
}
