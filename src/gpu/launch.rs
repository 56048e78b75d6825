//! Dispatches with their buffers, and the checks that each passes before it is recorded.

use fourfold_shaders::{Call, Element, Kernel, Sequence, Slot, Target};

use super::{AliasingProblem, BindingProblem, BufferView, Error, Gpu};

/// The dispatches of a launch.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// One dispatch: a kernel with its constants, grid and uniform block.
    Call(&'a Call),
    /// The dispatches of a problem.
    Sequence(&'a Sequence),
}

impl<'a> From<&'a Call> for Work<'a> {
    fn from(call: &'a Call) -> Self {
        Work::Call(call)
    }
}

impl<'a> From<&'a Sequence> for Work<'a> {
    fn from(sequence: &'a Sequence) -> Self {
        Work::Sequence(sequence)
    }
}

/// A problem, or one call of a kernel, on buffers.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The dispatches.
    pub work: Work<'a>,
    /// One for each binding of the call, or for each argument of the sequence, in order.
    pub views: &'a [BufferView],
    /// A name for debuggers and error messages; the kernel's name where it is empty.
    pub label: &'a str,
}

impl<'a> Launch<'a> {
    /// A launch without a label.
    pub fn new(work: impl Into<Work<'a>>, views: &'a [BufferView]) -> Self {
        Self { work: work.into(), views, label: "" }
    }

    /// The launch without its views, and with scratch buffers.
    pub(super) fn launched(&self, gpu: &Gpu) -> Result<Launched, Error> {
        let (sequence, single) = match self.work {
            Work::Call(call) => {
                let slots = (0..call.kernel.bindings.len()).map(Slot::Argument);
                (Sequence::of(call.clone(), slots.collect::<Vec<_>>()), true)
            }
            Work::Sequence(sequence) => (sequence.clone(), false),
        };
        let scratch = sequence.scratch.iter().map(|buffer| gpu.uninitialised("fourfold scratch", buffer.length));
        let scratch = scratch.collect::<Result<_, _>>()?;
        Ok(Launched { sequence, single, scratch, label: self.label.into() })
    }
}

/// A launch that other buffers can take part in.
#[derive(Debug, Clone)]
pub(super) struct Launched {
    sequence: Sequence,
    /// It is one call, which takes all of the views.
    single: bool,
    scratch: Vec<BufferView>,
    label: String,
}

impl Launched {
    /// Bytes of its scratch buffers.
    pub fn bytes(&self) -> u64 {
        self.scratch.iter().map(|view| view.buffer.size()).sum()
    }

    /// Adds each dispatch with the buffers that it binds.
    pub fn dispatches<'a>(&'a self, views: &[BufferView], dispatches: &mut Vec<Dispatch<'a>>) -> Result<(), Error> {
        let Self { sequence, single, scratch, label } = self;
        let resolve = |kernel: &Kernel, slot: &Slot| {
            let (asked, view, have) = match *slot {
                Slot::Argument(index) => (format!("argument {index}"), views.get(index), views.len()),
                Slot::Scratch(index) => (format!("scratch buffer {index}"), scratch.get(index), scratch.len()),
            };
            view.cloned().ok_or_else(|| Error::MissingOperand { kernel: kernel.name.to_string(), asked, have })
        };
        for step in &sequence.steps {
            let kernel = &*step.call.kernel;
            if *single && views.len() != kernel.bindings.len() {
                return Err(wrong_arity(kernel, views.len()));
            }
            let operands = step.operands.iter().map(|slot| resolve(kernel, slot));
            dispatches.push(Dispatch { call: &step.call, views: operands.collect::<Result<_, _>>()?, label });
        }
        Ok(())
    }
}

fn wrong_arity(kernel: &Kernel, got: usize) -> Error {
    let bindings = kernel.bindings.iter().map(|binding| binding.name).collect();
    Error::WrongArity { kernel: kernel.name.to_string(), bindings, got }
}

/// One call with the buffers that it binds.
#[derive(Debug)]
pub(super) struct Dispatch<'a> {
    pub call: &'a Call,
    pub views: Vec<BufferView>,
    pub label: &'a str,
}

/// The part of a view that is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The elements that the call needs: a longer view costs nothing, and checked shaders stop at the tensor's end.
    Call,
    /// The whole view, so that a store past the tensor's end lands in the guard region behind it and is seen.
    #[cfg_attr(not(feature = "twins"), expect(dead_code, reason = "a verification binds it"))]
    View,
}

/// WebGPU refuses empty bindings, and a `vec4` array needs room for one element even where it is not used.
const LEAST_BINDING: u64 = 16;

