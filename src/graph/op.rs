//! The operations of a graph.

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::{Binary, Compare, Unary};

use super::operation::Fused;

/// The purpose of a buffer: the memory report of a plan is split by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// Uploaded by the host before a step.
    Input,
    /// Trained parameters.
    Weights,
    /// Moments and velocities that an optimiser keeps of each parameter.
    OptimiserState,
    /// Step counters, seeds, metric rings.
    Bookkeeping,
    /// Gradients of parameters, packed.
    Gradients,
    /// Everything computed and used within one step.
    Activations,
}

/// One operation. Inputs are the values of the node that holds it, in the order stated here.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The result of a failed building step; the graph keeps the error.
    Poison,

    // Leaves.
    /// A tensor that the host uploads.
    Input {
        /// Must be unique within the graph.
        name: String,
    },
    /// A tensor that persists between steps and that effects change in place.
    State {
        /// Must be unique within the graph.
        name: String,
        /// The purpose of its buffer.
        tag: Tag,
    },
    /// One number; broadcasting makes larger constants of it.
    Constant(f32),

    // Elementwise: inputs broadcast to the output's shape.
    /// A function of each element.
    Unary(Unary),
    /// A function of two elements.
    Binary(Binary),
    /// 1 where the comparison holds, 0 elsewhere.
    Compare(Compare),
    /// (condition, a, b): a where the condition is not 0, b elsewhere.
    Select,
    /// Conversion to the element type: `f32` to `u32` clamps and cuts the fraction.
    Cast(Element),

    // Layout.
    /// The same elements in the same order under another shape.
    Reshape,
    /// The input, which gradients take for a constant.
    StopGradient,
    /// The input stretched to the output's shape.
    Broadcast,
    /// Output axis `i` is input axis `axes[i]`.
    Permute {
        /// The input axis of each output axis.
        axes: Vec<usize>,
    },
    /// The box of the output's shape that begins at `starts`.
    Slice {
        /// The first index along each axis.
        starts: Vec<usize>,
    },
    /// The input inside a larger box of zeros, beginning at `starts`.
    Pad {
        /// The first index of the input along each axis.
        starts: Vec<usize>,
    },
    /// The inputs one after the other along `axis`.
    Concatenate {
        /// The axis, counted from the outermost, 0.
        axis: usize,
    },
    /// A tensor that lies at `offset` elements inside a flat one. Costs nothing: offsets are multiples of
    /// [`Op::ALIGNMENT`].
    View {
        /// Elements before the tensor.
        offset: usize,
    },
    /// A flat tensor of zeros with each input at its offset: the adjoint of a set of views. Costs nothing where the
    /// inputs are computed in place.
    Pack {
        /// Elements before each input.
        offsets: Vec<usize>,
    },

    // Reductions.
    /// The sum along `axis`, which disappears.
    Sum {
        /// The axis, counted from the outermost, 0.
        axis: usize,
    },
    /// The maximum along `axis`, which disappears.
    Max {
        /// The axis, counted from the outermost, 0.
        axis: usize,
    },
    /// The `u32` index of the first maximum along `axis`, which disappears.
    ArgMax {
        /// The axis, counted from the outermost, 0.
        axis: usize,
    },
    /// The Euclidean norm of all elements, shape `[]`.
    Norm,

    // Products.
    /// (a, b): `a: (batch or 1, m, k)` times `b: (batch or 1, k, n)`, each transposed in its last two axes if said.
    MatMul {
        /// True if `a` comes as `(batch, k, m)`.
        transpose_a: bool,
        /// True if `b` comes as `(batch, n, k)`.
        transpose_b: bool,
    },

    // Rows of a table.
    /// (table `(rows, columns)`, indices `u32 (count)`) to `(count, columns)`: zeros for an index past the table.
    Gather,
    /// (values `(count, columns)`, indices `u32 (count)`) to `(rows, columns)`: rows with equal indices are added,
    /// and those whose index is past the table left out.
    ScatterAdd {
        /// Rows of the result.
        rows: usize,
    },

    // Random numbers, from (seed `u32 (2)`): the same seed and stream give the same numbers.
    /// Uniform deviates in [0, 1).
    Uniform {
        /// The number of the place that draws.
        stream: u32,
    },
    /// Standard normal deviates.
    Normal {
        /// The number of the place that draws.
        stream: u32,
    },
    /// (x, seed): x / (1 - rate) where the mask of (seed, stream) keeps it, 0 elsewhere.
    Dropout {
        /// The number of the place that draws.
        stream: u32,
        /// The probability that an element is dropped, from 0 to 1.
        rate: f32,
    },
    /// (seed, starts `u32 (n)`, episode of each step `u32 (steps)`, first step of each episode and then the number of
    /// steps `u32 (episodes + 1)`) to (rows `u32 (batch, context)`, times `u32 (batch, context)`, mask
    /// `(batch, context)`): windows of `context` steps from drawn starts, with padding before those that are shorter.
    Windows {
        /// The number of the place that draws.
        stream: u32,
        /// Steps of a window.
        context: usize,
        /// True if times count from the first step of the window, not of the episode.
        restart: bool,
        /// Later times become this one.
        largest: u32,
    },

    /// An operation that kernels of its own compute.
    Fused(Fused),

    // Effects: they change their states in place, after everything else and in the order in which they were added.
    /// (state, value): the state becomes the value.
    Assign,
    /// (weights, velocity, gradient, rate `[]`).
    Sgd {
        /// The factor of the velocity; 0 for none.
        momentum: f32,
        /// True for Nesterov's momentum.
        nesterov: bool,
        /// The coupled decay, added to the gradient; 0 for none.
        weight_decay: f32,
    },
    /// (weights, first moment, second moment, gradient, rate `[]`, step `u32 []`).
    AdamW {
        /// The decay of the first moment.
        beta1: f32,
        /// The decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
        /// The decoupled decay, multiplied by the rate; 0 for none.
        weight_decay: f32,
    },
    /// (counter `u32 []` or `u32 (n)`): adds one to its last element.
    Advance,
    /// (ring `(length, n)`, value `(n)`, step `u32 []`): row step mod length becomes the value.
    Record,
}

