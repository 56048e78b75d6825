//! A launch of a kernel as plain data, and sequences of launches.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;

use crate::{Access, Case, Choice, Data, Element, Kernel, KernelRef, Operand};

/// WebGPU's default limit of workgroups in one dimension of a dispatch.
pub const MAX_WORKGROUPS: u32 = 65_535;

/// The grid of `workgroups` workgroups in a row, folded into y past [`MAX_WORKGROUPS`].
///
/// A kernel recovers the flat index as `workgroup_id.x + workgroup_id.y * num_workgroups.x` and must ignore indices
/// past its last one, since the fold rounds up.
pub fn grid(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS as usize).max(1);
    let columns = workgroups.div_ceil(rows);
    [columns as u32, u32::try_from(rows).unwrap_or(u32::MAX), 1]
}

/// The places of tensors of these lengths that share a buffer, each at a multiple of 64 elements, WebGPU's alignment of a
/// binding; and the elements of the buffer.
pub fn packed(lengths: &[usize]) -> (Vec<usize>, usize) {
    const ALIGNMENT: usize = 256 / Element::BYTES;
    let mut end = 0_usize;
    let places = lengths.iter().map(|&length| {
        let place = end.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
        end = place.saturating_add(length);
        place
    });
    (places.collect(), end)
}

/// The parts of a [`Call`], which reads like them.
#[derive(Debug, Clone)]
pub struct CallParts {
    /// The kernel that is launched.
    pub kernel: KernelRef,
    /// Values of the kernel's pipeline-overridable constants; those not named keep the defaults of the WGSL.
    pub constants: Vec<(&'static str, f64)>,
    /// The bytes of the uniform block.
    pub uniform: Vec<u8>,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Elements that each operand must have.
    pub lengths: Vec<usize>,
    /// Data for the twin of a generated kernel beyond the uniform block; empty for hand-written kernels.
    pub context: Option<Arc<dyn Any + Send + Sync>>,
}

/// One dispatch of one kernel, without its buffers.
///
/// A call that a `Problem` of this crate makes runs without the shader's runtime checks: the tests run these kernels
/// checked and between guard words. Every other call runs with them: one of a kernel of your own
/// ([`Call::checked`]), one that was changed ([`Call::changed`]), and a rollout of an environment, policy or inner
/// problem of your own, unless the environment is
/// [seen to need none](crate::rollout::unroll::Composition::without_needless_checks). They clamp indices, bound loops and
/// zero workgroup memory. [`Call::without_runtime_checks`] is the only other way to be rid of them, and it is `unsafe`.
#[derive(Debug, Clone)]
pub struct Call {
    parts: CallParts,
    runtime_checks: bool,
    choice: Option<Choice>,
}

impl Deref for Call {
    type Target = CallParts;

    fn deref(&self) -> &CallParts {
        &self.parts
    }
}

impl From<CallParts> for Call {
    /// A call with runtime checks.
    fn from(parts: CallParts) -> Self {
        Self { parts, runtime_checks: true, choice: None }
    }
}

impl Call {
    /// A call of a kernel of this crate, over `workgroups` workgroups, without runtime checks; `lengths` are the elements
    /// of each operand. Kernels part of whose WGSL may be a user's take [`Call::checked`] and [`Call::checked_unless`].
    pub(crate) fn new(
        kernel: &'static Kernel,
        uniform: &impl Pod,
        workgroups: usize,
        lengths: impl Into<Vec<usize>>,
    ) -> Self {
        let call = Self::checked(kernel, uniform, workgroups, lengths);
        debug_assert_eq!(call.kernel.bindings.len(), call.lengths.len(), "{}: one length each", call.kernel.name);
        debug_assert_eq!(call.kernel.uniform_bytes, call.uniform.len(), "{}: uniform block", call.kernel.name);
        Self { runtime_checks: false, ..call }
    }

    /// A call of `kernel` over `workgroups` workgroups, with runtime checks; `lengths` are the elements of each operand.
    pub fn checked(
        kernel: impl Into<KernelRef>,
        uniform: &impl Pod,
        workgroups: usize,
        lengths: impl Into<Vec<usize>>,
    ) -> Self {
        let parts = CallParts {
            kernel: kernel.into(),
            constants: Vec::new(),
            uniform: bytemuck::bytes_of(uniform).to_vec(),
            grid: grid(workgroups),
            lengths: lengths.into(),
            context: None,
        };
        parts.into()
    }

    /// This call with parts of it changed, and so with runtime checks.
    pub fn changed(self, change: impl FnOnce(&mut CallParts)) -> Self {
        let mut parts = self.parts;
        change(&mut parts);
        parts.into()
    }

    /// Runs the shader without bounds checks, bounds on loops and zeroed workgroup memory, at the speed of this crate's
    /// own kernels.
    ///
    /// # Safety
    /// For every content of buffers of the call's lengths, the kernel must index within its bindings and its arrays,
    /// read no workgroup or private memory that it has not written, and leave every loop. Otherwise the behaviour is
    /// undefined: on a software driver it reads and writes the memory of this process.
    #[expect(unsafe_code, reason = "the caller promises that the shader needs no checks")]
    pub unsafe fn without_runtime_checks(self) -> Self {
        Self { runtime_checks: false, ..self }
    }

    /// True if the shader runs with bounds checks, bounded loops and zeroed workgroup memory.
    pub fn has_runtime_checks(&self) -> bool {
        self.runtime_checks
    }

