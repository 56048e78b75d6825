//! The networks, their initial weights and the recipe of their training.

use fourfold::data::Checkpoint;
use fourfold::models::{PolicyNetwork, TrainedPolicy};
use fourfold::rollout::Interface;
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::rollout::policies::{AttentionNeuron, Perceptron};

use super::evaluation::OBSERVATIONS;
use super::training::{Recipe, StrategyName};
use crate::failure::Failure;

/// The ordinary policy beside the attention neuron: 5-16-1 with tanh, 113 weights.
pub fn perceptron() -> PolicyNetwork {
    PolicyNetwork::Perceptron(Perceptron::new(&[16]))
}

/// A policy of the cart-pole swing-up with its weights, as a checkpoint.
///
/// # Errors
/// Another number of weights than the network has, or weights that are not finite.
pub fn trained(network: &PolicyNetwork, weights: &[f32]) -> Result<Checkpoint, Failure> {
    let interface = Interface { inputs: OBSERVATIONS, actions: 1 };
    let mut file =
        TrainedPolicy::new(network.clone(), interface, weights.to_vec()).map_err(Failure::run)?.to_checkpoint();
    file.set("environment", "cart-pole-swing-up");
    Ok(file)
}

/// Added to the bias of the forget gates at first: memories that last from the start. Without it, training
/// stays at half of the score for long (Gers et al. 2000 and Jozefowicz et al. 2015 say why for other tasks).
const FORGET: f32 = 3.0;

/// Initial weights of an attention neuron, and which of them CMA-ES searches.
///
/// The weights are PyTorch's uniform distribution (of width 1 / sqrt(fan in), for the LSTM and the projections
/// 1 / sqrt(hidden)) with open forget gates. Attention depends on the product of the two projections alone, whose rank is
/// that of the hidden state, and the gates on the sum of two biases: the search keeps the key projection at the identity
/// (and zero beyond), as many rows of the query projection as the hidden state is long, and one bias. Every network has
/// one of this form that acts alike, and the search has half as many directions to explore.
pub fn initial(network: &AttentionNeuron, seed: u32) -> (Vec<f32>, Vec<usize>) {
    const STREAM: u32 = 0x1417_1A1F;
    let mut random = Random::new(seed, STREAM);
    let mut weights = Vec::with_capacity(network.parameters());
    let mut free = Vec::new();
    for part in network.parts() {
        let inputs = match part.name.split_once('.') {
            Some(("lstm" | "key" | "query", _)) => network.hidden,
            _ => network.rows,
        };
        let bound = 1.0 / (inputs as f32).sqrt();
        let columns = *part.shape.last().expect("every part has a shape");
        let row_length = if part.shape.len() == 1 { 1 } else { columns };
        for index in 0..part.shape.iter().product() {
            let (row, column) = (index / row_length, index % row_length);
            let drawn = bound * (2.0 * random.uniform() - 1.0);
            let (value, searched) = match part.name.as_str() {
                "lstm.bias_hh" => (0.0, false),
                // Gates in PyTorch's order: input, forget, cell, output.
                "lstm.bias_ih" if row / network.hidden == 1 => (drawn + FORGET, true),
                "key.weight" => (f32::from(row == column), false),
                "key.bias" => (0.0, false),
                "query.weight" | "query.bias" if row >= network.hidden => (0.0, false),
                _ => (drawn, true),
            };
            if searched {
                free.push(weights.len());
            }
            weights.push(value);
        }
    }
    (weights, free)
}

/// The recipe for a number of environment steps. A population of 128 with 8 episodes each is where CMA-ES's step size
/// settles low enough: with 256 members it stays where the policy cannot balance (scores end near 340), with 64 the mean
/// wanders.
pub fn recipe(steps: f64) -> Recipe {
    Recipe {
        strategy: StrategyName::CmaEs,
        steps,
        members: 128,
        episodes: 8,
        deviation: 0.1,
        rate: 0.037,
        last_rate: 1.0,
        deviation_rate: 0.078,
        weight_decay: 0.002,
    }
}
