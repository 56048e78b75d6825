//! The attention neuron unrolled over time.

use fourfold::graph::{Graph, Reference, Tag, Tensor, TensorType, gradients};
use fourfold::models::{AttentionNeuronModel, NeuronMemory};
use fourfold::nn::Parameters;
use fourfold::shaders::rollout::policies::AttentionNeuron;

use super::finite_differences::{assert_along, spread};

const STEPS: usize = 3;
const CHANNELS: usize = 4;

/// The mean squared difference of the actions of three steps from targets, and its gradients for the weights and the
/// first memory, with what they are evaluated by. With `fed_back`, each step is given the action of the one before.
fn check(network: AttentionNeuron, batch: usize, fed_back: bool) {
    let mut parameters = Parameters::new();
    let model = AttentionNeuronModel::new(&mut parameters, network).unwrap();
    let graph = Graph::new();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([parameters.length()]));
    let hidden = graph.input("hidden", TensorType::f32([batch * CHANNELS, network.hidden]));
    let cell = graph.input("cell", TensorType::f32([batch * CHANNELS, network.hidden]));
    let positions = model.positions(&graph, "positions");
    let inputs = graph.input("inputs", TensorType::f32([STEPS, batch, CHANNELS]));
    let previous = graph.input("previous", TensorType::f32([STEPS, batch, network.actions]));
    let target = graph.input("target", TensorType::f32([STEPS, batch, network.actions]));
    let weighted = parameters.of(weights);
    let mut memory = NeuronMemory { hidden, cell };
    let actions = if fed_back {
        let mut action = previous.narrow(0, 0, 1);
        let mut step = |index: usize| {
            let done = model.unroll(&weighted, positions, inputs.narrow(0, index, 1), action, memory);
            (action, memory) = (done.actions, done.memory);
            action
        };
        let actions: Vec<_> = (0..STEPS).map(&mut step).collect();
        graph.concatenate(&actions, 0)
    } else {
        model.unroll(&weighted, positions, inputs, previous, memory).actions
    };
    let loss = actions.mean_squared_error(target);
    let leaves = [weights, hidden, cell];
    let slopes = gradients(loss, &leaves);
    assert_eq!(graph.check(), Ok(()));

    let dense: Vec<f32> = spread(parameters.count(), 3).iter().map(|weight| 0.4 * *weight as f32).collect();
    let flat = parameters.from_dense(&dense).expect("as many as there are parameters");
    let values = |tensor: Tensor<'_>, salt: usize| spread(tensor.elements(), salt);
    let reference = Reference::new([
        ("weights", flat.f32().iter().map(|&weight| weight.into()).collect()),
        ("positions", network.positions()),
        ("hidden", values(hidden, 5)),
        ("cell", values(cell, 7)),
        ("inputs", values(inputs, 9)),
        ("previous", values(previous, 11)),
        ("target", values(target, 13)),
    ]);
    let found = reference.evaluate_all(&slopes).expect("all values given");
    assert_along(&reference, loss, &[("weights", weights), ("hidden", hidden), ("cell", cell)], &found);
}

#[test]
fn the_gradient_through_three_steps_of_given_actions_is_that_of_differences() {
    for network in [AttentionNeuron::cart_pole(), AttentionNeuron::ant()] {
        check(network, 1, false);
    }
}

#[test]
fn the_gradient_through_three_steps_whose_actions_are_fed_back_is_that_of_differences() {
    for network in [AttentionNeuron::cart_pole(), AttentionNeuron::ant()] {
        check(network, 1, true);
    }
}

#[test]
fn the_gradient_through_steps_that_are_views_of_one_tensor_is_that_of_differences() {
    // 2 * 4 * 8 states are a multiple of the alignment of views.
    check(AttentionNeuron::cart_pole(), 2, false);
}
