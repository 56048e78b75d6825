//! Values of the authors' PyTorch code for made-up weights, and what no order of the channels changes.

use super::*;
use crate::random::threefry::Random;

/// The golden values were computed in f32: a message is good to a few units of 2^-24, a sum of 32 of them to one of 24.
const MESSAGE: f64 = 5e-7;
const SUM: f64 = 1e-5;

/// `amplitude sin(1.7 i)`.
fn waves(count: usize, amplitude: f64) -> Vec<f64> {
    (0..count).map(|index| amplitude * (1.7 * index as f64).sin()).collect()
}

/// A policy in an episode.
struct Agent {
    network: AttentionNeuron,
    weights: Vec<f64>,
    hidden: Vec<f64>,
    cell: Vec<f64>,
    action: Vec<f64>,
}

impl Agent {
    fn new(network: AttentionNeuron, channels: usize) -> Self {
        let states = channels * network.hidden;
        Self {
            weights: waves(network.parameters(), 0.3),
            hidden: vec![0.0; states],
            cell: vec![0.0; states],
            action: vec![0.0; network.actions],
            network,
        }
    }

    fn message(&mut self, inputs: &[f64]) -> Vec<f64> {
        let Self { network, weights, hidden, cell, action, .. } = self;
        network.message(weights, &network.score_table(weights), hidden, cell, action, inputs, None)
    }

    fn act(&mut self, inputs: &[f64]) -> Vec<f64> {
        let previous = self.action.clone();
        let Self { network, weights, hidden, cell, action, .. } = self;
        network.act(weights, hidden, cell, &previous, inputs, action, None);
        self.action.clone()
    }

    /// The states of the channels in another order.
    fn permute(&mut self, order: &[usize]) {
        let length = self.network.hidden;
        for states in [&mut self.hidden, &mut self.cell] {
            *states = order.iter().flat_map(|&from| states[from * length..][..length].to_vec()).collect();
        }
    }
}

fn cart_pole_inputs(t: f64) -> Vec<f64> {
    vec![0.1 * (t + 1.0), -0.5 + 0.2 * t, (3.0 + 0.1 * t).cos(), (3.0 + 0.1 * t).sin(), 1.0 - 0.3 * t]
}

#[track_caller]
fn assert_near(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance, "{got} is not {expected}");
}

#[track_caller]
fn assert_all_near(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_near(*got, *expected, 1e-12);
    }
}

#[test]
fn the_published_networks_have_their_numbers_of_parameters() {
    let counts =
        [AttentionNeuron::cart_pole(), AttentionNeuron::ant(), AttentionNeuron::evojax()].map(|it| it.parameters());
    assert_eq!(counts, [913, 2504, 993 + 32]);
}

