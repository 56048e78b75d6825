//! A plain interpreter of graphs in f64: the truth from which finite differences are taken.

mod primitive;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::Location;

use fourfold_shaders::random::threefry::Random;
use fourfold_shaders::{Data, Element, Sequence, Target};

use super::decompose::decompose;
use super::{Graph, GraphError, Node, Op, Shape, Tensor, TensorType, Value};

/// The values of a graph's inputs and states, by which its other values are evaluated in f64.
///
/// Primitive operations are computed as their documentation reads; fused ones by way of their definition in primitives,
/// so that a fused kernel and this interpreter share no formula but that one. Custom operations go by their definition,
/// or in f32 by their twins where they have none. `u32` values are given and returned as
/// whole numbers in f64. Effects are not evaluated: states keep the values that they are given.
///
/// ```
/// use fourfold::graph::{Graph, Reference, TensorType, gradients};
///
/// let graph = Graph::new();
/// let x = graph.input("x", TensorType::f32([3]));
/// let slope = gradients(x.square().sum_all(), &[x])[0];
/// let reference = Reference::new([("x", vec![1.0, -2.0, 0.5])]);
/// assert_eq!(reference.evaluate(slope).unwrap(), [2.0, -4.0, 1.0]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Reference {
    values: BTreeMap<String, Vec<f64>>,
    roundings: Option<Roundings>,
}

/// Roundings of a size, drawn by a seed.
#[derive(Debug, Clone, Copy)]
struct Roundings {
    size: f64,
    seed: u32,
}

/// The reason for which a value cannot be evaluated.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The graph was built with a mistake.
    Graph(GraphError),
    /// No value was given for an input or state.
    Missing {
        /// The input or state by name.
        name: String,
        /// Its shape.
        shape: Shape,
    },
    /// A value of another length than that of the input or state.
    Length {
        /// The input or state by name.
        name: String,
        /// Its shape.
        shape: Shape,
        /// Values given.
        got: usize,
    },
    /// An operation without a value in f64: neither a formula nor a definition in simpler operations.
    Unsupported {
        /// The operation by name.
        operation: &'static str,
        /// The line that asked for it.
        location: &'static Location<'static>,
    },
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(error) => write!(formatter, "{error}"),
            Self::Missing { name, shape } => write!(formatter, "`{name}` of shape {shape} was given no values"),
            Self::Length { name, shape, got } => {
                write!(formatter, "`{name}` of shape {shape} takes {} values, got {got}", shape.elements())
            }
            Self::Unsupported { operation, location } => {
                write!(formatter, "{operation}: the f64 reference has no formula for this operation (at {location})")
            }
        }
    }
}

impl std::error::Error for ReferenceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Graph(error) => Some(error),
            _ => None,
        }
    }
}

impl Reference {
    /// Makes a reference with these values, row-major, of inputs and states by name.
    pub fn new<N: Into<String>>(values: impl IntoIterator<Item = (N, Vec<f64>)>) -> Self {
        Self { values: values.into_iter().map(|(name, values)| (name.into(), values)).collect(), roundings: None }
    }

    /// Multiplies every element that an operation computes (and does not copy, choose or compare) by a number from `1 - size`
    /// to `1 + size`, drawn by `seed`. How far that moves a value, over `size`, is how many units of its operations' roundings
    /// it is off by: more than its own size where terms cancel.
    #[must_use]
    pub fn rounded(mut self, size: f64, seed: u32) -> Self {
        self.roundings = Some(Roundings { size, seed });
        self
    }

    /// Gives an input or state other values.
    pub fn set(&mut self, name: &str, values: Vec<f64>) {
        self.values.insert(name.into(), values);
    }

    /// The elements of a tensor, row-major.
    ///
    /// # Errors
    /// If the graph has a mistake, or an input or state on which the tensor depends has no values or too few or many.
    pub fn evaluate(&self, tensor: Tensor<'_>) -> Result<Vec<f64>, ReferenceError> {
        Ok(self.evaluate_all(&[tensor])?.remove(0))
    }