impl Dispatch<'_> {
    fn binding_error(&self, index: usize, problem: BindingProblem) -> Error {
        let binding = &self.call.kernel.bindings[index];
        Error::Binding {
            kernel: self.call.kernel.name.to_string(),
            binding: binding.name.into(),
            shape: format!("{} = {} elements", binding.shape, self.call.lengths[index]),
            problem,
        }
    }

    /// Bytes of each view that are bound.
    pub(super) fn sizes(&self, extent: Extent) -> Vec<u64> {
        let needed = |length: usize| (length as u64).saturating_mul(Element::BYTES as u64);
        let bound = |(length, view): (&usize, &BufferView)| match extent {
            Extent::Call => needed(*length).max(LEAST_BINDING.min(view.size)),
            Extent::View => view.size,
        };
        self.call.lengths.iter().zip(&self.views).map(bound).collect()
    }

    /// Checks everything about the dispatch that wgpu would otherwise refuse later, and what it would not.
    pub(super) fn check(&self, gpu: &Gpu, extent: Extent) -> Result<(), Error> {
        let kernel = &*self.call.kernel;
        if self.views.len() != kernel.bindings.len() || self.call.lengths.len() != kernel.bindings.len() {
            return Err(wrong_arity(kernel, self.views.len()));
        }
        if self.call.uniform.len() != kernel.uniform_bytes {
            let (expected, got) = (kernel.uniform_bytes, self.call.uniform.len());
            return Err(Error::Uniform { kernel: kernel.name.to_string(), expected, got });
        }
        check_loops(self.call, &gpu.target())?;
        let limits = gpu.limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment);
        let sizes = self.sizes(extent);
        for (index, (view, &size)) in self.views.iter().zip(&sizes).enumerate() {
            let needed = (self.call.lengths[index] as u64).saturating_mul(Element::BYTES as u64);
            let usage = view.buffer.usage();
            let problem = if !usage.contains(wgpu::BufferUsages::STORAGE) {
                BindingProblem::Usage { usage }
            } else if view.offset % alignment != 0 {
                BindingProblem::Alignment { offset: view.offset, alignment }
            } else if view.size < needed.max(Element::BYTES as u64) {
                BindingProblem::TooShort { needed: needed.max(Element::BYTES as u64), size: view.size }
            } else if view.end() > view.buffer.size() {
                BindingProblem::OutOfBuffer { end: view.end(), buffer: view.buffer.size() }
            } else if size > limits.max_storage_buffer_binding_size {
                BindingProblem::TooLarge { needed: size, limit: limits.max_storage_buffer_binding_size }
            } else {
                continue;
            };
            return Err(self.binding_error(index, problem));
        }
        self.check_aliasing(&sizes)?;
        self.check_grid(limits)
    }

    fn check_aliasing(&self, sizes: &[u64]) -> Result<(), Error> {
        let bindings = &self.call.kernel.bindings;
        for second in 0..self.views.len() {
            for first in 0..second {
                let (a, b) = (&self.views[first], &self.views[second]);
                if a.buffer != b.buffer {
                    continue;
                }
                let disjoint = a.offset + sizes[first] <= b.offset || b.offset + sizes[second] <= a.offset;
                let problem = match (bindings[first].access.writes(), bindings[second].access.writes()) {
                    (false, false) => continue,
                    (true, true) if disjoint => continue,
                    (true, true) => AliasingProblem::OverlappingWrites,
                    _ => AliasingProblem::ReadAndWrite,
                };
                return Err(Error::Aliasing {
                    kernel: self.call.kernel.name.to_string(),
                    first: bindings[first].name,
                    second: bindings[second].name,
                    problem,
                });
            }
        }
        Ok(())
    }

    fn check_grid(&self, limits: &wgpu::Limits) -> Result<(), Error> {
        let allowed = limits.max_compute_workgroups_per_dimension;
        match self.call.grid.into_iter().max() {
            Some(needed) if needed > allowed => Err(Error::LimitExceeded {
                kernel: self.call.kernel.name.to_string(),
                limit: "max_compute_workgroups_per_dimension",
                needed: needed.into(),
                allowed: allowed.into(),
            }),
            _ => Ok(()),
        }
    }
}

/// Checks that the loops of a call are no longer than the target runs.
pub(crate) fn check_loops(call: &Call, target: &Target) -> Result<(), Error> {
    let passes = (call.kernel.passes)(call);
    match target.loop_passes() {
        Some(limit) if passes > limit => Err(Error::LoopPasses { kernel: call.kernel.name.to_string(), passes, limit }),
        _ => Ok(()),
    }
}

/// The line of a kernel's entry point in its WGSL.
pub(crate) fn line_of(kernel: &Kernel) -> Option<u32> {
    let declared = format!("fn {}(", kernel.entry_point);
    let line = kernel.source.lines().position(|line| line.contains(&declared))?;
    Some(line as u32 + 1)
}
