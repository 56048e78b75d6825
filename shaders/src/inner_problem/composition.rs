//! An inner problem and a kernel that unrolls it, put together as one text.

use std::fmt::Write;
use std::sync::Arc;

use bytemuck::Pod;

use super::{InnerProblem, LIBRARY};
use crate::{Binding, Call, Kernel, KernelRef, Target};

/// The whole text of a kernel: sizes, bindings, the library, then `parts`, which start with the files of the problem.
pub(super) fn wgsl(problem: &dyn InnerProblem, title: &str, bindings: &[Binding], parts: &[&str]) -> String {
    let mut text = format!("// {}, {title}: put together from plain files.\n\n{}", problem.file(), sizes(problem));
    text.push_str(&Binding::declare(bindings));
    for part in LIBRARY.iter().chain(parts) {
        text.push('\n');
        text.push_str(part);
    }
    text
}

/// The sizes that the files name, as WGSL constants.
pub fn sizes(problem: &dyn InnerProblem) -> String {
    let mut text = String::new();
    let sizes = [
        ("STATE", problem.states()),
        ("PARAMETERS", problem.parameters()),
        ("PARAMETER_PAIRS", problem.parameters().div_ceil(2)),
        ("DATA", data(problem).len()),
    ];
    for (name, value) in sizes.iter().chain(&problem.sizes()) {
        writeln!(text, "const {name}: u32 = {value}u;").expect("strings take any text");
    }
    text
}

/// The content of the binding `data`: the numbers of the problem, or one that nobody reads.
pub fn data(problem: &dyn InnerProblem) -> &[f32] {
    match problem.data() {
        [] => &[0.0],
        data => data,
    }
}

/// The name of a kernel: `KIND.PROBLEM`.
pub(super) fn name(kind: &str, problem: &dyn InnerProblem) -> String {
    format!("{kind}.{}", problem.file().strip_suffix(".wgsl").unwrap_or(problem.file()))
}

/// The most steps that an invocation may take in a dispatch, if each takes `passes` passes through loops and all take
/// `once` besides: Mesa's llvmpipe leaves every loop, without an error, once their passes come to 65,535 in all.
pub(super) fn most_steps(passes: usize, once: usize, target: &Target) -> usize {
    if !target.software {
        return u32::MAX as usize / 4;
    }
    const LIMIT: usize = 65_535;
    LIMIT.saturating_sub(once) / (passes + 2)
}

/// The call of a kernel whose text is `wgsl` and whose invocations are `lanes`, with the problem's overridable constants;
/// `lengths` as in [`Call::checked`].
pub(super) fn call(
    (kernel, wgsl): (Arc<Kernel>, String),
    problem: &dyn InnerProblem,
    uniform: &impl Pod,
    lanes: usize,
    lengths: impl Into<Vec<usize>>,
    target: &Target,
) -> Call {
    let workgroup = if target.software { 8 } else { 64 };
    let own = problem.runtime_checks().are_off(problem) && kernel.source == wgsl;
    Call::checked(KernelRef::from(kernel), uniform, lanes.div_ceil(workgroup), lengths)
        .checked_unless(own)
        .with_constant("WORKGROUP", workgroup as u32)
        .with_constants(problem.constants())
}