    /// The elements of each tensor; what they share is computed once. The tensors belong to one graph.
    ///
    /// # Errors
    /// As [`Reference::evaluate`].
    pub fn evaluate_all(&self, tensors: &[Tensor<'_>]) -> Result<Vec<Vec<f64>>, ReferenceError> {
        let Some(graph) = tensors.first().map(|tensor| tensor.graph()) else { return Ok(Vec::new()) };
        graph.check().map_err(ReferenceError::Graph)?;
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut pending: Vec<usize> = tensors.iter().map(|tensor| tensor.value().node).collect();
        while let Some(index) = pending.pop() {
            if needed.insert(index) {
                pending.extend(graph.node(index).inputs.iter().map(|input| input.node));
            }
        }
        let mut computed: BTreeMap<Value, Vec<f64>> = BTreeMap::new();
        for index in needed {
            let node = graph.node(index);
            let inputs: Vec<&[f64]> = node.inputs.iter().map(|input| computed[input].as_slice()).collect();
            let kinds: Vec<TensorType> = node.inputs.iter().map(|&input| graph.type_of(input)).collect();
            let mut outputs = self.node(index, &node, &inputs, &kinds)?;
            if let Some(Roundings { size, seed }) = self.roundings.filter(|_| primitive::rounds(&node)) {
                let mut random = Random::new(seed, index as u32);
                outputs
                    .iter_mut()
                    .flatten()
                    .for_each(|value| *value *= 1.0 + size * (2.0 * f64::from(random.uniform()) - 1.0));
            }
            for (output, values) in outputs.into_iter().enumerate() {
                computed.insert(Value { node: index, output }, values);
            }
        }
        Ok(tensors.iter().map(|tensor| computed[&tensor.value()].clone()).collect())
    }

    fn node(
        &self,
        index: usize,
        node: &Node,
        inputs: &[&[f64]],
        kinds: &[TensorType],
    ) -> Result<Vec<Vec<f64>>, ReferenceError> {
        if let Op::Input { name } | Op::State { name, .. } = &node.op {
            let shape = node.outputs[0].shape.clone();
            return match self.values.get(name) {
                None => Err(ReferenceError::Missing { name: name.clone(), shape }),
                Some(values) if values.len() != shape.elements() => {
                    Err(ReferenceError::Length { name: name.clone(), shape, got: values.len() })
                }
                Some(values) => Ok(vec![values.clone()]),
            };
        }
        if let Some(values) = primitive::evaluate(node, inputs, kinds) {
            return Ok(values);
        }
        // A graph of its own, so that evaluating adds nothing to the caller's.
        let graph = Graph::new();
        let names: Vec<String> = (0..inputs.len()).map(|input| input.to_string()).collect();
        let leaves: Vec<_> = names.iter().zip(kinds).map(|(name, kind)| graph.input(name, kind.clone())).collect();
        let outputs = graph.ascribe(node.location, || decompose(&graph, &node.op, &leaves));
        if let (None, Op::Fused(operation)) = (&outputs, &node.op)
            && let Ok(sequence) = operation.sequence(kinds, &Target::default())
        {
            return Ok(by_twins(&sequence, inputs, kinds, &node.outputs));
        }
        let outputs =
            outputs.ok_or(ReferenceError::Unsupported { operation: node.op.name(), location: node.location })?;
        let values = inputs.iter().map(|values| values.to_vec());
        let mut definition = Reference::new(names.iter().cloned().zip(values));
        // Numbers of its own for the operations of each definition.
        let own = |seed: u32| seed.wrapping_mul(0x9e37_79b1).wrapping_add(index as u32 + 1);
        definition.roundings = self.roundings.map(|Roundings { size, seed }| Roundings { size, seed: own(seed) });
        definition.evaluate_all(&outputs)
    }
}

/// The outputs of a custom operation that has no definition: its twins say them, in f32.
fn by_twins(sequence: &Sequence, inputs: &[&[f64]], kinds: &[TensorType], outputs: &[TensorType]) -> Vec<Vec<f64>> {
    let given = inputs.iter().zip(kinds).map(|(values, kind)| match kind.element {
        Element::F32 => Data::F32(values.iter().map(|&value| value as f32).collect()),
        Element::U32 => Data::U32(values.iter().map(|&value| value as u32).collect()),
    });
    let computed = outputs.iter().map(|kind| Data::poison(kind.element, kind.elements()));
    let mut arguments: Vec<Data> = given.chain(computed).collect();
    sequence.run_twins(&mut arguments);
    let words = |data: &Data| match data {
        Data::F32(values) => values.iter().copied().map(f64::from).collect(),
        Data::U32(values) => values.iter().copied().map(f64::from).collect(),
    };
    arguments[inputs.len()..].iter().map(words).collect()
}
