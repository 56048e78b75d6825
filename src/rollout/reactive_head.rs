//! The head of a network that remembers nothing, behind its messages, as a graph.

use fourfold_shaders::Data;
use fourfold_shaders::vision::{Answer, ReactiveNetwork};

use super::Error;
use crate::gpu::{BufferView, Gpu};
use crate::graph::{ConvolutionOptions, Graph, Plan, Session, Tensor, TensorType, Values};

/// The outputs `(members, batch, outputs)` behind messages `(members * batch, messages, dimension)`, a network for each member;
/// `next` gives the tensors of the [tail](ReactiveNetwork::tail), one after the other, each with the members in front.
#[track_caller]
pub(crate) fn reactive_outputs<'g>(
    network: &ReactiveNetwork,
    members: usize,
    messages: Tensor<'g>,
    mut next: impl FnMut() -> Tensor<'g>,
) -> Tensor<'g> {
    let grids = network.grids();
    let [dimension, side] = grids[0];
    let batch = messages.elements() / (members * dimension * side * side);
    // The members are groups of channels: a convolution for each.
    let mut x = messages.reshape([members, batch, side * side, dimension]).relu().permute(&[1, 2, 0, 3]);
    for (convolution, [inputs, side]) in network.convolutions.iter().zip(&grids) {
        let (weight, bias) = (next(), next());
        let options = ConvolutionOptions { groups: members, ..ConvolutionOptions::new(convolution.stride, 0) };
        // Files have (outputs, inputs, rows, columns).
        let (kernel, outputs) = (convolution.kernel, members * convolution.channels);
        let weight = weight.permute(&[3, 4, 2, 0, 1]).reshape([kernel, kernel, *inputs, outputs]);
        x = x.reshape([batch, *side, *side, members * inputs]).convolution(weight, options);
        x = (x + bias.reshape([outputs])).relu();
    }
    let [channels, side] = grids[grids.len() - 1];
    // And images there have their channels first.
    let seen = x.reshape([batch, side * side, members, channels]).permute(&[2, 0, 3, 1]);
    let flat = seen.reshape([members, batch, channels * side * side]);
    let mut linear = |x: Tensor<'g>| {
        let (weight, bias) = (next(), next());
        x.matmul_transposed(weight, false, true) + bias.reshape([members, 1, bias.elements() / members])
    };
    let hidden = linear(flat).relu();
    linear(hidden)
}

/// A session that reads messages `(lanes, messages, dimension)` and weights `(members, parameters)` and writes actions
/// `(lanes, actions)`, all in buffers that are given; with `pedals` all numbers of an action but the first go from 0 to 1.
///
/// # Errors
/// Sizes that no tensor has, out of memory, or a shader that the driver refuses.
pub(super) fn head(
    gpu: &Gpu,
    network: &ReactiveNetwork,
    members: usize,
    pedals: bool,
    [messages, weights, actions]: [&BufferView; 3],
) -> Result<Session, Error> {
    let ReactiveNetwork { layer, outputs: width, answer, .. } = network;
    let graph = Graph::new();
    let flat = graph.input("weights", TensorType::f32([members, network.parameters()]));
    let mut values = Values::new();
    let (tail, mut offset) = (network.tail(), layer.parameters());
    let mut shapes = tail.iter().map(|part| &part.shape);
    let next = || {
        let shape = shapes.next().expect("the tail has the tensors that the outputs take");
        let (first, length) = (offset, shape.iter().product());
        offset += length;
        let sizes: Vec<usize> = [members].into_iter().chain(shape.iter().copied()).collect();
        flat.narrow(1, first, length).reshape(sizes)
    };
    let lanes = messages.elements() / (layer.messages * layer.dimension);
    let seen = graph.input("messages", TensorType::f32([lanes, layer.messages, layer.dimension]));
    let outputs = reactive_outputs(network, members, seen, next).reshape([lanes, *width]);
    let decided = match answer {
        Answer::Choice(choices) => {
            values.insert("choices".into(), Data::F32(choices.iter().map(|&action| action as f32).collect()));
            graph.input("choices", TensorType::f32([*width, 1])).gather(outputs.argmax(1))
        }
        Answer::Numbers if pedals && *width > 1 => {
            let numbers = outputs.tanh();
            let pedals = numbers.narrow(1, 1, width - 1) * 0.5 + 0.5;
            graph.concatenate(&[numbers.narrow(1, 0, 1), pedals], 1)
        }
        Answer::Numbers => outputs.tanh(),
    };
    graph.output("actions", decided);
    let session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?).values(&values);
    let given = [("messages", messages), ("weights", weights), ("actions", actions)];
    Ok(given.into_iter().fold(session, |session, (name, view)| session.on_buffer(name, view.clone())).build()?)
}
