//! The graph as the planner sees it: equal operations merged, unused ones dropped, aliases resolved.

use std::collections::HashMap;

use crate::graph::{Graph, Node, Op, TensorType, Value};

/// The live nodes of a graph. Indices are those of the graph; dropped and merged nodes are `None`.
pub(super) struct Canonical {
    pub nodes: Vec<Option<Node>>,
    pub outputs: Vec<(String, Value)>,
}

/// The part of another value's storage where an alias lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    pub root: Value,
    /// In elements.
    pub offset: usize,
}

impl Canonical {
    pub fn new(graph: &Graph) -> Self {
        let mut merged: Vec<Value> = Vec::new();
        let mut seen: HashMap<(String, Vec<Value>), usize> = HashMap::new();
        let mut nodes: Vec<Option<Node>> = Vec::new();
        for index in 0..graph.len() {
            let mut node = graph.node(index);
            for input in &mut node.inputs {
                input.node = merged[input.node].node;
            }
            let mut canonical = index;
            if !node.op.is_effect() {
                // The printed operation, its inputs and its type say everything that decides its value.
                let key = (format!("{:?} {:?}", node.op, node.outputs), node.inputs.clone());
                canonical = *seen.entry(key).or_insert(index);
            }
            merged.push(Value { node: canonical, output: 0 });
            nodes.push((canonical == index).then_some(node));
        }
        let outputs: Vec<_> = graph
            .outputs()
            .into_iter()
            .map(|(name, value)| (name, Value { node: merged[value.node].node, ..value }))
            .collect();
        let mut canonical = Self { nodes, outputs };
        canonical.drop_unused();
        canonical
    }

    fn drop_unused(&mut self) {
        let mut live = vec![false; self.nodes.len()];
        for (_, value) in &self.outputs {
            live[value.node] = true;
        }
        for index in (0..self.nodes.len()).rev() {
            let Some(node) = &self.nodes[index] else { continue };
            // A leaf stays although nothing reads it, so that the host may always write what it declared.
            if node.op.is_effect() || matches!(node.op, Op::Input { .. } | Op::State { .. }) {
                live[index] = true;
            }
            if live[index] {
                for input in &node.inputs {
                    live[input.node] = true;
                }
            } else {
                self.nodes[index] = None;
            }
        }
    }

    pub fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("inputs of live nodes are live")
    }

    pub fn type_of(&self, value: Value) -> &TensorType {
        &self.node(value.node).outputs[value.output]
    }

    /// The live nodes in order.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.as_ref()?)))
    }

    /// Returns the storage of a value: aliases have none of their own.
    pub fn storage(&self, value: Value) -> Storage {
        let (mut root, mut offset) = (value, 0);
        loop {
            let node = self.node(root.node);
            match node.op {
                Op::Reshape | Op::StopGradient => {}
                Op::View { offset: own } => offset += own,
                _ => return Storage { root, offset },
            }
            root = node.inputs[0];
        }
    }

    /// The constant that a value is everywhere, through aliases and broadcasts.
    pub fn constant(&self, value: Value) -> Option<f32> {
        let node = self.node(value.node);
        match node.op {
            Op::Constant(constant) => Some(constant),
            Op::Reshape | Op::StopGradient | Op::Broadcast | Op::View { .. } => self.constant(node.inputs[0]),
            _ => None,
        }
    }
}
