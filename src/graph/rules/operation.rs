//! Fused operations, a user's among them.

use super::NodeGradient;
use crate::graph::operation::Fused;
use crate::graph::{Tensor, TensorType};

/// The gradient that the operation gives, checked; that of its definition where it gives none.
pub fn terms<'g>(node: &NodeGradient<'g>, operation: &Fused) -> Vec<(usize, Tensor<'g>)> {
    let Some(mut terms) = operation.gradient(node) else {
        return node.through_decomposition();
    };
    let wrong = terms.iter().find(|(input, term)| match node.inputs.get(*input) {
        Some(input) => !term.is_poisoned() && term.kind() != TensorType::f32(input.shape()),
        None => true,
    });
    if let Some((input, term)) = wrong {
        let inputs = &node.inputs;
        let message = format!(
            "its gradient gives {term:?} for input {input}, expected one of its type; the inputs are {inputs:?}"
        );
        node.graph.fail(operation.name(), message);
        return Vec::new();
    }
    terms.retain(|(input, _)| node.wants(*input));
    terms
}
