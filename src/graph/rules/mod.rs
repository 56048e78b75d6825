//! The derivative of every operation: from the cotangents of a node's outputs to those of its inputs.
//!
//! One file for each group of operations, in the order of [`Op`].

pub mod algebra;
mod cotangent;
mod elementwise;
mod layout;
mod operation;
mod product;
mod reduce;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use fourfold_shaders::elementwise::Unary;

use cotangent::{Contribution, Cotangent};

use super::decompose::decompose;
use super::operation::OutputGradients;
use super::{Graph, Node, Op, Tensor, Value};

/// True if the outputs are differentiable for this input.
pub fn is_differentiable(op: &Op, input: usize) -> bool {
    match op {
        Op::Poison | Op::Input { .. } | Op::State { .. } | Op::Constant(_) => false,
        Op::Unary(Unary::Sign | Unary::Step | Unary::Floor) | Op::Compare(_) | Op::Cast(_) => false,
        Op::StopGradient | Op::ArgMax { .. } | Op::Uniform { .. } | Op::Normal { .. } => false,
        Op::Windows { .. } => false,
        Op::Assign | Op::Sgd { .. } | Op::AdamW { .. } | Op::Advance | Op::Record => false,
        Op::Select => input != 0,
        Op::Gather | Op::ScatterAdd { .. } | Op::Dropout { .. } => input == 0,
        Op::Fused(_) => true,
        Op::Unary(_) | Op::Binary(_) | Op::Reshape | Op::Broadcast | Op::Permute { .. } => true,
        Op::Slice { .. } | Op::Pad { .. } | Op::Concatenate { .. } | Op::View { .. } | Op::Pack { .. } => true,
        Op::Sum { .. } | Op::Max { .. } | Op::Norm | Op::MatMul { .. } => true,
    }
}

/// The backward sweep over the nodes from `floor` on; what lies below is constant, but for `wrt`.
pub fn sweep<'g>(
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

/// The gradient of one node: from the cotangents of its outputs to those of its inputs.
struct NodeGradient<'g> {
    op: Op,
    gradients: OutputGradients<'g>,
}

impl<'g> Deref for NodeGradient<'g> {
    type Target = OutputGradients<'g>;

    fn deref(&self) -> &Self::Target {
        &self.gradients
    }
}

impl<'g> NodeGradient<'g> {
    fn new(graph: &'g Graph, index: usize, node: Node, gradients: Vec<Option<Tensor<'g>>>, wants: Vec<bool>) -> Self {
        let outputs = (0..node.outputs.len()).map(|output| graph.tensor(Value { node: index, output })).collect();
        let inputs = node.inputs.iter().map(|&input| graph.tensor(input)).collect();
        Self { op: node.op, gradients: OutputGradients { graph, inputs, outputs, gradients, wants } }
    }

    /// Returns the terms that this node adds to the cotangents of its inputs.
    fn contributions(&self) -> Vec<(usize, Contribution<'g>)> {
        let whole = |terms: Vec<(usize, Tensor<'g>)>| {
            terms.into_iter().map(|(input, tensor)| (input, Contribution::Whole(tensor))).collect()
        };
        match &self.op {
            Op::View { offset } => vec![(0, Contribution::Flat(*offset, self.cotangent()))],
            Op::Slice { starts } => vec![(0, Contribution::Box(starts.clone(), self.cotangent()))],
            _ => whole(self.whole_contributions()),
        }
    }

    fn whole_contributions(&self) -> Vec<(usize, Tensor<'g>)> {
        match &self.op {
            Op::Unary(function) => elementwise::unary(self, *function),
            Op::Binary(function) => elementwise::binary(self, *function),
            Op::Select => elementwise::select(self),
            Op::Reshape => layout::reshape(self),
            Op::Broadcast => layout::broadcast(self),
            Op::Permute { axes } => layout::permute(self, axes),
            Op::Pad { starts } => layout::pad(self, starts),
            Op::Concatenate { axis } => layout::concatenate(self, *axis),
            Op::Pack { offsets } => layout::pack(self, offsets),
            Op::Sum { axis } => reduce::sum(self, *axis),
            Op::Max { axis } => reduce::max(self, *axis),
            Op::Norm => reduce::norm(self),
            Op::MatMul { transpose_a, transpose_b } => product::matmul(self, *transpose_a, *transpose_b),
            Op::Gather => table::gather(self),
            Op::ScatterAdd { .. } => table::scatter_add(self),
            Op::Dropout { .. } => table::dropout(self),
            Op::Fused(operation) => operation::terms(self, operation),
            // The first two are handled above. Nothing passes through the others, so the sweep does not visit them.
            Op::View { .. }
            | Op::Slice { .. }
            | Op::Poison
            | Op::Input { .. }
            | Op::State { .. }
            | Op::Constant(_)
            | Op::Compare(_)
            | Op::Cast(_)
            | Op::StopGradient
            | Op::ArgMax { .. }
            | Op::Uniform { .. }
            | Op::Normal { .. }
            | Op::Windows { .. }
            | Op::Assign
            | Op::Sgd { .. }
            | Op::AdamW { .. }
            | Op::Advance
            | Op::Record => Vec::new(),
        }
    }

    /// The cotangent of the only output.
    fn cotangent(&self) -> Tensor<'g> {
        self.gradient(0)
    }

    /// `term` for an input, if it is wanted.
    fn only(&self, input: usize, term: impl FnOnce() -> Tensor<'g>) -> Vec<(usize, Tensor<'g>)> {
        if self.wants(input) { vec![(input, term())] } else { Vec::new() }
    }

    /// The cotangents by way of the operation's expression in simpler ones.
    fn through_decomposition(&self) -> Vec<(usize, Tensor<'g>)> {
        let floor = self.graph.len();
        let Some(outputs) = decompose(self.graph, &self.op, &self.inputs) else {
            let message = "has no gradient: no rule, and no definition in simpler operations";
            self.graph.fail(self.op.name(), message.into());
            return Vec::new();
        };
        let seeds: Vec<_> = outputs
            .into_iter()
            .zip(&self.gradients.gradients)
            .filter_map(|(output, &seed)| Some((output, seed?)))
            .collect();
        // A value that is two inputs gets its whole cotangent as the first of them.
        let wanted: Vec<usize> = (0..self.inputs.len())
            .filter(|&input| self.wants(input) && !self.inputs[..input].contains(&self.inputs[input]))
            .collect();
        let wrt: Vec<_> = wanted.iter().map(|&input| self.inputs[input]).collect();
        let found = sweep(self.graph, floor, &seeds, &wrt);
        wanted.into_iter().zip(found).filter_map(|(input, cotangent)| Some((input, cotangent?))).collect()
    }
}
