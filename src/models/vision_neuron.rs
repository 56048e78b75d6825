//! The attention neuron that sees (Tang & Ha 2021) on the graph, differentiable.

use fourfold_shaders::vision::VisionNeuron;
use fourfold_shaders::{Data, Error};

use crate::graph::{Graph, Tensor, TensorType};
use crate::nn::{Initialise, LayerNorm, ParameterId, Parameters, Weights};

/// The layer that [`VisionNeuron`] describes, whose formulas and plain form stand there.
///
/// Its parameters are declared in the order of the published checkpoints. Those of keys that all patches share, the bias and the
/// previous action's, have no effect behind the softmax: they are declared and take no part.
#[derive(Debug, Clone)]
pub struct VisionNeuronModel {
    layer: VisionNeuron,
    query: [ParameterId; 2],
    key: ParameterId,
    value: [ParameterId; 2],
    /// Factors and offsets of the norms of patches and of messages.
    norms: Option<[[ParameterId; 2]; 2]>,
}

/// The result of looking at a batch of stacks of pictures.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Seen<'g> {
    /// The messages, `(batch, messages, dimension)`.
    pub messages: Tensor<'g>,
    /// The attention of each row of a message to each patch, `(batch, messages, patches)`: rows sum to 1.
    pub attention: Tensor<'g>,
}

impl VisionNeuronModel {
    /// Declares the parameters, with PyTorch's initialisation.
    ///
    /// # Errors
    /// Sizes out of range.
    pub fn new(parameters: &mut Parameters, layer: VisionNeuron) -> Result<Self, Error> {
        layer.check()?;
        let mut ids = layer.parts().into_iter().map(|part| {
            let initialise = match part.name.split_once('.') {
                Some(("query", _)) => Initialise::linear(layer.positions),
                Some(("input_norm" | "output_norm", "weight")) => Initialise::Constant(1.0),
                Some(("input_norm" | "output_norm", _)) => Initialise::Constant(0.0),
                Some(("value", _)) => Initialise::linear(layer.stack * layer.pixels()),
                _ => Initialise::linear((layer.stack - 1) * layer.pixels() + layer.actions),
            };
            parameters.add(part.name, part.shape, initialise)
        });
        let mut next = || ids.next().expect("the parts are those that the switches name");
        let query = [next(), next()];
        let key = next();
        if layer.key_bias {
            next();
        }
        let value = [next(), next()];
        let norms = layer.learned_norms.then(|| [[next(), next()], [next(), next()]]);
        Ok(Self { layer, query, key, value, norms })
    }

    /// Returns the sizes.
    pub fn layer(&self) -> &VisionNeuron {
        &self.layer
    }

    /// The table of positions as an input of a graph, `(messages, positions)`, which is given
    /// [`position_values`](Self::position_values).
    #[track_caller]
    pub fn positions<'g>(&self, graph: &'g Graph, name: &str) -> Tensor<'g> {
        graph.input(name, TensorType::f32([self.layer.messages, self.layer.positions]))
    }

    /// The values of the table of positions.
    pub fn position_values(&self) -> Data {
        Data::F32(self.layer.position_table().into_iter().map(|position| position as f32).collect())
    }

    /// Looks at stacks of pictures, `(batch, rows * columns, stack)` of numbers from 0 to 1, the newest last, as
    /// [`Tensor::frames`] gives them. `kept`, `(batch, patches)` of ones and zeros, says which patches there are at all: the
    /// others are absent, not black. Each stack keeps at least one.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        positions: Tensor<'g>,
        frames: Tensor<'g>,
        kept: Option<Tensor<'g>>,
    ) -> Seen<'g> {
        let VisionNeuron { rows, columns, patch, stack, messages, dimension, .. } = self.layer;
        let (patches, pixels, graph) = (self.layer.patches(), self.layer.pixels(), frames.graph());
        let batch = match &frames.shape()[..] {
            &[batch, seen, frames] if seen == rows * columns && frames == stack => batch,
            _ => {
                let expected = format!("takes pictures (batch, {}, {stack})", rows * columns);
                let poison = graph.fail("vision_neuron", format!("{expected}, got {frames:?}"));
                return Seen { messages: poison, attention: poison };
            }
        };
        // A patch is a row: its frames, each with its pixels row by row.
        let grid = frames.reshape([batch, rows / patch, patch, columns / patch, patch, stack]);
        let seen = grid.permute(&[0, 1, 3, 5, 2, 4]).reshape([batch * patches, stack, pixels]);
        let keys = self.keys(weights, seen).reshape([batch, patches, dimension]);
        let values = self.values(weights, seen).reshape([batch, patches, dimension]);
        let [query, bias] = self.query.map(|id| weights.get(id));
        let scale = 1.0 / (dimension as f32).sqrt();
        let queries = (positions.linear(query, bias) * scale).reshape([1, messages, dimension]);
        let mut scores = queries.matmul_transposed(keys, false, true);
        if let Some(kept) = kept {
            scores = scores + (kept.reshape([batch, 1, patches]) - 1.0) * 1e9;
        }
        let attention = scores.softmax();
        let summed = attention.matmul(values).relu();
        Seen { messages: self.normalised(weights, summed, 1), attention }
    }

    /// The keys: what has changed in each patch, `(patches, dimension)`.
    #[track_caller]
    fn keys<'g>(&self, weights: &Weights<'_, 'g>, seen: Tensor<'g>) -> Tensor<'g> {
        let (times, inputs) = (self.layer.stack - 1, (self.layer.stack - 1) * self.layer.pixels());
        let changes = seen.narrow(1, 1, times) - seen.narrow(1, 0, times);
        let ordered = if self.layer.time_last { changes.permute(&[0, 2, 1]) } else { changes };
        let weight = weights.get(self.key).narrow(1, 0, inputs);
        ordered.reshape([seen.shape()[0], inputs]).matmul_transposed(weight, false, true)
    }

    /// The values: what there is in each patch, `(patches, dimension)`.
    #[track_caller]
    fn values<'g>(&self, weights: &Weights<'_, 'g>, seen: Tensor<'g>) -> Tensor<'g> {
        let inputs = self.layer.stack * self.layer.pixels();
        let normalised = self.normalised(weights, seen, 0).reshape([seen.shape()[0], inputs]);
        let [weight, bias] = self.value.map(|id| weights.get(id));
        normalised.linear(weight, bias)
    }

    /// Layer normalisation of patches (0) or messages (1).
    #[track_caller]
    fn normalised<'g>(&self, weights: &Weights<'_, 'g>, x: Tensor<'g>, which: usize) -> Tensor<'g> {
        let width = x.shape().last().copied().unwrap_or_default();
        let [factors, offsets] = match self.norms {
            Some(norms) => norms[which].map(|id| weights.get(id)),
            None => [1.0, 0.0].map(|value| x.graph().full([width], value)),
        };
        x.layer_norm(factors, offsets, LayerNorm::EPSILON)
    }
}
