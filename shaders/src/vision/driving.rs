//! The published network that drives: the attention neuron that sees, and behind it a small agent that votes for places of the
//! message and steers by where they lie.

use super::VisionNeuron;
use crate::rollout::policies::attention_neuron::{Part, affine, cut, sigmoid};
use crate::{Error, Sizes, product, sum};

/// The layer and what follows it, for messages on a square grid of `side * side` places. One step:
///
/// ```text
/// x   = (1 - alpha) m + alpha x                        a rolling average against jitter; at first alpha = 0
/// P   = softmax over j of (W_a x_i + b_a) . (W_b x_j + b_b)
/// i_1 .. i_top                                         the largest of the column sums of P, the lowest place first among equals
/// h, c = LSTM([row, column of i_1, ..] / side, h, c)
/// a   = tanh(W h + b)
/// alpha = logistic(w_2 . tanh(W_1 [h, a] + b_1) + b_2)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrivingNetwork {
    /// The layer that sees.
    pub layer: VisionNeuron,
    /// The length of the vote's queries and keys.
    pub vote: usize,
    /// Places that are chosen.
    pub top: usize,
    /// The length of the LSTM's state.
    pub hidden: usize,
    /// Numbers in an action.
    pub actions: usize,
}

/// The memory of the network between two steps of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct DrivingMemory {
    /// x, `(messages, dimension)`.
    pub smoothed: Vec<f64>,
    /// The hidden state of the LSTM.
    pub hidden: Vec<f64>,
    /// The cell state of the LSTM.
    pub cell: Vec<f64>,
    /// The last action, each number from -1 to 1.
    pub action: Vec<f64>,
    /// The share of the old message in the next average.
    pub alpha: f64,
}

impl DrivingNetwork {
    /// The published network for CarRacing: 7,212 parameters.
    pub const fn car_racing() -> Self {
        Self { layer: VisionNeuron::car_racing(), vote: 4, top: 10, hidden: 16, actions: 3 }
    }

    /// The side of the grid of the message's places, if they fill a square.
    pub fn side(&self) -> usize {
        self.layer.messages.isqrt()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        self.layer.check()?;
        let Self { layer, vote, top, hidden, actions } = *self;
        let square = product(&[self.side(), self.side()]) == layer.messages;
        Sizes("driving network")
            .positive(&[("vote", vote), ("top", top), ("hidden", hidden), ("actions", actions)])?
            .expect("messages", square, "a square number", layer.messages)?
            .expect("messages", layer.messages <= 1_024, "at most 1024", layer.messages)?
            .expect("vote", vote == 4, "4", vote)?
            .expect("top", top <= layer.messages.min(32), "at most 32 and the messages", top)?
            .expect("hidden", hidden <= 64, "at most 64", hidden)?
            .expect("actions", actions <= 16, "at most 16", actions)?
            .expect(
                "layer.actions",
                [0, actions].contains(&layer.actions),
                format_args!("0 or {actions}"),
                layer.actions,
            )?;
        Ok(())
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        sum(&[self.layer.parameters(), self.tail().iter().fold(0, |total, part| sum(&[total, product(&part.shape)]))])
    }

