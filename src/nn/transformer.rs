//! The transformer block.

use fourfold_shaders::attention::masked_softmax::Causal;

use super::{Activation, Dropout, Initialise, LayerNorm, Linear, Noise, Parameters, Weights};
use crate::graph::{AttentionMask, Tensor};

/// The placement of a block's layer norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x + f(norm(x))`, as in GPT-2 and vision transformers.
    Before,
    /// `norm(x + f(x))`, as in the first transformer (Vaswani et al. 2017).
    After,
}

/// The values that attention's own dropout zeroes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttentionDropout {
    /// Nothing.
    None,
    /// A share of the probabilities, as in GPT-2.
    Probabilities(f32),
    /// A share of the mixed values, before the projection.
    Output(f32),
}

/// The sizes and variants of a transformer block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerOptions {
    /// The length of a token.
    pub dimension: usize,
    /// Attention heads; they divide the dimension.
    pub heads: usize,
    /// The width of the hidden layer.
    pub hidden: usize,
    /// The activation of the hidden layer.
    pub activation: Activation,
    /// The placement of the layer norms.
    pub norm: NormPlacement,
    /// The share of elements dropped behind attention and behind the hidden layers.
    pub dropout: f32,
    /// The dropout inside attention.
    pub attention_dropout: AttentionDropout,
    /// Initial weights of the affine layers, and of those that write to the residual stream; biases are 0 where these
    /// are given, and all is PyTorch's default where they are not.
    pub initialise: Option<[Initialise; 2]>,
}

impl TransformerOptions {
    /// A block of a vision transformer: hidden layers four times as wide as a token, GELU (erf form), norms before, no
    /// dropout.
    pub fn new(dimension: usize, heads: usize) -> Self {
        Self {
            dimension,
            heads,
            hidden: dimension.saturating_mul(4),
            activation: Activation::GeluErf,
            norm: NormPlacement::Before,
            dropout: 0.0,
            attention_dropout: AttentionDropout::None,
            initialise: None,
        }
    }
}

/// One token of each group of `every` tokens, that at place `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strided {
    /// The size of a group.
    pub every: usize,
    /// The place within the group, from 0.
    pub at: usize,
}

