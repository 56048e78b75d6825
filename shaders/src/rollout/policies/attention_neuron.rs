//! The attention neuron: a policy that does not care in which order its inputs are wired (Tang & Ha 2021, "The Sensory
//! Neuron as a Transformer", equations 1 and 2, with what the authors' code adds to them).
//!
//! Every input channel `i` has one sensory neuron. All neurons share their weights; each has an LSTM state of its own,
//! zero at the start of an episode. One step, for inputs `o (N)` and the previous action `a`:
//!
//! ```text
//! z   = W_ih [o_i, a] + b_ih + W_hh h_i + b_hh                 gates in the order input, forget, cell, output
//! c_i = sigmoid(z_f) c_i + sigmoid(z_i) tanh(z_g);  h_i = sigmoid(z_o) tanh(c_i)
//! A_mi = tanh((W_q p_m [+ b_q]) . (W_k h_i [+ b_k]) [/ sqrt(key dimension)])
//! m    = tanh(factor A o)                                      (M), the same for every order of the channels
//! a    = tanh(W_out tanh(W_l .. tanh(W_1 m + b_1) .. + b_l) + b_out)
//! ```
//!
//! `p_m` is row `m` of a fixed sinusoidal table. What stands in brackets, and the number of hidden layers behind the
//! message, are switches: the published cart-pole and ant networks differ in them.

use crate::rollout::unroll::{Interface, Policy, Team};
use crate::{Error, MAX_ELEMENTS, RuntimeChecks, Sizes, product, sum};

/// The sizes and switches of an attention neuron. The number of channels is none of them: it may change at any time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionNeuron {
    /// Numbers in an action.
    pub actions: usize,
    /// M: numbers in a message, rows of the table of positions.
    pub rows: usize,
    /// The length of the LSTM state of one channel.
    pub hidden: usize,
    /// The length of queries and keys.
    pub key_dimension: usize,
    /// Columns of the table of positions.
    pub position_dimension: usize,
    /// True if queries and keys have biases.
    pub key_bias: bool,
    /// True if scores are divided by sqrt(key dimension).
    pub scale: bool,
    /// Hidden layers of `rows` numbers between message and action.
    pub layers: usize,
    /// The factor of the sum over the channels, before the tanh: 1 in training. Where N channels became N' by
    /// repeating them, N / N' gives the message of the N; channels of noise need no other factor.
    pub factor: f32,
}

/// The most hidden layers behind a message.
const MOST_LAYERS: usize = 1_024;

/// One tensor of the flat vector of weights, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name in the checkpoint.
    pub name: String,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
}

impl AttentionNeuron {
    /// The published network for cart-pole swing-up: 913 parameters.
    pub const fn cart_pole() -> Self {
        Self {
            actions: 1,
            rows: 16,
            hidden: 8,
            key_dimension: 32,
            position_dimension: 8,
            key_bias: false,
            scale: false,
            layers: 0,
            factor: 1.0,
        }
    }

    /// The published network for the ant: 2,504 parameters.
    pub const fn ant() -> Self {
        Self { actions: 8, rows: 32, key_bias: true, scale: true, layers: 1, ..Self::cart_pole() }
    }

    /// The cart-pole network of evojax: a message of 64 numbers, with biases. evojax's LSTM has one bias where this has
    /// two, so that it counts 32 parameters fewer than these 1,025.
    pub const fn evojax() -> Self {
        Self { rows: 64, key_bias: true, ..Self::cart_pole() }
    }