    /// The tensors of the flat vector of weights in the order of the published checkpoints.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the sizes.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = self.layer.parts();
        parts.extend(self.tail());
        parts
    }

    /// The tensors behind the layer's.
    fn tail(&self) -> Vec<Part> {
        let Self { layer, vote, top, hidden, actions } = *self;
        let (dimension, gates) = (layer.dimension, product(&[4, hidden]));
        [
            ("vote.query.weight", vec![vote, dimension]),
            ("vote.query.bias", vec![vote]),
            ("vote.key.weight", vec![vote, dimension]),
            ("vote.key.bias", vec![vote]),
            ("lstm.weight_ih", vec![gates, product(&[2, top])]),
            ("lstm.weight_hh", vec![gates, hidden]),
            ("lstm.bias_ih", vec![gates]),
            ("lstm.bias_hh", vec![gates]),
            ("head.weight", vec![actions, hidden]),
            ("head.bias", vec![actions]),
            ("mix.0.weight", vec![hidden, sum(&[hidden, actions])]),
            ("mix.0.bias", vec![hidden]),
            ("mix.2.weight", vec![1, hidden]),
            ("mix.2.bias", vec![1]),
        ]
        .map(|(name, shape)| Part { name: name.into(), shape })
        .into()
    }

    /// The memory at the start of an episode.
    pub fn blank(&self) -> DrivingMemory {
        DrivingMemory {
            smoothed: vec![0.0; self.layer.messages * self.layer.dimension],
            hidden: vec![0.0; self.hidden],
            cell: vec![0.0; self.hidden],
            action: vec![0.0; self.actions],
            alpha: 0.0,
        }
    }

    /// One step for a stack of pictures, see [`VisionNeuron::message`]: the action, each number from -1 to 1.
    ///
    /// # Panics
    /// If a slice has another length than its shape says, or [`check`](Self::check) refuses the sizes.
    pub fn act(
        &self,
        weights: &[f64],
        frames: &[&[u8]],
        keep: Option<&[bool]>,
        memory: &mut DrivingMemory,
        attention: Option<&mut [f64]>,
    ) -> Vec<f64> {
        let (own, tail) = weights.split_at(self.layer.parameters());
        let previous = if self.layer.actions == 0 { &[][..] } else { &memory.action };
        let message = self.layer.message(own, frames, previous, keep, attention);
        let alpha = memory.alpha;
        for (x, m) in memory.smoothed.iter_mut().zip(&message) {
            *x = (1.0 - alpha) * m + alpha * *x;
        }
        let importance = self.importance(tail, &memory.smoothed);
        self.decide(tail, &top(&importance, self.top), memory);
        memory.action.clone()
    }

    /// The importance of each place of the message, `(messages)`: the column sums of P. `tail` are the weights behind the
    /// layer's.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn importance(&self, tail: &[f64], smoothed: &[f64]) -> Vec<f64> {
        let tensors = self.split(tail);
        let project = |weight, bias| -> Vec<Vec<f64>> {
            smoothed.chunks_exact(self.layer.dimension).map(|x| affine(weight, bias, x)).collect()
        };
        let [queries, keys] = [project(tensors[0], tensors[1]), project(tensors[2], tensors[3])];
        importance(&queries, &keys, 1.0)
    }

    /// The action for the chosen places, and the memory after it. `tail` are the weights behind the layer's.
    ///
    /// # Panics
    /// If a slice has another length than its shape says.
    pub fn decide(&self, tail: &[f64], chosen: &[usize], memory: &mut DrivingMemory) {
        let tensors = self.split(tail);
        let side = self.side();
        let places: Vec<f64> =
            chosen.iter().flat_map(|place| [place / side, place % side]).map(|at| at as f64 / side as f64).collect();
        remember(std::array::from_fn(|tensor| tensors[4 + tensor]), &places, &mut memory.hidden, &mut memory.cell);
        memory.action = affine(tensors[8], tensors[9], &memory.hidden).into_iter().map(f64::tanh).collect();
        let mixed = affine(tensors[10], tensors[11], &[&memory.hidden[..], &memory.action].concat());
        let mixed: Vec<f64> = mixed.into_iter().map(f64::tanh).collect();
        memory.alpha = sigmoid(affine(tensors[12], tensors[13], &mixed)[0]);
    }

    /// The weights behind the layer's, cut into tensors.
    fn split<'a>(&self, tail: &'a [f64]) -> Vec<&'a [f64]> {
        let mut take = cut(tail);
        self.tail().into_iter().map(|part| take(part.shape.iter().product())).collect()
    }

    /// The action that CarRacing takes for the network's: steering from -1 to 1, gas and brake from 0 to 1.
    pub fn car_action(action: [f64; 3]) -> [f64; 3] {
        [action[0], 0.5 + 0.5 * action[1], 0.5 + 0.5 * action[2]]
    }
}

/// The importance of each key: the column sums of the softmax over keys of the queries' scores, which are products times
/// `scale`.
pub(super) fn importance(queries: &[Vec<f64>], keys: &[Vec<f64>], scale: f64) -> Vec<f64> {
    let mut importance = vec![0.0; keys.len()];
    for query in queries {
        let score = |key: &Vec<f64>| scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
        let scores: Vec<f64> = keys.iter().map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
        importance.iter_mut().zip(&scores).for_each(|(sum, score)| *sum += (score - largest).exp() / total);
    }
    importance
}

