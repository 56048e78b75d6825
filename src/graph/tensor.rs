//! The graph and the handles to its values.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;

use fourfold_shaders::Element;

use super::{GraphError, Op, Shape, Tag};

/// The element type and shape of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The type of the elements.
    pub element: Element,
    /// The lengths of the axes, outermost first.
    pub shape: Shape,
}

impl TensorType {
    /// Returns the type of `f32` tensors of a shape.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self { element: Element::F32, shape: shape.into() }
    }

    /// Returns the type of `u32` tensors of a shape.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { element: Element::U32, shape: shape.into() }
    }

    /// Returns the number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    pub(crate) fn is_float(&self) -> bool {
        self.element == Element::F32
    }

    /// (rows, columns), where a row is the last axis: `None` for a single number.
    pub(crate) fn rows(&self) -> Option<(usize, usize)> {
        let columns = *self.shape.last()?;
        Some((self.elements().checked_div(columns)?, columns))
    }
}

/// One output of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// The index of the node in its graph.
    pub node: usize,
    /// The index among the outputs of the node.
    pub output: usize,
}

/// An operation with its inputs, the types of its outputs, and the line that asked for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The values that it reads.
    pub inputs: Vec<Value>,
    /// The types of the values that it computes.
    pub outputs: Vec<TensorType>,
    /// The line that asked for it.
    pub location: &'static Location<'static>,
}

/// A graph of tensor operations, in the order in which they were added: inputs come before their users.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: RefCell<Vec<Node>>,
    outputs: RefCell<Vec<(String, Value)>>,
    error: RefCell<Option<GraphError>>,
    /// The line to which new nodes are ascribed instead of the caller's.
    ascribed: Cell<Option<&'static Location<'static>>>,
}

impl Graph {
    /// Returns a graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first mistake made in building, if there was one.
    ///
    /// # Errors
    /// The first mistake, with the operation and the caller's line.
    pub fn check(&self) -> Result<(), GraphError> {
        self.error.borrow().clone().map_or(Ok(()), Err)
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Returns true if there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the node of this index.
    ///
    /// # Panics
    /// If there are not as many nodes.
    pub fn node(&self, index: usize) -> Node {
        self.nodes.borrow()[index].clone()
    }

    /// The named outputs, in the order in which they were named.
    pub fn outputs(&self) -> Vec<(String, Value)> {
        self.outputs.borrow().clone()
    }

    /// The handle of a value.
    pub fn tensor(&self, value: Value) -> Tensor<'_> {
        Tensor { graph: self, value }
    }

    /// The type of a value.
    ///
    /// # Panics
    /// If the value is of a larger graph.
    pub fn type_of(&self, value: Value) -> TensorType {
        self.nodes.borrow()[value.node].outputs[value.output].clone()
    }