    /// The tensors of the flat vector of weights in their order, that of the published checkpoints, named as PyTorch
    /// names them.
    ///
    /// # Panics
    /// If [`check`](Policy::check) refuses the sizes.
    pub fn parts(&self) -> Vec<Part> {
        self.expect_sizes();
        let Self { actions, rows, hidden, key_dimension, position_dimension, .. } = *self;
        let mut parts = Vec::new();
        let mut part = |name: &str, shape: &[usize]| parts.push(Part { name: name.into(), shape: shape.to_vec() });
        part("lstm.weight_ih", &[4 * hidden, 1 + actions]);
        part("lstm.weight_hh", &[4 * hidden, hidden]);
        part("lstm.bias_ih", &[4 * hidden]);
        part("lstm.bias_hh", &[4 * hidden]);
        for (name, inputs) in [("query", position_dimension), ("key", hidden)] {
            part(&format!("{name}.weight"), &[key_dimension, inputs]);
            if self.key_bias {
                part(&format!("{name}.bias"), &[key_dimension]);
            }
        }
        for layer in 0..self.layers {
            part(&format!("layer{layer}.weight"), &[rows, rows]);
            part(&format!("layer{layer}.bias"), &[rows]);
        }
        part("head.weight", &[actions, rows]);
        part("head.bias", &[actions]);
        parts
    }

    /// The length of the flat vector of weights, `usize::MAX` where it is larger.
    pub fn parameters(&self) -> usize {
        let Self { actions, rows, hidden, key_dimension, position_dimension, .. } = *self;
        let affine = |inputs, biases, outputs| product(&[sum(&[inputs, biases]), outputs]);
        let (gates, bias) = (product(&[4, hidden]), usize::from(self.key_bias));
        sum(&[
            affine(actions, 3, gates),
            affine(hidden, 0, gates),
            affine(position_dimension, bias, key_dimension),
            affine(hidden, bias, key_dimension),
            product(&[self.layers, affine(rows, 1, rows)]),
            affine(rows, 1, actions),
        ])
    }

    /// Checks the sizes and switches.
    fn sizes_fit(&self) -> Result<Sizes, Error> {
        let Self { actions, rows, hidden, key_dimension, position_dimension, layers, .. } = *self;
        let sizes = [
            ("actions", actions),
            ("rows", rows),
            ("hidden", hidden),
            ("key_dimension", key_dimension),
            ("position_dimension", position_dimension),
        ];
        let parameters = self.parameters();
        Sizes("attention neuron")
            .positive(&sizes)?
            .at_most(&[("rows", rows), ("position_dimension", position_dimension)])?
            .expect("layers", layers <= MOST_LAYERS, format_args!("at most {MOST_LAYERS}"), layers)?
            .finite("factor", self.factor)?
            .expect("parameters", parameters <= MAX_ELEMENTS, format_args!("at most {MAX_ELEMENTS}"), parameters)
    }

    #[track_caller]
    fn expect_sizes(&self) {
        if let Err(error) = self.sizes_fit() {
            panic!("{error}");
        }
    }

    /// The fixed table of positions `(rows, position_dimension)`: `sin` in even columns `j` and `cos` in odd ones of
    /// `row / 10000^(2 floor(j / 2) / position_dimension)`.
    ///
    /// # Panics
    /// If [`check`](Policy::check) refuses the sizes.
    pub fn positions(&self) -> Vec<f64> {
        self.expect_sizes();
        position_table(self.rows, self.position_dimension)
    }

    /// The scores as a function of the LSTM's state, `(rows, hidden + 1)`: row `m` holds `W_k^T q_m`, then `b_k . q_m`
    /// (0 without biases), both scaled as the scores are. Queries depend on the weights alone, so that this is computed
    /// once for many steps.
    ///
    /// # Panics
    /// If [`check`](Policy::check) refuses the sizes, or `weights` has another length than
    /// [`parameters`](Self::parameters).
    pub fn score_table(&self, weights: &[f64]) -> Vec<f64> {
        let Self { key_dimension, position_dimension, hidden, .. } = *self;
        let tensors = self.split(weights);
        let scale = if self.scale { 1.0 / (key_dimension as f64).sqrt() } else { 1.0 };
        let mut table = Vec::with_capacity(self.rows * (hidden + 1));
        for position in self.positions().chunks_exact(position_dimension) {
            let query = affine(tensors.query, tensors.query_bias, position);
            for column in 0..hidden {
                let keys = tensors.key.iter().skip(column).step_by(hidden);
                table.push(scale * query.iter().zip(keys).map(|(query, key)| query * key).sum::<f64>());
            }
            table.push(scale * query.iter().zip(tensors.key_bias).map(|(query, bias)| query * bias).sum::<f64>());
        }
        table
    }

