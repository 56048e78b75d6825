//! Fused operations, and operations of one's own: WGSL kernels with CPU twins as nodes of a graph.
//!
//! An [`Operation`] says the types of its outputs and the dispatches that compute them. [`Graph::custom`] adds it to
//! a graph, where it is treated as any other operation: it runs in sessions, on the twins, in the mixed mode and under
//! [`find_wrong_kernel`](super::session::find_wrong_kernel); it is printed, counted and fused around by the
//! [`Plan`](super::Plan); its kernels run with runtime checks, and [`verify::run`](crate::verify::run) judges them by
//! their cases. Planning checks the kernels against their descriptions, and their twins on a few cases: a mistake is an
//! error that names the WGSL file, the line and the function.
//!
//! A kernel takes its sizes from the uniform block: the buffers bound may be longer than the operands, and so is what
//! `arrayLength` says.
//!
//! Here is RMS norm, `y = x scale / sqrt(mean(x^2) + 1e-5)` in each row, with its gradient:
//!
//! ```
//! use fourfold::graph::{Graph, Operation, OutputGradients, Reference, Tensor, TensorType, gradients};
//! use fourfold::shaders::{Binding, Call, Case, Generator, Kernel, Module, Operand, Sequence, Target, Tolerance};
//! use fourfold::shaders::elementwise::Unary::Rsqrt;
//!
//! const WGSL: &str = "
//! @group(0) @binding(0) var<storage, read> x: array<f32>;
//! @group(0) @binding(1) var<storage, read> scale: array<f32>;
//! @group(0) @binding(2) var<storage, read_write> y: array<f32>;
//! @group(1) @binding(0) var<uniform> size: vec2<u32>;  // rows, columns
//! @compute @workgroup_size(64)
//! fn rms_norm(@builtin(global_invocation_id) at: vec3<u32>) {
//!     if at.x >= size.x { return; }
//!     let row = at.x * size.y;
//!     var square = 0.0;
//!     for (var c = 0u; c < size.y; c++) { square += x[row + c] * x[row + c]; }
//!     let factor = inverseSqrt(square / f32(size.y) + 1e-5);
//!     for (var c = 0u; c < size.y; c++) { y[row + c] = x[row + c] * factor * scale[c]; }
//! }";
//! static KERNEL: Kernel = Module::new::<[u32; 2]>(WGSL, passes).kernel(
//!     "rms_norm", // of the file rms_norm.wgsl
//!     &[Binding::read("x", "(rows, columns)"), Binding::read("scale", "(columns)"), Binding::write("y", "(rows, columns)")],
//!     twin,
//!     |call, _, _| Tolerance::Within { relative: (call.uniform::<[u32; 2]>()[1] + 16) as f64 * Tolerance::EPSILON, absolute: 0.0 },
//!     |generator| {
//!         let (rows, columns) = (generator.length(300), generator.length(300));
//!         Case::new((rows, columns), call(rows, columns), [generator.values(rows * columns, 1e3), generator.values(columns, 1e3)])
//!     },
//! );
//! fn call(rows: usize, columns: usize) -> Call {
//!     Call::checked(&KERNEL, &[rows as u32, columns as u32], rows.div_ceil(64), [rows * columns, columns, rows * columns])
//! }
//! fn passes(call: &Call) -> u64 { 2 * (u64::from(call.uniform::<[u32; 2]>()[1]) + 1) } // of loops, at most
//! fn twin(call: &Call, operands: &mut [Operand<'_>]) {
//!     let ([_, columns], [x, scale, y]) = (call.uniform::<[u32; 2]>(), operands) else { return };
//!     for (x, y) in x.f32().chunks(columns as usize).zip(y.f32().chunks_mut(columns as usize)) {
//!         let square: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
//!         let factor = 1.0 / (square / f64::from(columns) + 1e-5).sqrt();
//!         (0..x.len()).for_each(|c| y[c] = (f64::from(x[c]) * factor * f64::from(scale.f32()[c])) as f32);
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct RmsNorm;
//! impl Operation for RmsNorm {
//!     fn name(&self) -> &'static str { "rms_norm" }
//!     fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
//!         let fits = matches!(inputs, [x, scale] if x.shape.rank() == 2 && *scale == TensorType::f32([x.shape[1]]));
//!         if fits { Ok(vec![inputs[0].clone()]) } else { Err("takes x (rows, columns) and scale (columns)".into()) }
//!     }
//!     fn sequence(&self, inputs: &[TensorType], _: &Target) -> Result<Sequence, String> { Ok(call(inputs[0].shape[0], inputs[0].shape[1]).into()) }
//!     fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
//!         let (x, dy) = (node.inputs[0], node.gradient(0));
//!         let g = dy * node.inputs[1];
//!         let mean = |of: Tensor<'g>| of.mean(1).reshape([x.shape()[0], 1]);
//!         let factor = (mean(x.square()) + 1e-5).unary(Rsqrt);
//!         Some(vec![(0, (g - x * factor.square() * mean(g * x)) * factor), (1, (dy * x * factor).sum(0))])
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = Graph::new();
//! let (x, scale) = (graph.input("x", TensorType::f32([1, 2])), graph.input("scale", TensorType::f32([2])));
//! let [y] = graph.custom(RmsNorm, &[x, scale]);
//! let reference = Reference::new([("x", vec![3.0, 4.0]), ("scale", vec![1.0, 2.0])]);
//! assert!((reference.evaluate(gradients(y.sum_all(), &[x])[0])?[1] - 0.24 / 12.5_f64.sqrt()).abs() < 1e-5);
//! let verdict = fourfold::verify::run(&fourfold::Gpu::open()?, &KERNEL.case.draw(&mut Generator::new(1, 100)))?;
//! assert!(verdict.passed(), "{verdict}");
//! # Ok(())
//! # }
//! ```
//!
//! With [`Operation::definition`], three lines of simpler operations, the gradient would follow from it and the
//! reference would compute in f64 throughout. `demos/examples/rotary.rs` is an operation that is its own gradient.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fourfold_shaders::{Activation, Sequence, Target};