    /// A tensor that the host uploads.
    #[track_caller]
    pub fn input(&self, name: &str, kind: TensorType) -> Tensor<'_> {
        self.leaf(Op::Input { name: name.into() }, name, kind)
    }

    /// A tensor that persists between steps; it begins as the value that the session is given, or as zeros.
    #[track_caller]
    pub fn state(&self, name: &str, tag: Tag, kind: TensorType) -> Tensor<'_> {
        self.leaf(Op::State { name: name.into(), tag }, name, kind)
    }

    /// One number, shape `[]`.
    #[track_caller]
    pub fn constant(&self, value: f32) -> Tensor<'_> {
        self.add(Op::Constant(value), &[], [TensorType::f32([])])
    }

    /// A tensor filled with one number.
    #[track_caller]
    pub fn full(&self, shape: impl Into<Shape>, value: f32) -> Tensor<'_> {
        self.constant(value).broadcast_to(shape)
    }

    /// Names a value so that it can be read after a step.
    #[track_caller]
    pub fn output(&self, name: &str, tensor: Tensor<'_>) {
        if self.outputs.borrow().iter().any(|(taken, _)| taken == name) {
            self.fail("output", format!("the name `{name}` is taken by another output"));
        }
        self.outputs.borrow_mut().push((name.into(), tensor.value));
    }

    #[track_caller]
    fn leaf(&self, op: Op, name: &str, kind: TensorType) -> Tensor<'_> {
        let taken = self.nodes.borrow().iter().any(|node| match &node.op {
            Op::Input { name: taken } | Op::State { name: taken, .. } => taken == name,
            _ => false,
        });
        if taken {
            return self.fail(op.name(), format!("the name `{name}` is taken by another input or state"));
        }
        self.add(op, &[], [kind])
    }

    /// Adds a node and returns its first output. A poisoned input poisons it.
    #[track_caller]
    pub(crate) fn add(
        &self,
        op: Op,
        inputs: &[Tensor<'_>],
        outputs: impl IntoIterator<Item = TensorType>,
    ) -> Tensor<'_> {
        if inputs.iter().any(|input| input.is_poisoned()) {
            return self.poison();
        }
        if let Some(stranger) = inputs.iter().find(|input| !std::ptr::eq(input.graph, self)) {
            let message = format!("{stranger:?} belongs to another graph");
            return self.fail(op.name(), message);
        }
        for (index, input) in inputs.iter().enumerate() {
            if let Some(expected) = op.operand_element(index).filter(|&expected| expected != input.element()) {
                return self.fail(op.name(), format!("operand {index} must be {expected:?}, got {input:?}"));
            }
        }
        let outputs: Vec<TensorType> = outputs.into_iter().collect();
        if let Some(output) = outputs.iter().find(|output| !Self::is_size(output.elements())) {
            let message = match output.elements() {
                0 => format!("the result has no elements: shape {}", output.shape),
                _ => format!("the result of shape {} has 2^31 elements or more", output.shape),
            };
            return self.fail(op.name(), message);
        }
        self.push(op, inputs.iter().map(|input| input.value).collect(), outputs)
    }

    /// True if a tensor may have so many elements: kernels count them in 32 bits, and byte offsets beside.
    fn is_size(elements: usize) -> bool {
        (1..1 << 31).contains(&elements)
    }

    #[track_caller]
    fn push(&self, op: Op, inputs: Vec<Value>, outputs: Vec<TensorType>) -> Tensor<'_> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { op, inputs, outputs, location: self.ascribed.get().unwrap_or(Location::caller()) });
        Tensor { graph: self, value: Value { node: nodes.len() - 1, output: 0 } }
    }

    /// Runs `build` with all that it adds ascribed to `location`: a gradient belongs to the line of the operation that
    /// it differentiates.
    pub(crate) fn ascribe<T>(&self, location: &'static Location<'static>, build: impl FnOnce() -> T) -> T {
        let outer = self.ascribed.replace(Some(location));
        let result = build();
        self.ascribed.set(outer);
        result
    }

    /// Keeps the first mistake and returns a poisoned tensor.
    #[track_caller]
    pub(crate) fn fail(&self, operation: &'static str, message: String) -> Tensor<'_> {
        let location = self.ascribed.get().unwrap_or(Location::caller());
        let error = GraphError { operation, message, location };
        self.error.borrow_mut().get_or_insert(error);
        self.poison()
    }

    #[track_caller]
    fn poison(&self) -> Tensor<'_> {
        self.push(Op::Poison, Vec::new(), vec![TensorType::f32([])])
    }
}

/// A handle to a value of a graph.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    value: Value,
}

impl<'g> Tensor<'g> {
    /// Returns the graph that the tensor belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// Returns the number of node and output.
    pub fn value(self) -> Value {
        self.value
    }

    /// Returns element type and shape.
    pub fn kind(self) -> TensorType {
        self.graph.type_of(self.value)
    }

    /// Returns the shape.
    pub fn shape(self) -> Shape {
        self.kind().shape
    }

    /// Returns the type of the elements.
    pub fn element(self) -> Element {
        self.kind().element
    }

    /// Returns the number of elements.
    pub fn elements(self) -> usize {
        self.shape().elements()
    }

    /// Another output of the node that computed this one.
    pub(crate) fn sibling(self, output: usize) -> Tensor<'g> {
        if self.is_poisoned() {
            return self;
        }
        Tensor { graph: self.graph, value: Value { node: self.value.node, output } }
    }

    pub(crate) fn is_poisoned(self) -> bool {
        matches!(self.graph.nodes.borrow()[self.value.node].op, Op::Poison)
    }
}

impl PartialEq for Tensor<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.graph, other.graph) && self.value == other.value
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TensorType { element, shape } = self.kind();
        let op = self.graph.nodes.borrow()[self.value.node].op.name();
        write!(formatter, "{op} {element:?}{shape}")
    }
}