impl Op {
    /// Elements to which the offsets of [`Op::View`] and [`Op::Pack`] are aligned: 256 bytes, the strictest alignment
    /// of a storage binding that WebGPU allows a device.
    pub const ALIGNMENT: usize = 64;

    /// The name in errors and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Poison => "poison",
            Op::Input { .. } => "input",
            Op::State { .. } => "state",
            Op::Constant(_) => "constant",
            Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select => "elementwise",
            Op::Cast(_) => "cast",
            Op::Reshape => "reshape",
            Op::StopGradient => "stop_gradient",
            Op::Broadcast => "broadcast",
            Op::Permute { .. } => "permute",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Concatenate { .. } => "concatenate",
            Op::View { .. } => "view",
            Op::Pack { .. } => "pack",
            Op::Sum { .. } => "sum",
            Op::Max { .. } => "max",
            Op::ArgMax { .. } => "argmax",
            Op::Norm => "norm",
            Op::MatMul { .. } => "matmul",
            Op::Gather => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
            Op::Uniform { .. } => "uniform",
            Op::Normal { .. } => "normal",
            Op::Dropout { .. } => "dropout",
            Op::Windows { .. } => "windows",
            Op::Fused(operation) => operation.name(),
            Op::Assign => "assign",
            Op::Sgd { .. } => "sgd",
            Op::AdamW { .. } => "adamw",
            Op::Advance => "advance",
            Op::Record => "record",
        }
    }

    /// Computed element by element from inputs that broadcast to the output: such operations fuse.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast(_))
    }

    /// True if the node changes states instead of computing values.
    pub fn is_effect(&self) -> bool {
        self.changed_states() > 0
    }

    /// Returns how many operands, from the first on, are states that the operation changes in place.
    pub fn changed_states(&self) -> usize {
        match self {
            Op::Assign | Op::Advance | Op::Record => 1,
            Op::Sgd { .. } => 2,
            Op::AdamW { .. } => 3,
            _ => 0,
        }
    }

    /// Returns the element type that operand `index` must have; `None` where the operation takes any, or any that agrees
    /// with another operand.
    pub(crate) fn operand_element(&self, index: usize) -> Option<Element> {
        use Element::{F32, U32};
        match self {
            Op::Poison | Op::Input { .. } | Op::State { .. } | Op::Constant(_) => None,
            Op::Binary(_) | Op::Compare(_) | Op::Cast(_) => None,
            Op::Reshape | Op::StopGradient | Op::Broadcast | Op::Permute { .. } | Op::Slice { .. } => None,
            Op::Pad { .. } | Op::Concatenate { .. } | Op::View { .. } | Op::Assign | Op::Advance => None,
            // The operation checks its inputs itself.
            Op::Fused(_) => None,
            Op::Unary(_) | Op::Select | Op::Pack { .. } | Op::MatMul { .. } | Op::Norm => Some(F32),
            Op::Sum { .. } | Op::Max { .. } | Op::ArgMax { .. } => Some(F32),
            Op::Sgd { .. } => Some(F32),
            Op::Gather => [None, Some(U32)][index],
            Op::ScatterAdd { .. } | Op::Dropout { .. } => Some([F32, U32][index]),
            Op::Uniform { .. } | Op::Normal { .. } | Op::Windows { .. } => Some(U32),
            Op::AdamW { .. } => Some(if index == 5 { U32 } else { F32 }),
            Op::Record => Some(if index == 2 { U32 } else { F32 }),
        }
    }
}
