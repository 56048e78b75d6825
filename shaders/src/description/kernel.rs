//! The description of a kernel: what a caller must know to launch it and to judge its result.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use super::judge;
use crate::{Call, Case, Data, Generator, Operand, Tolerance};

/// The generator of a kernel's random cases.
#[derive(Clone)]
pub enum Cases {
    /// A function, for kernels of a list.
    Drawn(fn(&mut Generator) -> Case),
    /// A closure, for kernels that are put together at run time.
    Of(Arc<dyn Fn(&mut Generator) -> Case + Send + Sync>),
    /// None: the `case` of the composition that the kernel was made from draws them.
    OfComposition,
}

impl Cases {
    /// The cases that a closure draws.
    pub fn of(draw: impl Fn(&mut Generator) -> Case + Send + Sync + 'static) -> Self {
        Self::Of(Arc::new(draw))
    }

    /// Draws a random call with its inputs.
    ///
    /// # Panics
    /// If there are none but those of the kernel's composition.
    pub fn draw(&self, generator: &mut Generator) -> Case {
        match self {
            Self::Drawn(draw) => draw(generator),
            Self::Of(draw) => draw(generator),
            Self::OfComposition => panic!("the kernel has no cases of its own: its composition draws them"),
        }
    }
}

/// The element type of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floating-point numbers, `f32` in WGSL.
    F32,
    /// 32-bit unsigned integers, `u32` in WGSL.
    U32,
}

impl Element {
    /// Bytes of one element.
    pub const BYTES: usize = 4;
}

/// The access of a kernel to a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read only: `var<storage, read>`.
    Read,
    /// Every element is written and none is read: `var<storage, read_write>`.
    Write,
    /// Elements are read and written in place: `var<storage, read_write>`.
    Update,
}

impl Access {
    /// Returns true unless the binding is read only.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

/// One storage binding of group 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The name of the variable in the WGSL and of the argument of the twin.
    pub name: &'static str,
    /// The access of the kernel to it.
    pub access: Access,
    /// The type of its elements.
    pub element: Element,
    /// The shape in words, e.g. `"(rows, columns)"`.
    pub shape: &'static str,
}

impl Binding {
    /// Describes an `f32` binding that is read; `shape` in words.
    pub const fn read(name: &'static str, shape: &'static str) -> Self {
        Self { name, access: Access::Read, element: Element::F32, shape }
    }

    /// Describes an `f32` binding whose every element is written; `shape` in words.
    pub const fn write(name: &'static str, shape: &'static str) -> Self {
        Self { name, access: Access::Write, element: Element::F32, shape }
    }

    /// Describes an `f32` binding that is read and written in place; `shape` in words.
    pub const fn update(name: &'static str, shape: &'static str) -> Self {
        Self { name, access: Access::Update, element: Element::F32, shape }
    }

    /// The same binding with `u32` elements.
    pub const fn u32(self) -> Self {
        Self { element: Element::U32, ..self }
    }

    /// The variables of group 0 as WGSL declares them, for kernels that are put together.
    pub fn declare(bindings: &[Binding]) -> String {
        let declared = bindings.iter().enumerate().map(|(index, binding)| {
            let access = if binding.access.writes() { "read_write" } else { "read" };
            let element = match binding.element {
                Element::F32 => "f32",
                Element::U32 => "u32",
            };
            let Binding { name, shape, .. } = binding;
            format!("@group(0) @binding({index}) var<storage, {access}> {name}: array<{element}>;  // {shape}\n")
        });
        declared.collect()
    }
}