    /// One step of the policy: the action `(actions)` for inputs `(N)`, and the LSTM's states `hidden` and `cell`,
    /// `(N, hidden)`, after it. `attention` receives A, `(rows, N)`.
    ///
    /// The previous action is the last one that this returned, zeros at the start of an episode.
    ///
    /// # Panics
    /// If a slice has another length than its shape says, or `weights` than [`parameters`](Self::parameters), or if
    /// [`check`](Policy::check) refuses the sizes.
    #[expect(clippy::too_many_arguments, reason = "one slice for each tensor of the step")]
    pub fn act(
        &self,
        weights: &[f64],
        hidden: &mut [f64],
        cell: &mut [f64],
        previous_action: &[f64],
        inputs: &[f64],
        action: &mut [f64],
        attention: Option<&mut [f64]>,
    ) {
        let table = self.score_table(weights);
        let message = self.message(weights, &table, hidden, cell, previous_action, inputs, attention);
        self.head(weights, &message, action);
    }

    /// The first part of [`act`](Self::act): the message `(rows)`, with the table of scores already computed.
    ///
    /// # Panics
    /// As [`act`](Self::act).
    #[expect(clippy::too_many_arguments, reason = "one slice for each tensor of the step")]
    pub fn message(
        &self,
        weights: &[f64],
        score_table: &[f64],
        hidden: &mut [f64],
        cell: &mut [f64],
        previous_action: &[f64],
        inputs: &[f64],
        mut attention: Option<&mut [f64]>,
    ) -> Vec<f64> {
        let (channels, length) = (inputs.len(), self.hidden);
        let states = channels * length;
        assert_eq!((hidden.len(), cell.len()), (states, states), "the states of {channels} channels");
        assert_eq!(previous_action.len(), self.actions, "the previous action");
        let tensors = self.split(weights);
        let mut sums = vec![0.0; self.rows];
        let states = hidden.chunks_exact_mut(length).zip(cell.chunks_exact_mut(length));
        for (channel, (&input, (hidden, cell))) in inputs.iter().zip(states).enumerate() {
            let sensed = [&[input], previous_action].concat();
            let seen = affine(tensors.weight_ih, tensors.bias_ih, &sensed);
            let remembered = affine(tensors.weight_hh, tensors.bias_hh, hidden);
            let gate = |gate: usize, unit: usize| seen[gate * length + unit] + remembered[gate * length + unit];
            for unit in 0..length {
                let [input, forget, candidate, output] = std::array::from_fn(|index| gate(index, unit));
                cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * candidate.tanh();
                hidden[unit] = sigmoid(output) * cell[unit].tanh();
            }
            for (row, (sum, table)) in sums.iter_mut().zip(score_table.chunks_exact(length + 1)).enumerate() {
                let (slopes, offset) = table.split_at(length);
                let score = offset[0] + slopes.iter().zip(&*hidden).map(|(slope, state)| slope * state).sum::<f64>();
                let weight = score.tanh();
                *sum += weight * input;
                if let Some(attention) = &mut attention {
                    attention[row * channels + channel] = weight;
                }
            }
        }
        sums.iter().map(|sum| (f64::from(self.factor) * sum).tanh()).collect()
    }

