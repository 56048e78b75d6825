//! Chooses the nodes that one dispatch computes: chains of elementwise operations, products with bias and activation.

use std::collections::{BTreeSet, HashMap, HashSet};

use fourfold_shaders::elementwise::{Binary, Mode, Program, Unary};
use fourfold_shaders::{Activation, Call};

use super::canonical::Canonical;
use crate::graph::{Fused, Op, Shape, TensorType, Value};

/// Nodes that one unit of work computes together.
#[derive(Debug, Clone)]
pub(super) enum Unit {
    /// One node by itself.
    Node(usize),
    /// Elementwise nodes; `root` is the one whose value is stored.
    Chain { root: usize, members: BTreeSet<usize> },
    /// `activation(product + bias)`, stored as the value of `root`; by `biased` where the product is an operation.
    Product { root: usize, product: usize, bias: Value, activation: Activation, biased: Option<Fused> },
}

impl Unit {
    /// The node whose outputs the unit stores.
    pub fn root(&self) -> usize {
        match *self {
            Unit::Node(root) | Unit::Chain { root, .. } | Unit::Product { root, .. } => root,
        }
    }

    /// The node whose kernels the unit takes.
    pub fn computed(&self) -> usize {
        match *self {
            Unit::Product { product, .. } => product,
            _ => self.root(),
        }
    }
}

/// The most operations of one generated kernel: compile time grows faster than the saved traffic.
const LONGEST_CHAIN: usize = 24;

/// The units of a graph in the order of execution, effects last.
pub(super) fn units(graph: &Canonical) -> Vec<Unit> {
    let consumers = consumers(graph);
    let outputs: HashSet<usize> = graph.outputs.iter().map(|(_, value)| graph.storage(*value).root.node).collect();
    let mut fusion = Fusion { graph, consumers, outputs, absorbed: HashSet::new() };
    let mut units = Vec::new();
    // Roots come after what they absorb, so the search runs backwards.
    for (index, node) in graph.live().rev() {
        let alias = matches!(node.op, Op::Reshape | Op::StopGradient | Op::View { .. });
        if alias || fusion.absorbed.contains(&index) || graph.constant(Value { node: index, output: 0 }).is_some() {
            continue;
        }
        units.push(match &node.op {
            Op::Input { .. } | Op::State { .. } | Op::Poison => continue,
            op if op.is_elementwise() => fusion.product(index).unwrap_or_else(|| fusion.chain(index)),
            _ => Unit::Node(index),
        });
    }
    units.reverse();
    drop_unread_broadcasts(graph, &mut units);
    // The sort is stable: effects keep their order among themselves and follow everything else. A constant that an
    // operation other than an elementwise one reads is stored by a unit of its own, before all others.
    units.sort_by_key(|unit| graph.node(unit.root()).op.is_effect());
    let stored = stored_constants(graph, &units);
    stored.into_iter().map(Unit::Node).chain(units).collect()
}

/// Drops broadcasts that only chains read: generated kernels stretch their inputs themselves.
fn drop_unread_broadcasts(graph: &Canonical, units: &mut Vec<Unit>) {
    let stretches = |unit: &Unit| matches!(unit, Unit::Node(index) if graph.node(*index).op == Op::Broadcast);
    let mut read: HashSet<Value> = graph.outputs.iter().map(|(_, value)| graph.storage(*value).root).collect();
    for unit in units.iter() {
        let values = match unit {
            Unit::Node(index) if graph.node(*index).op == Op::Broadcast => {
                vec![unstretched(graph, Value { node: *index, output: 0 })]
            }
            Unit::Node(index) => graph.node(*index).inputs.clone(),
            Unit::Chain { members, .. } => leaves(graph, members),
            Unit::Product { product, bias, .. } => [graph.node(*product).inputs.clone(), vec![*bias]].concat(),
        };
        read.extend(values.iter().map(|value| graph.storage(*value).root));
    }
    units.retain(|unit| !stretches(unit) || read.contains(&Value { node: unit.root(), output: 0 }));
}