/// One entry point of one WGSL file, described.
#[derive(Clone)]
pub struct Kernel {
    /// `file.entry`, or the file's name alone where it has one entry point.
    pub name: Cow<'static, str>,
    /// The whole WGSL text.
    pub source: Cow<'static, str>,
    /// The name of the function in the WGSL.
    pub entry_point: &'static str,
    /// Group 0, in the order of the bindings.
    pub bindings: Cow<'static, [Binding]>,
    /// Size of the uniform block at group 1, binding 0, in bytes.
    pub uniform_bytes: usize,
    /// The least and the most lanes of a subgroup with which the kernel is right, if it uses subgroup operations:
    /// `wgpu::Features::SUBGROUP` natively, `enable subgroups;` in a browser.
    pub subgroup_sizes: Option<(u32, u32)>,
    /// The most passes that an invocation makes through all loops of the kernel in sum, where those of a workgroup run in
    /// step; the pass that finds a loop's condition false counts. [`Target::loop_passes`](crate::Target::loop_passes) is held against it.
    pub passes: fn(&Call) -> u64,
    /// The CPU twin: computes what the call would, on the operands in the order of the bindings.
    pub twin: fn(&Call, &mut [Operand<'_>]),
    /// Returns the tolerance in the written binding of the given index, for a call and its operands
    /// as they were before it ran.
    pub tolerance: fn(&Call, &[Data], usize) -> Tolerance,
    /// Draws random calls with their inputs.
    pub case: Cases,
    /// Floating-point operations of a call, by the field's convention (a multiply-add counts two); 0 where only the
    /// bytes matter.
    pub flops: fn(&Call) -> f64,
}

impl Kernel {
    /// A kernel that is put together at run time, with a uniform block `U`.
    pub(crate) fn composed<U>(
        name: String,
        source: String,
        entry_point: &'static str,
        bindings: Vec<Binding>,
        passes: fn(&Call) -> u64,
        twin: fn(&Call, &mut [Operand<'_>]),
        tolerance: fn(&Call, &[Data], usize) -> Tolerance,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            source: source.into(),
            entry_point,
            bindings: bindings.into(),
            uniform_bytes: size_of::<U>(),
            subgroup_sizes: None,
            passes,
            twin: judge::twin(twin),
            tolerance: judge::tolerance(tolerance),
            case: Cases::OfComposition,
            flops: |_| 0.0,
        })
    }

    /// The name of the WGSL file, for messages.
    pub fn file(&self) -> String {
        format!("{}.wgsl", self.name.split('.').next().unwrap_or_default())
    }

    /// Returns why the kernel cannot run on a device with subgroups of these sizes (the least and the most lanes), or
    /// without any; `None` where it can.
    pub fn lacks_subgroups(&self, offered: Option<(u32, u32)>) -> Option<String> {
        let (least, most) = self.subgroup_sizes?;
        let wanted = format!("needs subgroups of {least} to {most} lanes");
        match offered {
            None => Some(format!("{wanted}, and the device has no subgroup operations")),
            Some((from, to)) if from < least || to > most => {
                Some(format!("{wanted}, and the device has {from} to {to}"))
            }
            Some(_) => None,
        }
    }

    /// Indices of the bindings that the kernel writes.
    pub fn outputs(&self) -> impl Iterator<Item = usize> + '_ {
        self.bindings.iter().enumerate().filter(|(_, binding)| binding.access.writes()).map(|(index, _)| index)
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kernel").field("name", &self.name).field("bindings", &self.bindings).finish()
    }
}

/// A kernel of this crate's list, or one that was generated at run time.
#[derive(Debug, Clone)]
pub enum KernelRef {
    /// A kernel of the list.
    Listed(&'static Kernel),
    /// A kernel generated at run time, or a user's own.
    Generated(Arc<Kernel>),
}

impl KernelRef {
    /// A kernel that is put together, under the name by which it is listed, with its cases.
    pub(crate) fn listed(
        name: impl Into<Cow<'static, str>>,
        case: impl Fn(&mut Generator) -> Case + Send + Sync + 'static,
    ) -> Self {
        let drawn = case(&mut Generator::new(0, 1)).call.kernel.clone();
        Arc::new(Kernel { name: name.into(), case: Cases::of(case), ..(*drawn).clone() }).into()
    }
}

impl Deref for KernelRef {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        match self {
            KernelRef::Listed(kernel) => kernel,
            KernelRef::Generated(kernel) => kernel,
        }
    }
}

impl From<&'static Kernel> for KernelRef {
    fn from(kernel: &'static Kernel) -> Self {
        KernelRef::Listed(kernel)
    }
}

impl From<Arc<Kernel>> for KernelRef {
    fn from(kernel: Arc<Kernel>) -> Self {
        KernelRef::Generated(kernel)
    }
}
