//! The attention neuron that sees, with the network behind it that remembers nothing.

use fourfold::graph::{Graph, Reference, Tag, TensorType, gradients};
use fourfold::models::ReactiveModel;
use fourfold::shaders::vision::{Answer, Convolution, ReactiveNetwork, VisionNeuron};

use super::finite_differences::{assert_along, spread};

#[test]
fn the_gradient_through_patches_and_convolutions_is_that_of_differences() {
    let layer = VisionNeuron {
        rows: 8,
        columns: 12,
        patch: 4,
        messages: 16,
        dimension: 4,
        actions: 0,
        key_bias: false,
        ..VisionNeuron::pong()
    };
    let convolutions = vec![Convolution { channels: 3, kernel: 2, stride: 2 }];
    let network = ReactiveNetwork { layer, convolutions, hidden: 5, outputs: 2, answer: Answer::Numbers };
    let model = ReactiveModel::new(network).unwrap();
    let graph = Graph::new();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([model.parameters().length()]));
    let frames = graph.input("frames", TensorType::f32([2, 8 * 12, 4]));
    let target = graph.input("target", TensorType::f32([2, 2]));
    let positions = model.neuron().positions(&graph, "positions");
    let weighted = model.parameters().of(weights);
    let seen = model.neuron().forward(&weighted, positions, frames * 1.5, None);
    let loss = model.outputs(&weighted, seen.messages).tanh().mean_squared_error(target);
    let leaves = [weights, frames];
    let slopes = gradients(loss, &leaves);
    assert_eq!(graph.check(), Ok(()));

    let dense: Vec<f32> = spread(model.parameters().count(), 3).iter().map(|weight| 0.6 * *weight as f32).collect();
    let flat = model.parameters().from_dense(&dense).expect("as many as there are parameters");
    let reference = Reference::new([
        ("weights", flat.f32().iter().map(|&weight| weight.into()).collect()),
        ("positions", layer.position_table()),
        ("frames", spread(frames.elements(), 5)),
        ("target", spread(target.elements(), 7)),
    ]);
    let found = reference.evaluate_all(&slopes).expect("all values given");
    assert_along(&reference, loss, &[("weights", weights), ("frames", frames)], &found);
}
