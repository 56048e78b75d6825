//! A WGSL file with what all of its kernels share.

use std::borrow::Cow;

use super::judge;
use crate::{Binding, Call, Case, Data, Generator, Kernel, Operand, Tolerance};

/// The WGSL of one file, joined with the parts of the library that it names, and the size of its uniform block.
///
/// A library of kernels describes one of its files once: `Module::new::<Uniform>(WGSL).kernel(..)` for each entry point.
pub struct Module {
    source: &'static str,
    uniform_bytes: usize,
    passes: fn(&Call) -> u64,
}

impl Module {
    /// The module of the WGSL `source`, whose uniform block (group 1, binding 0) is a `U`. For all of its kernels `passes`
    /// is [`Kernel::passes`], by their entry point where they differ.
    pub const fn new<U>(source: &'static str, passes: fn(&Call) -> u64) -> Self {
        Self { source, uniform_bytes: size_of::<U>(), passes }
    }

    /// A kernel of this module: its entry point is the part of `name` behind the dot, or `name` where it has none.
    /// `bindings` are those of group 0 in order; [`Kernel`] says what `twin`, `tolerance` and `case` are. It has no
    /// subgroup operations, and no floating-point operations are counted.
    pub const fn kernel(
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
            subgroup_sizes: None,
            passes: self.passes,
            twin: judge::twin(twin),
            tolerance: judge::tolerance(tolerance),
            case: judge::case(case),
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

    /// The same with subgroup operations that are right with `least` to `most` lanes in a subgroup.
    pub(crate) const fn with_subgroups(mut self, least: u32, most: u32) -> Self {
        // wgpu passes no subgroups on in a browser: a page need not carry the text. The one that verifies names what is missing.
        if cfg!(all(target_arch = "wasm32", not(feature = "twins"))) {
            // Constants drop nothing.
            std::mem::forget(std::mem::replace(&mut self.source, Cow::Borrowed("")));
        }
        self.subgroup_sizes = Some((least, most));
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