/// Constants that must lie in memory.
fn stored_constants(graph: &Canonical, units: &[Unit]) -> BTreeSet<usize> {
    let read = units.iter().filter_map(|unit| match unit {
        Unit::Node(index) => Some(graph.node(*index).inputs.clone()),
        Unit::Product { product, bias, .. } => Some([graph.node(*product).inputs.clone(), vec![*bias]].concat()),
        Unit::Chain { .. } => None,
    });
    let named = graph.outputs.iter().map(|(_, value)| *value);
    let values = read.flatten().chain(named);
    values.filter(|value| graph.constant(*value).is_some()).map(|value| graph.storage(value).root.node).collect()
}

/// The nodes that read each node, aliases included.
fn consumers(graph: &Canonical) -> HashMap<usize, Vec<usize>> {
    let mut consumers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in graph.live() {
        for input in &node.inputs {
            consumers.entry(input.node).or_default().push(index);
        }
    }
    consumers
}

struct Fusion<'a> {
    graph: &'a Canonical,
    consumers: HashMap<usize, Vec<usize>>,
    /// Nodes whose storage is read by name.
    outputs: HashSet<usize>,
    absorbed: HashSet<usize>,
}

impl Fusion<'_> {
    fn consumers(&self, node: usize) -> &[usize] {
        self.consumers.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Grows a chain from its root towards the inputs, as long as no value inside is needed outside.
    fn chain(&mut self, root: usize) -> Unit {
        let shape = &self.graph.node(root).outputs[0].shape;
        let mut members = BTreeSet::from([root]);
        let mut refused = HashSet::new();
        loop {
            let candidate = members
                .iter()
                .flat_map(|&member| &self.graph.node(member).inputs)
                .map(|input| input.node)
                .filter(|node| !members.contains(node) && !refused.contains(node))
                .max();
            let Some(candidate) = candidate else { break };
            let node = self.graph.node(candidate);
            let fits = node.op.is_elementwise()
                && node.outputs[0].shape == *shape
                && !self.outputs.contains(&candidate)
                && !self.absorbed.contains(&candidate)
                && self.graph.constant(Value { node: candidate, output: 0 }).is_none()
                && self.consumers(candidate).iter().all(|consumer| members.contains(consumer))
                && self.product_pattern(candidate, Activation::None).is_none();
            if fits {
                members.insert(candidate);
                if members.len() > LONGEST_CHAIN || self.leaves(&members).len() >= Program::MAX_OPERANDS {
                    members.remove(&candidate);
                    refused.insert(candidate);
                }
            } else {
                refused.insert(candidate);
            }
        }
        self.absorbed.extend(members.iter().copied().filter(|&member| member != root));
        Unit::Chain { root, members }
    }

    fn leaves(&self, members: &BTreeSet<usize>) -> Vec<Value> {
        leaves(self.graph, members)
    }

    /// The product whose bias (and activation) the node at `root` is.
    fn product(&mut self, root: usize) -> Option<Unit> {
        let node = self.graph.node(root);
        let activation = match node.op {
            Op::Unary(Unary::Relu) => Activation::Relu,
            Op::Unary(Unary::Tanh) => Activation::Tanh,
            Op::Unary(Unary::GeluTanh) => Activation::GeluTanh,
            Op::Unary(Unary::GeluErf) => Activation::GeluErf,
            _ => Activation::None,
        };
        let sum = match activation {
            Activation::None => root,
            _ => {
                let sum = node.inputs[0].node;
                let only = self.consumers(sum) == [root] && !self.outputs.contains(&sum);
                Some(sum).filter(|_| only)?
            }
        };
        let (product, bias, biased) = self.product_pattern(sum, activation)?;
        if sum != root {
            self.absorbed.insert(sum);
        }
        self.absorbed.insert(product);
        Some(Unit::Product { root, product, bias, activation, biased })
    }

    /// The product (or operation) and the bias, if `sum` adds a bias for each column to one that nothing else reads; and the
    /// operation that adds it and applies the activation.
    fn product_pattern(&self, sum: usize, activation: Activation) -> Option<(usize, Value, Option<Fused>)> {
        let node = self.graph.node(sum);
        if node.op != Op::Binary(Binary::Add) {
            return None;
        }
        let [a, b] = node.inputs[..] else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(product, bias)| {
            let mut inner = product.node;
            let mut reader = sum;
            while self.consumers(inner) == [reader] && matches!(self.graph.node(inner).op, Op::Reshape) {
                reader = inner;
                inner = self.graph.node(inner).inputs[0].node;
            }
            let found = self.graph.node(inner);
            let columns = *found.outputs.first()?.shape.last()?;
            let biased = match &found.op {
                Op::MatMul { .. } => None,
                // It may take a bias and no such activation.
                Op::Fused(operation) => Some(operation.with_bias(activation)?),
                _ => return None,
            };
            let fits = self.consumers(inner) == [reader]
                && !self.outputs.contains(&inner)
                && !self.absorbed.contains(&inner)
                && self.graph.type_of(product).shape == node.outputs[0].shape
                && node.outputs[0].shape.last() == Some(&columns)
                && self.graph.type_of(bias).shape == Shape::from([columns])
                && self.graph.constant(bias).is_none();
            fits.then_some((inner, bias, biased))
        })
    }
}

