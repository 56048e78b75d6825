//! Lowers an operation to the dispatches that compute it.
//!
//! The arguments of a sequence are the inputs of the operation in the order that [`Op`] states, then its outputs.

use fourfold_shaders::matmul::Batch;
use fourfold_shaders::random::threefry::Distribution;
use fourfold_shaders::reduction::reduce::Reduction;
use fourfold_shaders::{
    self as shaders, Activation, Sequence, Slot, Target, layout::concatenate, layout::copy, layout::gather,
    layout::pad, layout::scatter_add, matmul, optimiser::adamw, optimiser::advance_step, optimiser::ring,
    optimiser::sgd, random::dropout, random::threefry, reduction::argmax, reduction::global_norm, reduction::reduce,
    trajectories::windows,
};

use crate::graph::{GraphError, Node, Op, Shape, TensorType};

/// The dispatches of a node whose inputs have the given types.
pub(super) fn sequence(node: &Node, inputs: &[&TensorType], target: &Target) -> Result<Sequence, GraphError> {
    let shape = |index: usize| &inputs[index].shape;
    let count = inputs.first().map_or(0, |input| input.elements());
    let refuse = |error: shaders::Error| GraphError {
        operation: node.op.name(),
        message: error.to_string(),
        location: node.location,
    };
    match node.op {
        Op::Permute { ref axes } => {
            copy::Problem::permute(inputs[0].element, shape(0), axes).and_then(|copy| copy.sequence(target))
        }
        Op::Slice { ref starts } => copy::Problem::slice(inputs[0].element, shape(0), starts, &node.outputs[0].shape)
            .and_then(|copy| copy.sequence(target)),
        Op::Pad { ref starts } => {
            let (lengths, result) = (shape(0).to_vec(), &node.outputs[0].shape);
            let behind = |axis: usize| result[axis] - starts[axis] - lengths[axis];
            let padding = (0..starts.len()).map(|axis| [starts[axis], behind(axis)]).collect();
            pad::Problem { element: inputs[0].element, shape: lengths, padding, word: 0 }.sequence(target)
        }
        Op::Concatenate { axis } => {
            let shapes: Vec<&[usize]> = inputs.iter().map(|input| &*input.shape).collect();
            concatenate::concatenate(inputs[0].element, &shapes, axis)
        }
        Op::Sum { axis } => reduction(Reduction::Sum, shape(0), axis).sequence(target),
        Op::Max { axis } => reduction(Reduction::Max, shape(0), axis).sequence(target),
        Op::ArgMax { axis } => {
            let (outer, axis, inner) = shape(0).around(axis);
            argmax::Problem { outer, axis, inner }.sequence(target)
        }
        Op::Norm => global_norm::Problem { lengths: vec![count] }.sequence(target),
        Op::MatMul { .. } => product(node, inputs, false, Activation::None).sequence(target),
        Op::Uniform { stream } | Op::Normal { stream } => {
            let distribution = match node.op {
                Op::Uniform { .. } => Distribution::Uniform,
                _ => Distribution::Normal,
            };
            threefry::Problem { distribution, count: node.outputs[0].elements(), stream }.sequence(target)
        }
        Op::Dropout { stream, rate } => dropout::Problem { count, probability: rate, stream }.sequence(target),
        Op::Windows { stream, context, restart, largest } => {
            let problem = windows::Problem {
                batch: node.outputs[0].elements() / context,
                context,
                count: inputs[1].elements(),
                steps: inputs[2].elements(),
                episodes: inputs[3].elements() - 1,
                stream,
                restart,
                largest,
            };
            problem.sequence(target)
        }
        Op::Sgd { momentum, nesterov, weight_decay } => {
            sgd::Problem { count, momentum, nesterov, weight_decay, decayed: count }.sequence(target)
        }
        Op::AdamW { beta1, beta2, epsilon, weight_decay } => {
            // The shortest decimal of an f32 is the number that the caller wrote.
            let exact = |beta: f32| beta.to_string().parse().unwrap_or(f64::from(beta));
            let (beta1, beta2) = (exact(beta1), exact(beta2));
            adamw::Problem { count, beta1, beta2, epsilon, weight_decay, decayed: count }.sequence(target)
        }
        Op::Assign => {
            let kind = inputs[0];
            let [state, value] = Slot::arguments();
            Ok(Sequence::of(super::fuse::copy_call(&kind.shape, kind), [value, state]))
        }
        Op::Advance => advance_step::Problem { length: count, increment: 1 }.sequence(target),
        Op::Record => {
            let [length, columns] = shape(0)[..] else { unreachable!("the graph checked the ring") };
            ring::Problem { length, columns }.sequence(target)
        }
        Op::Gather => {
            let [rows, columns] = shape(0)[..] else { unreachable!("the graph checked the table") };
            gather::Problem { rows, columns, count: inputs[1].elements() }.sequence(target)
        }
        Op::ScatterAdd { rows } => {
            let [count, columns] = shape(0)[..] else { unreachable!("the graph checked the values") };
            scatter_add::Problem { rows, columns, count }.sequence(target)
        }
        Op::Fused(ref operation) => return super::operation::sequence(operation, node, inputs, target),
        Op::Poison
        | Op::Input { .. }
        | Op::State { .. }
        | Op::Constant(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Compare(_)
        | Op::Select
        | Op::Cast(_)
        | Op::Reshape
        | Op::StopGradient
        | Op::Broadcast
        | Op::View { .. }
        | Op::Pack { .. } => unreachable!("{} is not computed by a unit of its own", node.op.name()),
    }
    .map_err(refuse)
}

fn reduction(reduction: Reduction, shape: &Shape, axis: usize) -> reduce::Problem {
    let (outer, axis, inner) = shape.around(axis);
    reduce::Problem { reduction, outer, axis, inner }
}

/// The problem of a product node, with the epilogue that was fused into it.
pub(super) fn product(node: &Node, inputs: &[&TensorType], bias: bool, activation: Activation) -> matmul::Problem {
    let Op::MatMul { transpose_a, transpose_b } = node.op else { unreachable!("{} is not a product", node.op.name()) };
    let (a, b, out) = (&inputs[0].shape, &inputs[1].shape, &node.outputs[0].shape);
    let (m, n) = (out[1], out[2]);
    let k = if transpose_a { a[1] } else { a[2] };
    let stride = |shape: &Shape| if shape[0] == 1 { 0 } else { shape[1] * shape[2] };
    let batch = Batch { count: out[0], a_stride: stride(a), b_stride: stride(b) };
    matmul::Problem { batch: [Batch::ONE, batch], ..matmul::Problem::new(m, n, k) }
        .transposed(transpose_a, transpose_b)
        .with_epilogue(bias, activation)
}
