//! The attention neuron (Tang & Ha 2021) on the graph: differentiable, for one step or for many at once.

use fourfold_shaders::elementwise::Unary;
use fourfold_shaders::rollout::policies::AttentionNeuron;
use fourfold_shaders::rollout::unroll::{Interface, Policy};
use fourfold_shaders::{Data, Error};

use crate::graph::{Graph, Op, Tensor, TensorType};
use crate::nn::{Initialise, ParameterId, Parameters, Weights};

/// The network that [`AttentionNeuron`] describes, whose formulas and CPU twin stand there.
///
/// Its parameters are declared in the order of the published checkpoints:
/// [`Parameters::from_dense`](crate::nn::Parameters::from_dense) takes their flat vector as it is.
#[derive(Debug, Clone)]
pub struct AttentionNeuronModel {
    network: AttentionNeuron,
    weight_ih: ParameterId,
    weight_hh: ParameterId,
    bias_ih: ParameterId,
    bias_hh: ParameterId,
    query: (ParameterId, Option<ParameterId>),
    key: (ParameterId, Option<ParameterId>),
    layers: Vec<(ParameterId, ParameterId)>,
}

/// The state of the sensory neurons: `(batch * channels, hidden)` each, channels of one episode side by side.
#[derive(Debug, Clone, Copy)]
pub struct NeuronMemory<'g> {
    /// The hidden state of the LSTMs.
    pub hidden: Tensor<'g>,
    /// The cell state of the LSTMs.
    pub cell: Tensor<'g>,
}

/// The results of some steps of a batch of episodes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NeuronSteps<'g> {
    /// `(steps, batch, actions)`, between -1 and 1.
    pub actions: Tensor<'g>,
    /// The messages, `(steps, batch, rows)`.
    pub messages: Tensor<'g>,
    /// The attention of each row of a message to each channel: `(steps, batch, channels, rows)`, between -1 and 1.
    pub attention: Tensor<'g>,
    /// The memory after the last step.
    pub memory: NeuronMemory<'g>,
}

impl AttentionNeuronModel {
    /// Declares the parameters, with PyTorch's initialisation.
    ///
    /// # Errors
    /// Sizes or switches out of range.
    pub fn new(parameters: &mut Parameters, network: AttentionNeuron) -> Result<Self, Error> {
        network.check(Interface { inputs: 1, actions: network.actions })?;
        let AttentionNeuron { rows, hidden, position_dimension, .. } = network;
        let mut ids = network.parts().into_iter().map(|part| {
            let inputs = match part.name.split_once('.') {
                Some(("lstm" | "key", _)) => hidden,
                Some(("query", _)) => position_dimension,
                _ => rows,
            };
            parameters.add(part.name, part.shape, Initialise::linear(inputs))
        });
        let mut next = || ids.next().expect("the parts are those that the switches name");
        let [weight_ih, weight_hh, bias_ih, bias_hh] = std::array::from_fn(|_| next());
        let [query, key] = std::array::from_fn(|_| (next(), network.key_bias.then(&mut next)));
        let layers = (0..=network.layers).map(|_| (next(), next())).collect();
        Ok(Self { network, weight_ih, weight_hh, bias_ih, bias_hh, query, key, layers })
    }

    /// Returns the sizes of the network.
    pub fn network(&self) -> &AttentionNeuron {
        &self.network
    }