    /// The second part of [`act`](Self::act): the action for a message.
    ///
    /// # Panics
    /// As [`act`](Self::act).
    pub fn head(&self, weights: &[f64], message: &[f64], action: &mut [f64]) {
        let tensors = self.split(weights);
        let squashed = |weight, bias, x: &[f64]| affine(weight, bias, x).into_iter().map(f64::tanh).collect();
        let inner: Vec<f64> =
            tensors.layers.iter().fold(message.to_vec(), |x, &(weight, bias)| squashed(weight, bias, &x));
        let outer: Vec<f64> = squashed(tensors.head, tensors.head_bias, &inner);
        action.copy_from_slice(&outer);
    }

    fn split<'a>(&self, weights: &'a [f64]) -> Tensors<'a> {
        let Self { actions, rows, hidden, key_dimension, position_dimension, .. } = *self;
        assert_eq!(weights.len(), self.parameters(), "the flat vector of weights");
        let mut take = cut(weights);
        let key_bias = if self.key_bias { key_dimension } else { 0 };
        Tensors {
            weight_ih: take(4 * hidden * (1 + actions)),
            weight_hh: take(4 * hidden * hidden),
            bias_ih: take(4 * hidden),
            bias_hh: take(4 * hidden),
            query: take(key_dimension * position_dimension),
            query_bias: take(key_bias),
            key: take(key_dimension * hidden),
            key_bias: take(key_bias),
            layers: (0..self.layers).map(|_| (take(rows * rows), take(rows))).collect(),
            head: take(actions * rows),
            head_bias: take(actions),
        }
    }
}

impl AttentionNeuron {
    /// Blocks of four units that the state of a channel fills.
    fn blocks(&self) -> usize {
        self.hidden.div_ceil(4)
    }
}

/// As a policy, the network remembers `h` and `c` of every channel, `(N, 2, hidden)`, and then the action before, which
/// belongs to no channel.
impl Policy for AttentionNeuron {
    fn file(&self) -> &str {
        "attention_neuron.wgsl"
    }