use super::{Graph, Op, Tensor, TensorType};

/// An operation computed by WGSL kernels of its own. See the [module](self) for a worked example.
pub trait Operation: fmt::Debug + Send + Sync + 'static {
    /// The name in errors, plans and reports.
    fn name(&self) -> &'static str;

    /// Returns the types of the outputs for inputs of these types.
    ///
    /// # Errors
    /// A sentence that says which inputs the operation takes.
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String>;

    /// Returns the dispatches that compute the outputs, for inputs that [`outputs`](Self::outputs) accepted. Their
    /// arguments are the inputs in order, which they only read, then the outputs.
    ///
    /// # Errors
    /// A sentence that says which sizes the kernels do not take.
    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String>;

    /// Returns the operation that takes a bias as its last input, of one element for each column of output 0 (its last
    /// axis), adds it, and applies an activation; `None` if the kernels have no such form. A plan takes it where nothing
    /// else reads the output, which then never lies in memory.
    fn with_bias(&self, _activation: Activation) -> Option<Fused> {
        None
    }

    /// Returns the outputs in simpler operations, which may be custom ones; `None` if the operation has no such
    /// definition. The f64 [reference](super::Reference) computes by it; without it, by the twins, in f32. Gradients
    /// follow from it where [`gradient`](Self::gradient) gives none.
    fn definition<'g>(&self, _graph: &'g Graph, _inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        None
    }

    /// Returns the terms of the inputs' gradients, each with the index of its input and of that input's type; terms of
    /// one input are added, and an input without any has no gradient. `None` differentiates the
    /// [`definition`](Self::definition). Second derivatives are the gradients of the operations that are used here,
    /// which may be custom ones.
    fn gradient<'g>(&self, _node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        None
    }
}

/// An operation in a graph, with the gradients of its outputs.
#[derive(Debug)]
pub struct OutputGradients<'g> {
    /// The graph to which the gradients are added.
    pub graph: &'g Graph,
    /// The inputs of the operation.
    pub inputs: Vec<Tensor<'g>>,
    /// The outputs of the operation.
    pub outputs: Vec<Tensor<'g>>,
    /// The gradient of each output; `None` for one on which nothing depends. At least one output has a gradient.
    pub gradients: Vec<Option<Tensor<'g>>>,
    pub(super) wants: Vec<bool>,
}

