//! A launch of a kernel as plain data, and sequences of launches.

use std::any::Any;
use std::sync::Arc;

use bytemuck::Pod;

use crate::{Access, Element, KernelRef, Operand};

/// WebGPU's default limit of workgroups in one dimension of a dispatch.
pub const MAX_WORKGROUPS: u32 = 65_535;

/// The grid of `workgroups` workgroups in a row, folded into y past [`MAX_WORKGROUPS`].
///
/// A kernel recovers the flat index as `workgroup_id.x + workgroup_id.y * num_workgroups.x` and must ignore indices
/// past its last one, since the fold rounds up.
pub fn grid(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS as usize).max(1);
    let columns = workgroups.div_ceil(rows);
    [columns as u32, rows as u32, 1]
}

/// One dispatch of one kernel, without its buffers.
#[derive(Debug, Clone)]
pub struct Call {
    pub kernel: KernelRef,
    /// Values of the kernel's pipeline-overridable constants; those not named keep the defaults of the WGSL.
    pub constants: Vec<(&'static str, f64)>,
    /// The bytes of the uniform block.
    pub uniform: Vec<u8>,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Elements that each operand must have.
    pub lengths: Vec<usize>,
    /// What a generated kernel's twin needs beyond the uniform block; empty for hand-written kernels.
    pub context: Option<Arc<dyn Any + Send + Sync>>,
}

impl Call {
    /// A call of `kernel` over `workgroups` workgroups; `lengths` are the elements of each operand.
    pub fn new(
        kernel: impl Into<KernelRef>,
        uniform: &impl Pod,
        workgroups: usize,
        lengths: impl Into<Vec<usize>>,
    ) -> Self {
        let kernel = kernel.into();
        let lengths = lengths.into();
        debug_assert_eq!(kernel.bindings.len(), lengths.len(), "{}: one length for each binding", kernel.name);
        debug_assert_eq!(kernel.uniform_bytes, size_of_val(uniform), "{}: uniform block", kernel.name);
        Self {
            kernel,
            constants: Vec::new(),
            uniform: bytemuck::bytes_of(uniform).to_vec(),
            grid: grid(workgroups),
            lengths,
            context: None,
        }
    }

    /// The same call over a grid of two or three dimensions.
    pub fn with_grid(mut self, grid: [u32; 3]) -> Self {
        self.grid = grid;
        self
    }

    /// The same call with a pipeline-overridable constant set.
    pub fn with_constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// The same call with what the twin of a generated kernel needs.
    pub(crate) fn with_context(mut self, context: Arc<dyn Any + Send + Sync>) -> Self {
        self.context = Some(context);
        self
    }

    /// What the twin of a generated kernel needs, if the call carries a `T`.
    pub(crate) fn context_of<T: 'static>(&self) -> Option<&T> {
        self.context.as_deref()?.downcast_ref()
    }

    /// The same call with further pipeline-overridable constants set.
    pub fn with_constants(mut self, constants: Vec<(&'static str, f64)>) -> Self {
        self.constants.extend(constants);
        self
    }

    /// The value given to a constant, if it was given one.
    pub fn constant(&self, name: &str) -> Option<f64> {
        self.constants.iter().find(|(given, _)| *given == name).map(|(_, value)| *value)
    }

    /// The uniform block as the kernel's own type.
    pub fn uniform<T: Pod>(&self) -> T {
        bytemuck::pod_read_unaligned(&self.uniform)
    }

    /// Runs the CPU twin.
    pub fn run_twin(&self, operands: &mut [Operand<'_>]) {
        (self.kernel.twin)(self, operands)
    }

    /// Bytes read and written by an ideal execution: each operand once, one that is updated twice.
    pub fn bytes(&self) -> usize {
        let passes = |access| if access == Access::Update { 2 } else { 1 };
        let touched = self.kernel.bindings.iter().zip(&self.lengths);
        touched.map(|(binding, length)| passes(binding.access) * length * Element::BYTES).sum()
    }

    /// Floating-point operations, see [`crate::Kernel::flops`].
    pub fn flops(&self) -> f64 {
        (self.kernel.flops)(self)
    }
}

/// Where a step of a sequence finds an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The caller's operand of this index.
    Argument(usize),
    /// The scratch buffer of this index.
    Scratch(usize),
}

/// One dispatch of a sequence with the places of its operands.
#[derive(Debug, Clone)]
pub struct Step {
    pub call: Call,
    pub operands: Vec<Slot>,
}

/// A buffer that only the steps of a sequence use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scratch {
    pub element: Element,
    pub length: usize,
}

/// What one operation takes: one dispatch, or several that pass results through scratch buffers (a split matrix
/// product, a two-stage reduction).
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    pub steps: Vec<Step>,
    pub scratch: Vec<Scratch>,
}

impl Sequence {
    /// Adds a scratch buffer of `length` elements.
    pub fn scratch(&mut self, element: Element, length: usize) -> Slot {
        self.scratch.push(Scratch { element, length });
        Slot::Scratch(self.scratch.len() - 1)
    }

    /// Adds a dispatch.
    pub fn step(&mut self, call: Call, operands: impl Into<Vec<Slot>>) {
        self.steps.push(Step { call, operands: operands.into() });
    }
}

impl From<Call> for Sequence {
    /// One dispatch whose operands are the caller's, in order.
    fn from(call: Call) -> Self {
        let operands = (0..call.lengths.len()).map(Slot::Argument).collect();
        Sequence { steps: vec![Step { call, operands }], scratch: Vec::new() }
    }
}