#[test]
fn the_first_rows_of_the_table_of_positions_are_the_published_ones() {
    let table = AttentionNeuron::cart_pole().positions();
    assert_eq!(table[..8], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    let second = [0.841471, 0.540302, 0.0998334, 0.995004, 0.00999983, 0.99995, 0.000999999833, 0.9999995];
    for (got, expected) in table[8..16].iter().zip(second) {
        assert_near(*got, expected, 5e-7);
    }
}

#[test]
fn three_steps_of_the_cart_pole_network_are_those_of_pytorch() {
    let golden = [
        ([-0.00205706, -0.03305204, -0.03036014], -0.3177913, -0.3033215),
        ([0.04173331, -0.04776716, -0.14279194], -1.2568271, -0.3253150),
        ([0.07371459, -0.05359072, -0.21625138], -1.8321524, -0.3361570),
    ];
    let mut agent = Agent::new(AttentionNeuron::cart_pole(), 5);
    for (t, (rows, sum, action)) in golden.into_iter().enumerate() {
        let message = agent.message(&cart_pole_inputs(t as f64));
        for (row, expected) in [0, 1, 15].into_iter().zip(rows) {
            assert_near(message[row], expected, MESSAGE);
        }
        assert_near(message.iter().sum(), sum, SUM);
        agent.network.head(&agent.weights, &message, &mut agent.action);
        assert_near(agent.action[0], action, MESSAGE);
    }
}

#[test]
fn two_steps_of_the_layer_for_the_ant_are_those_of_pytorch() {
    let golden = [([0.78151643, 0.83290315, 0.64394647], 23.633734), ([0.85280746, 0.9195904, 0.54281026], 24.457502)];
    let mut agent = Agent::new(AttentionNeuron::ant(), 28);
    agent.action = (0..8).map(|n| 0.1 * f64::from(n) - 0.3).collect();
    for (t, (rows, sum)) in golden.into_iter().enumerate() {
        let inputs: Vec<f64> = (0..28).map(|n| (0.3 * f64::from(n) + t as f64).sin()).collect();
        let message = agent.message(&inputs);
        for (row, expected) in [0, 1, 31].into_iter().zip(rows) {
            assert_near(message[row], expected, MESSAGE);
        }
        assert_near(message.iter().sum(), sum, SUM);
    }
}

#[test]
fn channels_with_their_states_in_another_order_give_the_same_actions() {
    let order = [3, 0, 4, 1, 2];
    for network in [AttentionNeuron::cart_pole(), AttentionNeuron::ant()] {
        let (mut plain, mut shuffled) = (Agent::new(network, 5), Agent::new(network, 5));
        for t in 0..20 {
            let inputs = cart_pole_inputs(f64::from(t));
            let wired: Vec<f64> = order.iter().map(|&from| inputs[from]).collect();
            assert_all_near(&shuffled.act(&wired), &plain.act(&inputs));
        }
        let mut permuted = Agent { hidden: plain.hidden.clone(), cell: plain.cell.clone(), ..plain };
        permuted.permute(&order);
        assert_all_near(&permuted.hidden, &shuffled.hidden);
    }
}

#[test]
fn inputs_alone_in_another_order_give_another_message_once_there_is_a_memory() {
    let mut agent = Agent::new(AttentionNeuron::cart_pole(), 5);
    let (first, mut rest) = (cart_pole_inputs(0.0), cart_pole_inputs(1.0));
    let mut fresh = Agent::new(AttentionNeuron::cart_pole(), 5);
    let mut backwards = first.clone();
    backwards.reverse();
    assert_all_near(&fresh.message(&backwards), &agent.message(&first));

    let mut shuffled = Agent { hidden: agent.hidden.clone(), cell: agent.cell.clone(), ..fresh };
    let expected = agent.message(&rest);
    rest.reverse();
    let change = shuffled.message(&rest).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(change > 1e-3, "the message changed by {change} only");
}

#[test]
fn repeated_channels_with_a_smaller_factor_give_the_same_actions_from_the_same_weights() {
    for copies in [2, 3] {
        let mut plain = Agent::new(AttentionNeuron::cart_pole(), 5);
        let network = AttentionNeuron { factor: 1.0 / copies as f32, ..AttentionNeuron::cart_pole() };
        let mut repeated = Agent::new(network, 5 * copies);
        for t in 0..5 {
            let inputs = cart_pole_inputs(f64::from(t));
            let (got, expected) = (repeated.act(&inputs.repeat(copies)), plain.act(&inputs));
            // A third is rounded to f32.
            assert_near(got[0], expected[0], 1e-7);
        }
    }
}

#[test]
fn the_attention_that_is_handed_out_times_the_inputs_is_the_message() {
    let mut agent = Agent::new(AttentionNeuron::ant(), 6);
    let (mut random, channels) = (Random::new(5, 0), 6);
    let inputs: Vec<f64> = (0..channels).map(|_| f64::from(random.normal())).collect();
    let mut attention = vec![0.0; agent.network.rows * channels];
    let mut action = [0.0; 8];
    let Agent { network, weights, hidden, cell, .. } = &mut agent;
    network.act(weights, hidden, cell, &[0.0; 8], &inputs, &mut action, Some(&mut attention));
    let mut other = Agent::new(AttentionNeuron::ant(), 6);
    let message = other.message(&inputs);
    for (row, attention) in attention.chunks_exact(channels).enumerate() {
        let sum: f64 = attention.iter().zip(&inputs).map(|(weight, input)| weight * input).sum();
        assert_near(message[row], sum.tanh(), 1e-12);
    }
}