    /// The table of positions as an input of a graph, `(rows, position_dimension)`, which is given
    /// [`position_values`](Self::position_values).
    #[track_caller]
    pub fn positions<'g>(&self, graph: &'g Graph, name: &str) -> Tensor<'g> {
        graph.input(name, TensorType::f32([self.network.rows, self.network.position_dimension]))
    }

    /// The values of the table of positions.
    pub fn position_values(&self) -> Data {
        Data::F32(self.network.positions().into_iter().map(|position| position as f32).collect())
    }

    /// The memory at the start of an episode: zeros.
    #[track_caller]
    pub fn blank<'g>(&self, graph: &'g Graph, batch: usize, channels: usize) -> NeuronMemory<'g> {
        let zeros = graph.full([batch.saturating_mul(channels), self.network.hidden], 0.0);
        NeuronMemory { hidden: zeros, cell: zeros }
    }

    /// One step: inputs `(batch, channels)` and previous actions `(batch, actions)`, zeros at the start of an episode.
    #[track_caller]
    pub fn step<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        positions: Tensor<'g>,
        inputs: Tensor<'g>,
        previous_actions: Tensor<'g>,
        memory: NeuronMemory<'g>,
    ) -> NeuronSteps<'g> {
        let once = |tensor: Tensor<'g>| tensor.reshape([&[1], &tensor.shape()[..]].concat());
        self.unroll(weights, positions, once(inputs), once(previous_actions), memory)
    }

    /// Steps of given previous actions: inputs `(steps, batch, channels)`, previous actions `(steps, batch, actions)`.
    ///
    /// Only the recurrence is computed step by step, all else for all steps at once. With `batch * channels * hidden` a
    /// multiple of [`Op::ALIGNMENT`], cutting and joining steps costs nothing.
    #[track_caller]
    pub fn unroll<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        positions: Tensor<'g>,
        inputs: Tensor<'g>,
        previous_actions: Tensor<'g>,
        memory: NeuronMemory<'g>,
    ) -> NeuronSteps<'g> {
        let sizes = match self.sizes(positions, inputs, previous_actions, memory) {
            Ok(sizes) => sizes,
            Err(poison) => {
                return NeuronSteps { actions: poison, messages: poison, attention: poison, memory };
            }
        };
        let [steps, batch, channels] = sizes;
        let AttentionNeuron { rows, hidden, actions, factor, .. } = self.network;
        let sensed = self.sensed(weights, inputs, previous_actions, sizes);
        let (states, memory) = self.remember(weights, sensed, memory, steps);

        let scores = self.scores(weights, positions, states.reshape([steps * batch * channels, hidden]));
        let attention = scores.tanh().reshape([steps * batch, channels, rows]);
        let summed = (attention * inputs.reshape([steps * batch, channels, 1])).sum(1);
        let message = (summed * factor).tanh();
        let layers = self.layers.iter();
        let action = layers.fold(message, |x, &(weight, bias)| x.linear(weights.get(weight), weights.get(bias)).tanh());
        NeuronSteps {
            actions: action.reshape([steps, batch, actions]),
            messages: message.reshape([steps, batch, rows]),
            attention: attention.reshape([steps, batch, channels, rows]),
            memory,
        }
    }

    /// Steps, batch and channels.
    #[track_caller]
    fn sizes<'g>(
        &self,
        positions: Tensor<'g>,
        inputs: Tensor<'g>,
        previous_actions: Tensor<'g>,
        memory: NeuronMemory<'g>,
    ) -> Result<[usize; 3], Tensor<'g>> {
        let AttentionNeuron { actions, rows, hidden, position_dimension, .. } = self.network;
        let given = [positions, inputs, previous_actions, memory.hidden, memory.cell];
        if let Some(poison) = given.into_iter().find(|tensor| tensor.is_poisoned()) {
            return Err(poison);
        }
        let shapes = given.map(|tensor| tensor.kind());
        if let &[steps, batch, channels] = &shapes[1].shape[..] {
            let states = TensorType::f32([batch * channels, hidden]);
            let expected = [
                TensorType::f32([rows, position_dimension]),
                TensorType::f32([steps, batch, channels]),
                TensorType::f32([steps, batch, actions]),
                states.clone(),
                states,
            ];
            if shapes == expected {
                return Ok([steps, batch, channels]);
            }
        }
        let message = format!(
            "takes positions ({rows}, {position_dimension}), inputs (steps, batch, channels), previous actions (steps, \
             batch, {actions}) and states (batch * channels, {hidden}), got {given:?}"
        );
        Err(inputs.graph().fail("attention_neuron", message))
    }

    /// The gates' share from inputs and previous actions, biases included: `(steps, 4, batch, channels, hidden)`.
    #[track_caller]
    fn sensed<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        inputs: Tensor<'g>,
        previous_actions: Tensor<'g>,
        [steps, batch, channels]: [usize; 3],
    ) -> Tensor<'g> {
        let AttentionNeuron { actions, hidden, .. } = self.network;
        let for_gates = |tensor: Tensor<'g>| tensor.reshape([4, 1, 1, hidden]);
        let weight_ih = scaled_gates(weights.get(self.weight_ih));
        let from_input = for_gates(weight_ih.narrow(1, 0, 1));
        let from_action = weight_ih.narrow(1, 1, actions);
        let acted = if actions == 1 {
            // A product of inner length 1 is a product of elements.
            previous_actions.reshape([steps, 1, batch, 1, 1]) * for_gates(from_action)
        } else {
            let product = previous_actions.matmul_transposed(from_action, false, true);
            product.reshape([steps, batch, 4, hidden]).permute(&[0, 2, 1, 3]).reshape([steps, 4, batch, 1, hidden])
        };
        let bias = for_gates(scaled_gates(weights.get(self.bias_ih) + weights.get(self.bias_hh)));
        inputs.reshape([steps, 1, batch, channels, 1]) * from_input + (acted + bias)
    }

    /// The LSTM's states after each step, all in one tensor, and the last ones.
    #[track_caller]
    fn remember<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        sensed: Tensor<'g>,
        memory: NeuronMemory<'g>,
        steps: usize,
    ) -> (Tensor<'g>, NeuronMemory<'g>) {
        let length = self.network.hidden;
        let NeuronMemory { mut hidden, mut cell } = memory;
        let shape = hidden.shape();
        // A matrix for each gate: every gate of all channels is then a dense tensor.
        let weight_hh = scaled_gates(weights.get(self.weight_hh)).reshape([4, length, length]);
        let all = [4, shape[0], length];
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let recurrent = hidden.reshape([1, shape[0], length]).matmul_transposed(weight_hh, false, true);
            let gates = (recurrent + block(sensed, step, &all)).unary(Unary::Sigmoid);
            let [input, forget, halved, output] = std::array::from_fn(|index| block(gates, index, &shape));
            cell = forget * cell + input * (halved * 2.0 - 1.0);
            hidden = output * cell.tanh();
            states.push(hidden);
        }
        (join(&states), NeuronMemory { hidden, cell })
    }

    /// Scores `(states, rows)` of states `(states, hidden)`, before the tanh.
    #[track_caller]
    fn scores<'g>(&self, weights: &Weights<'_, 'g>, positions: Tensor<'g>, states: Tensor<'g>) -> Tensor<'g> {
        let AttentionNeuron { rows, key_dimension, scale, .. } = self.network;
        let ((query, query_bias), (key, key_bias)) = (self.query, self.key);
        let scale = if scale { 1.0 / (key_dimension as f32).sqrt() } else { 1.0 };
        let product = positions.matmul_transposed(weights.get(query), false, true);
        let queries = query_bias.map_or(product, |bias| product + weights.get(bias));
        // Queries are few and the same at every step: they meet the keys' weights before the states do.
        let slopes = queries.matmul(weights.get(key)) * scale;
        match key_bias {
            None => states.matmul_transposed(slopes, false, true),
            Some(bias) => {
                let offsets = queries.matmul(weights.get(bias).reshape([key_dimension, 1])) * scale;
                states.linear(slopes, offsets.reshape([rows]))
            }
        }
    }
}