impl Strided {
    /// `(batch, length, dimension)` to `(batch, length / every, dimension)`.
    #[track_caller]
    pub fn of<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let [batch, length, dimension] = x.shape()[..] else { return x };
        let Some(groups) = length.checked_div(self.every) else {
            return x.graph().fail("strided", "takes groups of at least one token, got 0".into());
        };
        let grouped = x.reshape([batch, groups, self.every, dimension]);
        grouped.narrow(2, self.at, 1).reshape([batch, groups, dimension])
    }
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`, as in Vision Transformers (Dosovitskiy et al. 2021) and GPT-2, and
/// the variants of its [options](TransformerOptions).
#[derive(Debug, Clone, Copy)]
pub struct TransformerBlock {
    options: TransformerOptions,
    attention_norm: LayerNorm,
    query_key_value: Linear,
    projection: Linear,
    hidden_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    /// The first of the streams of random numbers.
    stream: u32,
}

impl TransformerBlock {
    /// Declares the block's parameters under `name`; `stream` and the next one are for its dropout, and the one after
    /// them where attention has dropout of its own.
    pub fn new(parameters: &mut Parameters, name: &str, options: TransformerOptions, stream: u32) -> Self {
        let TransformerOptions { dimension, hidden, .. } = options;
        let linear = |parameters: &mut Parameters, part: &str, inputs: usize, outputs: usize, residual: bool| {
            let name = format!("{name}.{part}");
            match options.initialise {
                None => Linear::new(parameters, &name, inputs, outputs),
                Some(initialise) => {
                    let initialise = [initialise[usize::from(residual)], Initialise::Constant(0.0)];
                    Linear::initialised(parameters, &name, [inputs, outputs], initialise)
                }
            }
        };
        Self {
            options,
            attention_norm: LayerNorm::new(parameters, &format!("{name}.norm1"), dimension),
            query_key_value: linear(parameters, "qkv", dimension, dimension.saturating_mul(3), false),
            projection: linear(parameters, "proj", dimension, dimension, true),
            hidden_norm: LayerNorm::new(parameters, &format!("{name}.norm2"), dimension),
            expand: linear(parameters, "fc1", dimension, hidden, false),
            contract: linear(parameters, "fc2", hidden, dimension, true),
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
        self.run(weights, x, None, mask, noise)
    }

    /// The outputs of some tokens alone, under a causal mask: `x: (batch, length, dimension)` to `(batch, length / every,
    /// dimension)`. Keys and values are those of all tokens; `keys: (batch, length)` is 0 where there is padding.
    ///
    /// The last block of a model that reads one of three tokens does little more than a third of its work this way.
    #[track_caller]
    pub fn forward_strided<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        x: Tensor<'g>,
        tokens: Strided,
        keys: Option<Tensor<'g>>,
        noise: Noise<'g>,
    ) -> Tensor<'g> {
        self.run(weights, x, Some(tokens), AttentionMask { causal: true, keys }, noise)
    }

    /// The probabilities by which attention mixes, `(batch, heads, length, length)`: a row for each query, a column for each
    /// key. `x` is what [`forward`](Self::forward) takes; its fused kernels keep none of these.
    #[track_caller]
    pub fn attention_weights<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        x: Tensor<'g>,
        mask: AttentionMask<'g>,
    ) -> Tensor<'g> {
        let x = match self.options.norm {
            NormPlacement::Before => self.attention_norm.forward(weights, x),
            NormPlacement::After => x,
        };
        let [queries, keys, _] = self.operands(weights, x, None);
        self.probabilities(queries, keys, None, mask)
    }

    #[track_caller]
    fn run<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        x: Tensor<'g>,
        tokens: Option<Strided>,
        mask: AttentionMask<'g>,
        noise: Noise<'g>,
    ) -> Tensor<'g> {
        if x.shape().rank() != 3 {
            let message = format!("takes x (batch, length, dimension), got {x:?}");
            return x.graph().fail("transformer_block", message);
        }
        let attend = |x| self.dropout(0).forward(self.attend(weights, x, tokens, mask, noise), noise);
        let transform = |x| {
            let hidden = self.options.activation.forward(self.expand.forward(weights, x));
            self.dropout(1).forward(self.contract.forward(weights, hidden), noise)
        };
        let kept = tokens.map_or(x, |tokens| tokens.of(x));
        match self.options.norm {
            NormPlacement::Before => {
                let x = kept + attend(self.attention_norm.forward(weights, x));
                x + transform(self.hidden_norm.forward(weights, x))
            }
            NormPlacement::After => {
                let x = self.attention_norm.forward(weights, kept + attend(x));
                self.hidden_norm.forward(weights, x + transform(x))
            }
        }
    }

    #[track_caller]
    fn attend<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        x: Tensor<'g>,
        tokens: Option<Strided>,
        mask: AttentionMask<'g>,
        noise: Noise<'g>,
    ) -> Tensor<'g> {
        let TransformerOptions { dimension, attention_dropout, .. } = self.options;
        let batch = x.shape()[0];
        let [queries, keys, values] = self.operands(weights, x, tokens);
        let dropout = |rate| Dropout { rate, stream: self.stream + 2 };
        let probable = matches!(attention_dropout, AttentionDropout::Probabilities(rate) if rate > 0.0);
        // The fused kernels keep no probabilities to drop, and have a query for each key under a causal mask.
        let mixed = if tokens.is_some() || probable && noise.seed.is_some() {
            let probabilities = self.probabilities(queries, keys, tokens, mask);
            let probabilities = match attention_dropout {
                AttentionDropout::Probabilities(rate) => dropout(rate).forward(probabilities, noise),
                _ => probabilities,
            };
            probabilities.matmul(values)
        } else {
            queries.attention(keys, values, mask)
        };
        let mixed = match attention_dropout {
            AttentionDropout::Output(rate) => dropout(rate).forward(mixed, noise),
            _ => mixed,
        };
        let count = mixed.shape()[2];
        self.projection.forward(weights, mixed.permute(&[0, 2, 1, 3]).reshape([batch, count, dimension]))
    }

    /// Queries, keys and values, `(batch, heads, tokens, size)` each; queries of some tokens alone where these are given.
    #[track_caller]
    fn operands<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>, tokens: Option<Strided>) -> [Tensor<'g>; 3] {
        let TransformerOptions { dimension, heads, .. } = self.options;
        let (batch, size) = (x.shape()[0], dimension / heads);
        // (batch, tokens, parts, heads, size) to (parts, batch, heads, tokens, size), a part each
        let split = |packed: Tensor<'g>, parts: usize| {
            let count = packed.shape()[1];
            let packed = packed.reshape([batch, count, parts, heads, size]).permute(&[2, 0, 3, 1, 4]);
            (0..parts).map(move |part| packed.narrow(0, part, 1).reshape([batch, heads, count, size]))
        };
        let operands: Vec<_> = match tokens {
            None => split(self.query_key_value.forward(weights, x), 3).collect(),
            Some(tokens) => {
                let queries = self.query_key_value.forward_part(weights, tokens.of(x), 0..dimension);
                let others = self.query_key_value.forward_part(weights, x, dimension..3 * dimension);
                split(queries, 1).chain(split(others, 2)).collect()
            }
        };
        let [queries, keys, values] = operands[..] else { unreachable!("there are three parts") };
        [queries, keys, values]
    }

    /// The softmax of scaled products, `(batch, heads, queries, keys)`.
    #[track_caller]
    fn probabilities<'g>(
        &self,
        queries: Tensor<'g>,
        keys: Tensor<'g>,
        tokens: Option<Strided>,
        mask: AttentionMask<'g>,
    ) -> Tensor<'g> {
        let (length, size) = (keys.shape()[2], keys.shape()[3]);
        let causal = mask.causal.then(|| match tokens {
            Some(Strided { every, at }) => Causal::strided(every, at),
            None => Causal::aligned(length, length),
        });
        let scores = queries.matmul_transposed(keys, false, true);
        scores.causal_softmax(1.0 / (size as f32).sqrt(), causal, mask.keys)
    }

    fn dropout(&self, place: u32) -> Dropout {
        Dropout { rate: self.options.dropout, stream: self.stream + place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Reference, Tag, TensorType};

    #[test]
    fn values_mixed_by_the_attention_weights_are_what_attention_gives() {
        for (norm, causal) in [(NormPlacement::Before, true), (NormPlacement::After, false)] {
            let options = TransformerOptions { norm, ..TransformerOptions::new(8, 2) };
            let mut parameters = Parameters::new();
            let block = TransformerBlock::new(&mut parameters, "block", options, 0);
            let graph = Graph::new();
            let x = graph.input("x", TensorType::f32([2, 5, 8]));
            let keys = graph.input("keys", TensorType::f32([2, 5]));
            let flat = graph.state("weights", Tag::Weights, TensorType::f32([parameters.length()]));
            let (weights, mask) = (parameters.of(flat), AttentionMask { causal, keys: Some(keys) });
            let normed = if norm == NormPlacement::Before { block.attention_norm.forward(&weights, x) } else { x };
            let [.., values] = block.operands(&weights, normed, None);
            let mixed = block.attention_weights(&weights, x, mask).matmul(values);
            let mixed = mixed.permute(&[0, 2, 1, 3]).reshape([2, 5, 8]);
            let expected = block.attend(&weights, normed, None, mask, Noise::NONE);
            let difference = (block.projection.forward(&weights, mixed) - expected).square().sum_all();
            let numbers = (0..80).map(|place| f64::from(place).sin()).collect();
            let initial = parameters.initial(1);
            let reference = Reference::new([
                ("x", numbers),
                ("keys", vec![0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
                ("weights", initial.f32().iter().map(|&weight| f64::from(weight)).collect()),
            ]);
            let [difference, size] =
                [difference, expected.square().sum_all()].map(|sum| reference.evaluate(sum).unwrap()[0]);
            // Both are f64 here, by other orders of summation.
            assert!(size > 1e-3 && difference <= 1e-24 * size, "{difference} of {size}");
        }
    }
}