    fn source(&self) -> &str {
        wgsl!("attention_neuron_weights.wgsl", "attention_neuron.wgsl")
    }

    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::own::<Self>()
    }

    fn check(&self, interface: Interface) -> Result<(), Error> {
        let (expected, got) = (self.actions, interface.actions);
        self.sizes_fit()?.expect("actions", got == expected, format_args!("the network's {expected}"), got)?;
        Ok(())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("ROWS", self.rows),
            ("HIDDEN", self.hidden),
            ("BLOCKS", self.blocks()),
            ("KEYS", self.key_dimension),
            ("POSITIONS", self.position_dimension),
            ("KEY_BIAS", self.key_bias.into()),
            ("LAYERS", self.layers),
        ]
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let scale = if self.scale { 1.0 / (self.key_dimension as f64).sqrt() } else { 1.0 };
        let divisor = 10_000_f64.powf(2.0 / self.position_dimension as f64);
        vec![("SCALE", scale), ("FACTOR", self.factor.into()), ("DIVISOR", divisor)]
    }

    fn weights(&self, _: Interface) -> usize {
        self.parameters()
    }

    fn memory(&self, interface: Interface) -> usize {
        sum(&[self.channel_memory(interface), self.actions])
    }

    fn channel_memory(&self, interface: Interface) -> usize {
        product(&[interface.inputs, 2, self.hidden])
    }

    fn tables(&self, _: Interface) -> usize {
        let gates = product(&[4, self.blocks(), sum(&[2, self.actions, self.hidden])]);
        let products = sum(&[self.position_dimension, self.key_bias.into()]).div_ceil(4);
        let products = product(&[products, sum(&[1, self.hidden])]);
        let rows = product(&[self.rows.div_ceil(4), sum(&[self.position_dimension, self.actions])]);
        sum(&[gates, products, rows, self.actions.div_ceil(4)])
    }

    fn team(&self, interface: Interface) -> Option<Team> {
        let bias = usize::from(self.key_bias);
        let gates = product(&[self.hidden, sum(&[2, self.actions, self.hidden])]);
        let blocks = sum(&[self.hidden, bias]).div_ceil(4);
        let positions = sum(&[self.position_dimension, bias]);
        let (products, scores) = (product(&[positions, blocks]), product(&[self.rows, blocks]));
        let layers = if self.layers > 0 { product(&[2, self.rows]) } else { 0 };
        Some(Team {
            source: wgsl!("attention_neuron_weights.wgsl", "attention_neuron_team.wgsl").into(),
            tables: sum(&[gates, products, scores]),
            late_tables: scores,
            table_passes: sum(&[self.key_dimension, product(&[positions, sum(&[self.position_dimension, 2])])]),
            numbers: sum(&[product(&[interface.inputs, self.hidden]), layers, 1]),
        })
    }

    fn reads_only_tables(&self) -> bool {
        self.layers == 0
    }

    /// An entry of C is a sum of `key_dimension` products and errs by so many units; a score multiplies it by a state, the
    /// message by an input of up to 10 or so, and a tanh errs by 8 units of its own. Channels of opposite sign may cancel in
    /// the action and leave their errors: one of 1,000 cases with 13 channels came to 690 units where the key has 32 numbers.
    fn rounding(&self) -> f64 {
        32.0 * self.key_dimension.max(16) as f64
    }

    fn act(&self, weights: &[f64], memory: &mut [f64], inputs: &[f64], action: &mut [f64]) {
        let (channels, previous) = memory.split_at_mut(inputs.len() * 2 * self.hidden);
        let half =
            |which: usize| channels.chunks_exact(self.hidden).skip(which).step_by(2).collect::<Vec<_>>().concat();
        let (mut hidden, mut cell) = (half(0), half(1));
        AttentionNeuron::act(self, weights, &mut hidden, &mut cell, previous, inputs, action, None);
        let states = hidden.chunks_exact(self.hidden).zip(cell.chunks_exact(self.hidden));
        for (channel, (hidden, cell)) in channels.chunks_exact_mut(2 * self.hidden).zip(states) {
            channel[..self.hidden].copy_from_slice(hidden);
            channel[self.hidden..].copy_from_slice(cell);
        }
        previous.copy_from_slice(action);
    }
}

/// The flat vector cut into its tensors; absent biases are empty.
struct Tensors<'a> {
    weight_ih: &'a [f64],
    weight_hh: &'a [f64],
    bias_ih: &'a [f64],
    bias_hh: &'a [f64],
    query: &'a [f64],
    query_bias: &'a [f64],
    key: &'a [f64],
    key_bias: &'a [f64],
    layers: Vec<(&'a [f64], &'a [f64])>,
    head: &'a [f64],
    head_bias: &'a [f64],
}

/// The table of positions, see [`AttentionNeuron::positions`].
pub(crate) fn position_table(rows: usize, columns: usize) -> Vec<f64> {
    let cell = |row: usize, column: usize| {
        let exponent = (2 * (column / 2)) as f64 / columns as f64;
        let angle = row as f64 / 10_000_f64.powf(exponent);
        if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    (0..rows * columns).map(|index| cell(index / columns, index % columns)).collect()
}

/// Cuts a flat vector into tensors of the lengths that are asked for, one after the other.
pub(crate) fn cut<'a>(weights: &'a [f64]) -> impl FnMut(usize) -> &'a [f64] {
    let mut rest = weights;
    move |length| {
        let (tensor, others) = rest.split_at(length);
        rest = others;
        tensor
    }
}

/// `W x + b` for W `(outputs, inputs)`; an empty bias is none.
pub(crate) fn affine(weight: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = weight.chunks_exact(x.len()).enumerate();
    let product = |row: &[f64]| row.iter().zip(x).map(|(weight, x)| weight * x).sum::<f64>();
    rows.map(|(index, row)| bias.get(index).unwrap_or(&0.0) + product(row)).collect()
}

pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests;
