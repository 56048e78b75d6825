//! A WGSL file with what all of its kernels share.

use std::borrow::Cow;

use crate::{Binding, Call, Case, Cases, Data, Generator, Kernel, Operand, Tolerance};

/// The WGSL of one file, joined with the parts of the library that it names, and the size of its uniform block.
pub(crate) struct Module {
    source: &'static str,
    uniform_bytes: usize,
}

impl Module {
    /// A module whose uniform block is a `U`.
    pub(crate) const fn new<U>(source: &'static str) -> Self {
        Self { source, uniform_bytes: size_of::<U>() }
    }

    /// A kernel of this module, its entry point named by what follows the dot in `name`, or by `name`: without subgroup
    /// operations and counted by its bytes alone.
    pub(crate) const fn kernel(
        &self,
        name: &'static str,
        bindings: &'static [Binding],
        twin: fn(&Call, &mut [Operand<'_>]),
        tolerance: fn(&Call, &[Data], usize) -> Tolerance,
        case: fn(&mut Generator) -> Case,
    ) -> Kernel {
        Kernel {
            name: Cow::Borrowed(name),
            source: Cow::Borrowed(self.source),
            entry_point: after_dot(name),
            bindings: Cow::Borrowed(bindings),
            uniform_bytes: self.uniform_bytes,
            needs_subgroups: false,
            twin,
            tolerance,
            case: Cases::Drawn(case),
            flops: |_| 0.0,
        }
    }
}

impl Kernel {
    /// The same with another entry point than its name says.
    pub(crate) const fn with_entry_point(mut self, entry_point: &'static str) -> Self {
        self.entry_point = entry_point;
        self
    }

    /// The same with subgroup operations.
    pub(crate) const fn with_subgroups(mut self) -> Self {
        self.needs_subgroups = true;
        self
    }

    /// The same with its floating-point operations counted.
    pub(crate) const fn with_flops(mut self, flops: fn(&Call) -> f64) -> Self {
        self.flops = flops;
        self
    }
}

/// The part of `name` after its dot, or all of it where it has none.
const fn after_dot(name: &'static str) -> &'static str {
    let mut i = 0;
    while i < name.len() {
        if name.as_bytes()[i] == b'.' {
            return name.split_at(i + 1).1;
        }
        i += 1;
    }
    name
}
