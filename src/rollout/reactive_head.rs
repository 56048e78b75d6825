//! The head of a network that remembers nothing, behind its messages, as a graph.

use fourfold_shaders::Data;
use fourfold_shaders::vision::{Answer, ReactiveNetwork};

use super::Error;
use crate::gpu::{BufferView, Gpu};
use crate::graph::{ConvolutionOptions, Graph, Plan, Session, Tag, Tensor, TensorType, Values};

/// The outputs `(batch, outputs)` behind messages `(batch, messages, dimension)`; `next` gives the tensors of the
/// [tail](ReactiveNetwork::tail), one after the other.
#[track_caller]
pub(crate) fn reactive_outputs<'g>(
    network: &ReactiveNetwork,
    messages: Tensor<'g>,
    mut next: impl FnMut() -> Tensor<'g>,
) -> Tensor<'g> {
    let grids = network.grids();
    let [dimension, side] = grids[0];
    let batch = messages.elements() / (dimension * side * side);
    let mut x = messages.reshape([batch, side, side, dimension]).relu();
    for convolution in &network.convolutions {
        let (weight, bias) = (next(), next());
        let options = ConvolutionOptions::new(convolution.stride, 0);
        // Files have (outputs, inputs, rows, columns).
        x = (x.convolution(weight.permute(&[2, 3, 1, 0]), options) + bias).relu();
    }
    let [channels, side] = grids[grids.len() - 1];
    // And images there have their channels first.
    let flat = x.permute(&[0, 3, 1, 2]).reshape([batch, channels * side * side]);
    let (weight, bias) = (next(), next());
    let hidden = flat.linear(weight, bias).relu();
    let (weight, bias) = (next(), next());
    hidden.linear(weight, bias)
}

/// A session that reads messages `(lanes, messages, dimension)` and writes actions `(lanes, actions)`, both in buffers that are
/// given. `weights` is the flat vector of one member; with `pedals` all numbers of an action but the first go from 0 to 1.
///
/// # Errors
/// Sizes that no tensor has, out of memory, or a shader that the driver refuses.
pub(super) fn head(
    gpu: &Gpu,
    network: &ReactiveNetwork,
    weights: &[f32],
    pedals: bool,
    [messages, actions]: [&BufferView; 2],
) -> Result<Session, Error> {
    let ReactiveNetwork { layer, outputs: width, answer, .. } = network;
    let graph = Graph::new();
    let own = &weights[layer.parameters()..];
    let flat = graph.state("weights", Tag::Weights, TensorType::f32([own.len()]));
    let mut values = Values::from([("weights".into(), Data::F32(own.to_vec()))]);
    let (tail, mut offset) = (network.tail(), 0);
    let mut shapes = tail.iter().map(|part| &part.shape);
    let next = || {
        let shape = shapes.next().expect("the tail has the tensors that the outputs take");
        let (first, length) = (offset, shape.iter().product());
        offset += length;
        flat.narrow(0, first, length).reshape(shape.clone())
    };
    let lanes = messages.elements() / (layer.messages * layer.dimension);
    let seen = graph.input("messages", TensorType::f32([lanes, layer.messages, layer.dimension]));
    let outputs = reactive_outputs(network, seen, next);
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
    Ok(session.on_buffer("messages", messages.clone()).on_buffer("actions", actions.clone()).build()?)
}