impl<'g> OutputGradients<'g> {
    /// The gradient of an output: zeros where nothing depends on it.
    pub fn gradient(&self, output: usize) -> Tensor<'g> {
        self.gradients[output].unwrap_or_else(|| self.graph.full(self.outputs[output].shape(), 0.0))
    }

    /// True if the gradient of this input is asked for. The terms of other inputs are left out in any case.
    pub fn wants(&self, input: usize) -> bool {
        self.wants[input]
    }
}

/// A handle to an operation. Nodes of one handle (or its clones) with the same inputs are computed once.
#[derive(Clone)]
pub struct Fused {
    operation: Arc<dyn Operation>,
    /// One of this crate's: those that print alike are the same operation.
    own: bool,
}

impl<T: Operation> From<T> for Fused {
    fn from(operation: T) -> Self {
        Self { operation: Arc::new(operation), own: false }
    }
}

impl Deref for Fused {
    type Target = dyn Operation;

    fn deref(&self) -> &Self::Target {
        &*self.operation
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operation, &other.operation)
            || self.own && other.own && format!("{self:?}") == format!("{other:?}")
    }
}

impl fmt::Debug for Fused {
    /// Equal text means the same operation, for which the planner looks: the address tells those of users apart.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own {
            true => self.operation.fmt(formatter),
            false => write!(formatter, "{} {:p}", self.name(), Arc::as_ptr(&self.operation)),
        }
    }
}

impl Fused {
    /// The checked definition: its outputs have the types that the operation says.
    pub(super) fn defined<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let outputs = self.definition(graph, inputs)?;
        let kinds: Vec<_> = inputs.iter().map(|input| input.kind()).collect();
        let expected = self.operation.outputs(&kinds).unwrap_or_default();
        let fits = expected.len() == outputs.len()
            && outputs.iter().zip(&expected).all(|(output, kind)| output.is_poisoned() || output.kind() == *kind);
        if fits {
            return Some(outputs);
        }
        let poison = graph.fail(self.name(), format!("its definition gives {outputs:?}, expected {expected:?}"));
        Some(vec![poison; expected.len()])
    }
}

impl Graph {
    /// Adds an operation of one's own and returns its outputs: `let [y] = graph.custom(RmsNorm, &[x, scale]);`.
    ///
    /// If the inputs do not suit the operation or it has another number of outputs, the graph keeps the error and
    /// poisoned tensors return. Its kernels are checked when the graph is planned.
    #[track_caller]
    pub fn custom<'g, const N: usize>(&'g self, operation: impl Into<Fused>, inputs: &[Tensor<'g>]) -> [Tensor<'g>; N] {
        let operation = operation.into();
        let name = operation.name();
        let first = self.apply(operation, inputs);
        if first.is_poisoned() {
            return [first; N];
        }
        match self.node(first.value().node).outputs.len() {
            outputs if outputs == N => std::array::from_fn(|output| first.sibling(output)),
            outputs => [self.fail(name, format!("has {outputs} outputs, but {N} were asked for")); N],
        }
    }

    /// Adds an operation of this crate and returns its first output.
    #[track_caller]
    pub(super) fn fused<'g>(&'g self, operation: impl Operation, inputs: &[Tensor<'g>]) -> Tensor<'g> {
        self.apply(Fused { operation: Arc::new(operation), own: true }, inputs)
    }

    #[track_caller]
    fn apply<'g>(&'g self, operation: Fused, inputs: &[Tensor<'g>]) -> Tensor<'g> {
        if let Some(&poison) = inputs.iter().find(|input| input.is_poisoned()) {
            return poison;
        }
        let kinds: Vec<_> = inputs.iter().map(|input| input.kind()).collect();
        match operation.outputs(&kinds) {
            Err(message) => self.fail(operation.name(), format!("{message}, got {inputs:?}")),
            Ok(outputs) if outputs.is_empty() => self.fail(operation.name(), "needs at least one output".into()),
            Ok(outputs) => self.add(Op::Fused(operation), inputs, outputs),
        }
    }
}