/// A step of an LSTM with the tensors `W_ih`, `W_hh`, `b_ih` and `b_hh`, their gates in the order input, forget, cell, output.
pub(super) fn remember(
    [of_inputs, of_state, bias, other_bias]: [&[f64]; 4],
    inputs: &[f64],
    hidden: &mut [f64],
    cell: &mut [f64],
) {
    let seen = affine(of_inputs, bias, inputs);
    let remembered = affine(of_state, other_bias, hidden);
    let length = cell.len();
    for unit in 0..length {
        let [input, forget, candidate, output] =
            std::array::from_fn(|gate| seen[gate * length + unit] + remembered[gate * length + unit]);
        cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * candidate.tanh();
        hidden[unit] = sigmoid(output) * cell[unit].tanh();
    }
}

/// The places of the `count` largest values in descending order, the lowest place first among equals.
pub(crate) fn top(values: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    places.truncate(count);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> DrivingNetwork {
        let layer =
            VisionNeuron { rows: 12, columns: 12, patch: 3, messages: 16, dimension: 8, ..VisionNeuron::car_racing() };
        DrivingNetwork { layer, top: 3, hidden: 5, ..DrivingNetwork::car_racing() }
    }

    fn waves(count: usize) -> Vec<f64> {
        (0..count).map(|index| 0.4 * (1.7 * index as f64).sin()).collect()
    }

    #[test]
    fn places_of_equal_importance_are_chosen_in_their_order() {
        assert_eq!(top(&[1.0, 3.0, 3.0, 0.5, 3.0], 4), [1, 2, 4, 0]);
        // Pictures that do not change give equal rows of the message, and so an equal vote.
        let network = small();
        let message = [0.3, -0.2, 0.9, 0.0, 1.0, -1.1, 0.4, 0.2].repeat(16);
        let importance = network.importance(&waves(network.parameters())[network.layer.parameters()..], &message);
        assert_eq!(top(&importance, 3), [0, 1, 2]);
    }

    #[test]
    fn every_row_shares_out_one_vote() {
        let network = small();
        let importance = network.importance(&waves(network.parameters())[network.layer.parameters()..], &waves(128));
        assert!((importance.iter().sum::<f64>() - 16.0).abs() < 1e-12);
    }

    #[test]
    fn the_share_of_the_old_message_is_that_of_the_step_before() {
        let network = small();
        let weights = waves(network.parameters());
        let picture = |seed: usize| -> Vec<u8> { (0..144).map(|i| (i * i * seed + 7 * i) as u8).collect() };
        let pictures: Vec<Vec<u8>> = (1..6).map(picture).collect();
        let stack = |first: usize| -> Vec<&[u8]> { pictures[first..first + 4].iter().map(Vec::as_slice).collect() };
        let mut memory = network.blank();
        network.act(&weights, &stack(0), None, &mut memory, None);
        let (old, alpha) = (memory.smoothed.clone(), memory.alpha);
        assert!(alpha > 0.0 && alpha < 1.0);
        let own = &weights[..network.layer.parameters()];
        assert_eq!(old, network.layer.message(own, &stack(0), &[0.0; 3], None, None));
        let next = network.layer.message(own, &stack(1), &memory.action.clone(), None, None);
        network.act(&weights, &stack(1), None, &mut memory, None);
        let expected = old.iter().zip(&next).map(|(old, next)| (1.0 - alpha) * next + alpha * old);
        assert!(memory.smoothed.iter().zip(expected).all(|(x, expected)| (x - expected).abs() < 1e-12));
    }

    #[test]
    fn a_decision_follows_its_formulas() {
        let network = small();
        let mut tail = vec![0.0; network.parameters() - network.layer.parameters()];
        let tensors: Vec<usize> = network.tail().iter().map(|part| part.shape.iter().product()).collect();
        let start = |tensor: usize| tensors[..tensor].iter().sum::<usize>();
        // The cell gate of unit 0 sees the column of the second place alone; both of its gates are half open.
        tail[start(4) + 2 * 5 * 6 + 3] = 2.0;
        tail[start(8) + 5] = 3.0;
        tail[start(13)] = -1.0;
        let mut memory = network.blank();
        network.decide(&tail, &[5, 14, 0], &mut memory);
        // Place 14 lies in row 3, column 2 of four.
        let cell = 0.5 * (2.0 * 0.5f64).tanh();
        assert!((memory.cell[0] - cell).abs() < 1e-15);
        assert!((memory.action[1] - (3.0 * 0.5 * cell.tanh()).tanh()).abs() < 1e-15);
        assert_eq!(memory.action[0], 0.0);
        assert!((memory.alpha - sigmoid(-1.0)).abs() < 1e-15);
        assert_eq!(DrivingNetwork::car_action([-0.5, -1.0, 0.5]), [-0.5, 0.0, 0.75]);
    }
}
