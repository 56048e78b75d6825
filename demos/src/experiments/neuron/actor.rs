//! Policies on the CPU, in f64, with what depends on their weights alone computed once.

use fourfold::shaders::rollout::policies::AttentionNeuron;

/// A policy with its weights.
pub trait Actor: Sync {
    /// Numbers that it remembers from step to step, zeros at the start of an episode.
    fn memory(&self, channels: usize) -> usize;

    /// The action for `inputs`, one number, and what it remembers after it.
    fn act(&self, memory: &mut [f64], inputs: &[f64]) -> f64;
}

/// `tanh(W_2 tanh(W_1 x + b_1) + b_2)`: an ordinary perceptron, which depends on the order of its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Perceptron {
    inputs: usize,
    hidden: usize,
    /// W_1 (hidden, inputs), b_1 (hidden), W_2 (1, hidden), b_2 (1).
    weights: Vec<f64>,
}

impl Perceptron {
    /// Weights of such a network.
    pub const fn parameters(inputs: usize, hidden: usize) -> usize {
        hidden * (inputs + 2) + 1
    }

    /// Returns the network with these weights.
    ///
    /// # Panics
    /// If there are not [`parameters`](Self::parameters) weights.
    pub fn new(inputs: usize, hidden: usize, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), Self::parameters(inputs, hidden), "weights of a perceptron");
        Self { inputs, hidden, weights: weights.iter().map(|&weight| weight.into()).collect() }
    }
}

impl Actor for Perceptron {
    fn memory(&self, _: usize) -> usize {
        0
    }

    fn act(&self, _: &mut [f64], inputs: &[f64]) -> f64 {
        let (matrix, rest) = self.weights.split_at(self.hidden * self.inputs);
        let (biases, rest) = rest.split_at(self.hidden);
        let (outer, bias) = rest.split_at(self.hidden);
        let rows = matrix.chunks_exact(self.inputs).zip(biases).zip(outer);
        let sum: f64 = rows
            .map(|((row, bias), outer)| {
                outer * (bias + row.iter().zip(inputs).map(|(weight, x)| weight * x).sum::<f64>()).tanh()
            })
            .sum();
        (bias[0] + sum).tanh()
    }
}

/// An attention neuron whose last action is part of its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    network: AttentionNeuron,
    weights: Vec<f64>,
    score_table: Vec<f64>,
}

impl Student {
    /// Returns the network with these weights.
    ///
    /// # Panics
    /// If the network has more than one action or another number of parameters than there are weights.
    pub fn new(network: AttentionNeuron, weights: &[f32]) -> Self {
        assert_eq!(network.actions, 1, "actions of a student");
        let weights: Vec<f64> = weights.iter().map(|&weight| weight.into()).collect();
        Self { network, score_table: network.score_table(&weights), weights }
    }
}

impl Actor for Student {
    fn memory(&self, channels: usize) -> usize {
        2 * channels * self.network.hidden + 1
    }

    fn act(&self, memory: &mut [f64], inputs: &[f64]) -> f64 {
        let states = inputs.len() * self.network.hidden;
        let (hidden, rest) = memory.split_at_mut(states);
        let (cell, action) = rest.split_at_mut(states);
        let Self { network, weights, score_table } = self;
        let message = network.message(weights, score_table, hidden, cell, action, inputs, None);
        network.head(weights, &message, action);
        action[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perceptron_of_one_hidden_unit_is_its_formula() {
        let perceptron = Perceptron::new(2, 1, &[0.5, -1.0, 0.25, 2.0, -0.5]);
        let expected = (2.0 * (0.5 * 3.0 - 1.0 * 1.0 + 0.25_f64).tanh() - 0.5).tanh();
        assert!((perceptron.act(&mut [], &[3.0, 1.0]) - expected).abs() < 1e-15);
    }

    #[test]
    fn a_student_acts_as_the_network_that_is_fed_its_own_actions() {
        let network = AttentionNeuron::cart_pole();
        let weights: Vec<f32> = (0..network.parameters()).map(|index| 0.3 * (1.7 * index as f32).sin()).collect();
        let student = Student::new(network, &weights);
        let mut memory = vec![0.0; student.memory(5)];
        let wide: Vec<f64> = weights.iter().map(|&weight| weight.into()).collect();
        let (mut hidden, mut cell, mut action) = (vec![0.0; 40], vec![0.0; 40], [0.0]);
        for step in 0..4 {
            let inputs = [0.1, -0.5, 0.9, 0.2, 1.0].map(|x| x + 0.1 * f64::from(step));
            let previous = action;
            network.act(&wide, &mut hidden, &mut cell, &previous, &inputs, &mut action, None);
            assert_eq!(student.act(&mut memory, &inputs), action[0]);
        }
    }
}
