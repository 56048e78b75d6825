//! Reverse-mode derivatives, from graph to graph.
//!
//! The derivatives are ordinary nodes of the same graph and every rule is written in operations that have rules
//! themselves, so [`gradients`] of gradients come out right: the product of the Hessian with `v` is
//! `gradients(gradients(loss, w).dot(v), w)`.
//!
//! Without a derivative (a zero one) are comparisons, casts, `sign`, `step`, `floor`, `argmax`, random numbers, masks,
//! and what stands behind [`Tensor::stop_gradient`].

use std::panic::Location;

use fourfold_shaders::Element;

use super::rules::sweep;
use super::{Graph, Tensor, TensorType};

/// The gradients of the number `of` (`f32 []`) for each of `wrt`, in the shapes of `wrt`. A tensor on which `of` does
/// not depend has zeros.
///
/// Gradients for a flat tensor that is read through [views](Tensor::view) come as one [pack](Graph::pack) of the
/// views' gradients.
///
/// If `of` is not a single number or one of `wrt` is not `f32`, the graph keeps the error and poisoned tensors return.
#[track_caller]
pub fn gradients<'g>(of: Tensor<'g>, wrt: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let graph = of.graph();
    if !of.is_poisoned() && of.kind() != TensorType::f32([]) {
        let poison = graph.fail("gradients", format!("takes the gradients of an f32 of shape [], got {of:?}"));
        return vec![poison; wrt.len()];
    }
    let caller = Location::caller();
    let seed = graph.constant(1.0);
    let found = vector_jacobian(&[of], &[seed], wrt);
    graph.ascribe(caller, || {
        let filled = found.into_iter().zip(wrt);
        filled.map(|(gradient, wrt)| gradient.unwrap_or_else(|| graph.full(wrt.shape(), 0.0))).collect()
    })
}

/// The product of `cotangents`, one for each of `outputs` and of its shape, with the Jacobian of `outputs` for each of
/// `wrt`; `None` where no output depends on it. With one output of shape `[]` and the cotangent 1 it is the gradient.
///
/// If the types do not fit, the graph keeps the error and poisoned tensors return.
#[track_caller]
pub fn vector_jacobian<'g>(
    outputs: &[Tensor<'g>],
    cotangents: &[Tensor<'g>],
    wrt: &[Tensor<'g>],
) -> Vec<Option<Tensor<'g>>> {
    let Some(graph) = outputs.first().map(|output| output.graph()) else {
        return vec![None; wrt.len()];
    };
    if let Some(poison) = [outputs, cotangents, wrt].concat().into_iter().find(|tensor| tensor.is_poisoned()) {
        return vec![Some(poison); wrt.len()];
    }
    if let Some(message) = mistake(graph, outputs, cotangents, wrt) {
        return vec![Some(graph.fail("vector_jacobian", message)); wrt.len()];
    }
    let seeds: Vec<_> = outputs.iter().copied().zip(cotangents.iter().copied()).collect();
    sweep(graph, 0, &seeds, wrt)
}

/// Describes what is wrong with the arguments of [`vector_jacobian`].
fn mistake(graph: &Graph, outputs: &[Tensor<'_>], cotangents: &[Tensor<'_>], wrt: &[Tensor<'_>]) -> Option<String> {
    if let Some(stranger) =
        [outputs, cotangents, wrt].concat().iter().find(|tensor| !std::ptr::eq(tensor.graph(), graph))
    {
        return Some(format!("{stranger:?} belongs to another graph"));
    }
    if let Some(whole) = outputs.iter().chain(wrt).find(|tensor| tensor.element() != Element::F32) {
        return Some(format!("takes f32 tensors, got {whole:?}"));
    }
    if outputs.len() != cotangents.len() {
        return Some(format!("takes a cotangent for each of {} outputs, got {}", outputs.len(), cotangents.len()));
    }
    let mut pairs = outputs.iter().zip(cotangents);
    let (output, cotangent) = pairs.find(|(output, cotangent)| output.kind() != cotangent.kind())?;
    Some(format!("the cotangent of {output:?} cannot be {cotangent:?}: the types must agree"))
}