/// A tensor whose rows are those of the four gates, with the cell gate's doubled: `tanh(x) = 2 sigmoid(2 x) - 1` lets one
/// dispatch compute all gates.
#[track_caller]
fn scaled_gates(tensor: Tensor<'_>) -> Tensor<'_> {
    let (graph, shape) = (tensor.graph(), tensor.shape());
    let factors = [(2, 1.0), (1, 2.0), (1, 1.0)].map(|(gates, factor)| graph.full([gates, 1], factor));
    (tensor.reshape([4, tensor.elements() / 4]) * graph.concatenate(&factors, 0)).reshape(shape)
}

/// Returns true if blocks of this many elements can be views of the tensor that holds them one after the other.
fn are_views(elements: usize) -> bool {
    elements.is_multiple_of(Op::ALIGNMENT)
}

/// Block `index` of a tensor that is cut into blocks of `shape`.
#[track_caller]
fn block<'g>(tensor: Tensor<'g>, index: usize, shape: &[usize]) -> Tensor<'g> {
    let (total, elements) = (tensor.elements(), shape.iter().product::<usize>());
    if are_views(elements) {
        return tensor.reshape([total]).view(index * elements, shape);
    }
    tensor.reshape([total / elements, elements]).narrow(0, index, 1).reshape(shape)
}

/// Tensors of one shape one after the other: [`block`]s joined.
#[track_caller]
fn join<'g>(blocks: &[Tensor<'g>]) -> Tensor<'g> {
    let (first, elements) = (blocks[0], blocks[0].elements());
    if blocks.len() == 1 || !are_views(elements) {
        return first.graph().concatenate(blocks, 0);
    }
    let parts: Vec<_> = blocks.iter().enumerate().map(|(index, part)| (index * elements, *part)).collect();
    first.graph().pack(&parts, blocks.len() * elements)
}
