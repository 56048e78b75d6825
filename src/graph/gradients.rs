//! Reverse-mode derivatives, from graph to graph.
//!
//! The derivatives are ordinary nodes of the same graph and every rule is written in operations that have rules
//! themselves, so [`gradients`] of gradients come out right: the product of the Hessian with `v` is
//! `gradients(gradients(loss, w).dot(v), w)`.
//!
//! Without a derivative (a zero one) are comparisons, casts, `sign`, `step`, `floor`, `argmax`, random numbers, masks,
//! and what stands behind [`Tensor::stop_gradient`].

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;

use fourfold_shaders::Element;

use super::rules::{NodeGradient, algebra, is_differentiable};
use super::{Graph, Shape, Tensor, TensorType, Value};

/// The gradients of the number `of` (`f32 []`) for each of `wrt`, in the shapes of `wrt`. A tensor on which `of` does
/// not depend has zeros.
///
/// Gradients for a flat tensor that is read through [views](Tensor::view) come as one [pack](Graph::pack) of the
/// views' gradients.
///
/// If `of` is no single number or one of `wrt` is not `f32`, the graph keeps the error and poisoned tensors return.
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

/// The backward sweep over the nodes from `floor` on; what lies below is constant, but for `wrt`.
pub(super) fn sweep<'g>(
    graph: &'g Graph,
    floor: usize,
    seeds: &[(Tensor<'g>, Tensor<'g>)],
    wrt: &[Tensor<'g>],
) -> Vec<Option<Tensor<'g>>> {
    let wanted: BTreeSet<Value> = wrt.iter().map(|tensor| tensor.value()).collect();
    let end = seeds.iter().map(|(output, _)| output.value().node + 1).max().unwrap_or(0).max(floor);
    // True for each node that lies on a path from one of `wrt`.
    let mut depends = vec![false; end];
    let active =
        |depends: &[bool], value: Value| wanted.contains(&value) || depends.get(value.node).copied().unwrap_or(false);
    for index in floor..end {
        let node = graph.node(index);
        let mut inputs = node.inputs.iter().enumerate();
        depends[index] = inputs.any(|(input, &value)| is_differentiable(&node.op, input) && active(&depends, value));
    }

    let mut cotangents: BTreeMap<Value, Cotangent<'g>> = BTreeMap::new();
    for &(output, cotangent) in seeds {
        if active(&depends, output.value()) {
            cotangents.entry(output.value()).or_default().add(Contribution::Whole(cotangent));
        }
    }
    let mut found: BTreeMap<Value, Tensor<'g>> = BTreeMap::new();
    for index in (floor..end).rev() {
        let node = graph.node(index);
        let location = node.location;
        graph.ascribe(location, || {
            let collected: Vec<_> = (0..node.outputs.len())
                .map(|output| {
                    let value = Value { node: index, output };
                    let total = cotangents.remove(&value)?.total(graph, &node.outputs[output].shape);
                    if wanted.contains(&value) {
                        found.insert(value, total);
                    }
                    Some(total)
                })
                .collect();
            if depends[index] && collected.iter().any(Option::is_some) {
                let inputs = node.inputs.iter().enumerate();
                let wants = inputs
                    .map(|(input, &value)| is_differentiable(&node.op, input) && active(&depends, value))
                    .collect();
                let values = node.inputs.clone();
                for (input, contribution) in NodeGradient::new(graph, index, node, collected, wants).contributions() {
                    cotangents.entry(values[input]).or_default().add(contribution);
                }
            }
        });
    }
    for &value in &wanted {
        if let Some(cotangent) = cotangents.remove(&value) {
            found.insert(value, cotangent.total(graph, &graph.type_of(value).shape));
        }
    }
    wrt.iter().map(|tensor| found.get(&tensor.value()).copied()).collect()
}

/// A term that one use of a value adds to its cotangent.
pub(super) enum Contribution<'g> {
    Whole(Tensor<'g>),
    /// At an offset of a flat value.
    Flat(usize, Tensor<'g>),
    /// In the box of the value that begins there.
    Box(Vec<usize>, Tensor<'g>),
}

/// The cotangent of a value while its uses are visited.
#[derive(Default)]
struct Cotangent<'g> {
    wholes: Vec<Tensor<'g>>,
    flats: Vec<(usize, Tensor<'g>)>,
    boxes: Vec<(Vec<usize>, Tensor<'g>)>,
}

impl<'g> Cotangent<'g> {
    fn add(&mut self, contribution: Contribution<'g>) {
        match contribution {
            Contribution::Whole(tensor) => self.wholes.push(tensor),
            Contribution::Flat(offset, tensor) => self.flats.push((offset, tensor)),
            Contribution::Box(starts, tensor) => self.boxes.push((starts, tensor)),
        }
    }

    /// The sum, of the value's `shape`.
    fn total(self, graph: &'g Graph, shape: &Shape) -> Tensor<'g> {
        let packed = packs(graph, self.flats, shape.elements());
        let joined = join(graph, self.boxes, shape);
        let terms = self.wholes.into_iter().chain(packed).chain(joined);
        terms.reduce(algebra::plus).unwrap_or_else(|| graph.full(shape, 0.0))
    }
}

/// The fewest packs that hold all parts: one, unless parts overlap without being equal.
fn packs<'g>(graph: &'g Graph, parts: Vec<(usize, Tensor<'g>)>, length: usize) -> Vec<Tensor<'g>> {
    let mut sums: BTreeMap<(usize, usize), Tensor<'g>> = BTreeMap::new();
    for (offset, part) in parts {
        let sum = sums.entry((offset, part.elements()));
        sum.and_modify(|sum| *sum = algebra::plus(*sum, part.reshape(sum.shape()))).or_insert(part);
    }
    let mut layers: Vec<(usize, Vec<(usize, Tensor<'g>)>)> = Vec::new();
    for ((offset, elements), sum) in sums {
        match layers.iter_mut().find(|(end, _)| *end <= offset) {
            Some((end, layer)) => {
                *end = offset + elements;
                layer.push((offset, sum));
            }
            None => layers.push((offset + elements, vec![(offset, sum)])),
        }
    }
    layers.into_iter().map(|(_, layer)| graph.pack(&layer, length)).collect()
}

/// The boxes joined along an axis if they divide it among themselves, otherwise each padded.
fn join<'g>(graph: &'g Graph, mut boxes: Vec<(Vec<usize>, Tensor<'g>)>, shape: &Shape) -> Vec<Tensor<'g>> {
    boxes.sort_by(|(a, _), (b, _)| a.cmp(b));
    let partition = (0..shape.rank()).find(|&axis| {
        let mut end = 0;
        let adjacent = boxes.iter().all(|(starts, part)| {
            let part = part.shape();
            let begins = std::mem::replace(&mut end, starts[axis] + part[axis]);
            begins == starts[axis] && part.with_axis(axis, shape[axis]) == *shape
        });
        adjacent && end == shape[axis]
    });
    match partition {
        Some(axis) => {
            let parts: Vec<_> = boxes.into_iter().map(|(_, part)| part).collect();
            vec![graph.concatenate(&parts, axis)]
        }
        None => boxes.into_iter().map(|(starts, part)| part.pad(&starts, shape)).collect(),
    }
}
