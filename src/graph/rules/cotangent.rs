//! Sums of what the uses of a value add to its cotangent.

use std::collections::BTreeMap;

use super::algebra;
use crate::graph::{Graph, Shape, Tensor};

/// A term that one use of a value adds to its cotangent.
pub enum Contribution<'g> {
    Whole(Tensor<'g>),
    /// At an offset of a flat value.
    Flat(usize, Tensor<'g>),
    /// In the box of the value that begins there.
    Box(Vec<usize>, Tensor<'g>),
}

/// The cotangent of a value while its uses are visited.
#[derive(Default)]
pub struct Cotangent<'g> {
    wholes: Vec<Tensor<'g>>,
    flats: Vec<(usize, Tensor<'g>)>,
    boxes: Vec<(Vec<usize>, Tensor<'g>)>,
}

impl<'g> Cotangent<'g> {
    pub fn add(&mut self, contribution: Contribution<'g>) {
        match contribution {
            Contribution::Whole(tensor) => self.wholes.push(tensor),
            Contribution::Flat(offset, tensor) => self.flats.push((offset, tensor)),
            Contribution::Box(starts, tensor) => self.boxes.push((starts, tensor)),
        }
    }

    /// The sum, of the value's `shape`.
    pub fn total(self, graph: &'g Graph, shape: &Shape) -> Tensor<'g> {
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