/// The stored values that a chain reads: inputs of its members that are neither members nor constants, each once.
pub(super) fn leaves(graph: &Canonical, members: &BTreeSet<usize>) -> Vec<Value> {
    let mut leaves = Vec::new();
    for &member in members {
        for &input in &graph.node(member).inputs {
            if members.contains(&input.node) || graph.constant(input).is_some() {
                continue;
            }
            let leaf = unstretched(graph, input);
            if !leaves.contains(&leaf) {
                leaves.push(leaf);
            }
        }
    }
    leaves
}

/// The value that a broadcast stretches, which the generated kernel reads directly.
pub(super) fn unstretched(graph: &Canonical, value: Value) -> Value {
    match graph.node(value.node).op {
        Op::Broadcast => unstretched(graph, graph.node(value.node).inputs[0]),
        _ => value,
    }
}

/// The call of a chain; its operands are the leaves, then the root's value.
pub(super) fn chain_call(graph: &Canonical, root: usize, members: &BTreeSet<usize>) -> Call {
    let shape = &graph.node(root).outputs[0].shape;
    let leaves = leaves(graph, members);
    let mut program = Program::new();
    let mut values = HashMap::new();
    for leaf in &leaves {
        let kind = graph.type_of(*leaf);
        let mode = Mode::of(shape, &kind.shape).expect("inputs of elementwise operations broadcast to the output");
        values.insert(*leaf, program.input(kind.element, mode));
    }
    for &member in members {
        let node = graph.node(member);
        let operands: Vec<_> = node
            .inputs
            .iter()
            .map(|&input| match (values.get(&input), graph.constant(input)) {
                (Some(value), _) => *value,
                (None, Some(constant)) => program.constant(constant),
                (None, None) => values[&unstretched(graph, input)],
            })
            .collect();
        let value = match (&node.op, &operands[..]) {
            (Op::Unary(function), &[x]) => program.unary(*function, x),
            (Op::Binary(function), &[a, b]) => program.binary(*function, a, b),
            (Op::Compare(comparison), &[a, b]) => program.compare(*comparison, a, b),
            (Op::Select, &[condition, a, b]) => program.select(condition, a, b),
            (Op::Cast(element), &[x]) => program.cast(*element, x),
            _ => unreachable!("members of a chain are elementwise"),
        };
        values.insert(Value { node: member, output: 0 }, value);
    }
    program.output(values[&Value { node: root, output: 0 }]);
    let shapes: Vec<&[usize]> = leaves.iter().map(|leaf| &*graph.type_of(*leaf).shape).collect();
    only_call(&program, shape, &shapes)
}

/// The dispatch of a program.
fn only_call(program: &Program, output: &[usize], inputs: &[&[usize]]) -> Call {
    match program.sequence(output, inputs) {
        Ok(mut sequence) => sequence.steps.swap_remove(0).call,
        Err(error) => unreachable!("the graph checked the shapes: {error}"),
    }
}

/// The call that copies a value, stretched to the shape `output`.
pub(super) fn copy_call(output: &Shape, input: &TensorType) -> Call {
    let mut program = Program::new();
    let mode = Mode::of(output, &input.shape).expect("the graph checked that the input broadcasts");
    let value = program.input(input.element, mode);
    program.output(value);
    only_call(&program, output, &[&input.shape])
}
