//! Operations of a user's.

use super::NodeGradient;
use crate::graph::custom::Custom;
use crate::graph::{Tensor, TensorType};

/// The gradient that the operation gives, checked; that of its definition where it gives none.
pub fn custom<'g>(node: &NodeGradient<'g>, operation: &Custom) -> Vec<(usize, Tensor<'g>)> {
    let zeros = |output: usize| node.graph.full(node.outputs[output].shape(), 0.0);
    let cotangents = (0..node.outputs.len()).map(|output| node.cotangents[output].unwrap_or_else(|| zeros(output)));
    let cotangents: Vec<_> = cotangents.collect();
    let Some(terms) = operation.gradient(&node.inputs, &node.outputs, &cotangents) else {
        return node.through_decomposition();
    };
    let fits = |(term, input): (&Option<Tensor<'g>>, &Tensor<'g>)| {
        term.is_none_or(|term| term.is_poisoned() || term.kind() == TensorType::f32(input.shape()))
    };
    if terms.len() != node.inputs.len() || !terms.iter().zip(&node.inputs).all(fits) {
        let message = format!("its gradient gives {terms:?}, expected one of its type for each of {:?}", node.inputs);
        node.graph.fail(operation.name(), message);
        return Vec::new();
    }
    terms.into_iter().enumerate().filter(|(input, _)| node.wants(*input)).filter_map(|(i, t)| Some((i, t?))).collect()
}