    /// This call with runtime checks, unless `all_own`: unless every part of its WGSL is this crate's own, or its author
    /// [promised](crate::RuntimeChecks) what it takes.
    pub(crate) fn checked_unless(self, all_own: bool) -> Self {
        Self { runtime_checks: !all_own, ..self }
    }

    /// Returns the choice that decided for this variant, if it came from [`Target::choices`](crate::Target::choices).
    pub fn choice(&self) -> Option<Choice> {
        self.choice
    }

    /// The same call, decided by a choice if there is one.
    pub(crate) fn chosen_by(self, choice: Option<Choice>) -> Self {
        Self { choice, ..self }
    }

    /// The same call over a grid of two or three dimensions.
    pub(crate) fn with_grid(mut self, grid: [u32; 3]) -> Self {
        self.parts.grid = grid;
        self
    }

    /// The same call with a pipeline-overridable constant set.
    pub(crate) fn with_constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.parts.constants.push((name, value.into()));
        self
    }

    /// The same call with data for the twin of a generated kernel.
    pub(crate) fn with_context(mut self, context: Arc<dyn Any + Send + Sync>) -> Self {
        self.parts.context = Some(context);
        self
    }

    /// The data for the twin of a generated kernel, if the call carries a `T`.
    pub(crate) fn context_of<T: 'static>(&self) -> Option<&T> {
        self.context.as_deref()?.downcast_ref()
    }

    /// The same call with further pipeline-overridable constants set.
    pub(crate) fn with_constants(mut self, constants: Vec<(&'static str, f64)>) -> Self {
        self.parts.constants.extend(constants);
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

/// The place of an operand of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The caller's operand of this index.
    Argument(usize),
    /// The scratch buffer of this index.
    Scratch(usize),
}

impl Slot {
    /// The caller's first `N` operands.
    pub fn arguments<const N: usize>() -> [Slot; N] {
        std::array::from_fn(Slot::Argument)
    }
}

/// One dispatch of a sequence with the places of its operands.
#[derive(Debug, Clone)]
pub struct Step {
    /// The dispatch.
    pub call: Call,
    /// The place of each operand.
    pub operands: Vec<Slot>,
}

/// A buffer that only the steps of a sequence use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scratch {
    /// The type of its elements.
    pub element: Element,
    /// Its number of elements.
    pub length: usize,
}

/// The dispatches of one operation: one, or several that pass results through scratch buffers (a split matrix
/// product, a two-stage reduction).
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// The dispatches, in order.
    pub steps: Vec<Step>,
    /// The buffers between them.
    pub scratch: Vec<Scratch>,
}

impl Sequence {
    /// One dispatch.
    pub fn of(call: Call, operands: impl Into<Vec<Slot>>) -> Self {
        Self { steps: vec![Step { call, operands: operands.into() }], scratch: Vec::new() }
    }

    /// Adds a scratch buffer of `length` elements.
    pub fn scratch(&mut self, element: Element, length: usize) -> Slot {
        self.scratch.push(Scratch { element, length });
        Slot::Scratch(self.scratch.len() - 1)
    }

    /// Adds a dispatch.
    pub fn step(&mut self, call: Call, operands: impl Into<Vec<Slot>>) {
        self.steps.push(Step { call, operands: operands.into() });
    }

    /// Runs the CPU twins of the dispatches on the caller's operands.
    ///
    /// # Panics
    /// If a dispatch names an operand that is not there or is shorter than it says.
    pub fn run_twins(&self, arguments: &mut [Data]) {
        self.for_each_step(arguments, |_, _| {});
    }

    /// Returns each dispatch as a case, on what the twins of those before it leave of the caller's operands.
    ///
    /// # Panics
    /// As [`run_twins`](Self::run_twins).
    pub fn cases(&self, label: &str, mut arguments: Vec<Data>) -> Vec<Case> {
        let mut cases = Vec::new();
        self.for_each_step(&mut arguments, |call, operands| {
            let bound = call.kernel.bindings.iter().zip(operands);
            let inputs =
                bound.filter(|(binding, _)| binding.access != Access::Write).map(|(_, operand)| operand.clone());
            cases.push(Case::new(label, call.clone(), inputs.collect::<Vec<_>>()));
        });
        cases
    }

    /// Runs the twins of the dispatches, and shows each with its operands before it runs.
    fn for_each_step(&self, arguments: &mut [Data], mut show: impl FnMut(&Call, &[Data])) {
        let mut scratch: Vec<Data> =
            self.scratch.iter().map(|buffer| Data::poison(buffer.element, buffer.length)).collect();
        for step in &self.steps {
            let operands = step.operands.iter().zip(&step.call.lengths);
            let mut operands: Vec<Data> = operands
                .map(|(slot, &length)| match *slot {
                    Slot::Argument(index) => arguments[index].first(length),
                    Slot::Scratch(index) => scratch[index].first(length),
                })
                .collect();
            show(&step.call, &operands);
            step.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
            for output in step.call.kernel.outputs() {
                let written = &operands[output];
                match step.operands[output] {
                    Slot::Argument(index) => arguments[index].overwrite(written),
                    Slot::Scratch(index) => scratch[index].overwrite(written),
                }
            }
        }
    }
}

impl From<Call> for Sequence {
    /// One dispatch whose operands are the caller's, in order.
    fn from(call: Call) -> Self {
        let operands: Vec<_> = (0..call.lengths.len()).map(Slot::Argument).collect();
        Sequence::of(call, operands)
    }
}
