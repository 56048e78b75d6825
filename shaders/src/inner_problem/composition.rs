//! An inner problem and a kernel that unrolls it, put together as one text.

use std::fmt::Write;
use std::sync::Arc;

use bytemuck::Pod;

use super::{InnerProblem, LIBRARY};
use crate::description::joined::joined;
use crate::{Binding, Call, Error, Kernel, KernelRef, Sizes, Target};

/// The whole text of a kernel: sizes, bindings, the library, then `parts`, which start with the files of the problem.
pub(super) fn wgsl(problem: &dyn InnerProblem, title: &str, bindings: &[Binding], parts: &[&str]) -> String {
    let head = format!("// {}, {title}: put together from plain files.\n\n{}", problem.file(), sizes(problem));
    joined(head + &Binding::declare(bindings), LIBRARY.iter().chain(parts).copied())
}

/// Checks the sizes of a problem.
pub(super) fn check(problem: &dyn InnerProblem) -> Result<(), Error> {
    problem.check()?;
    let sizes = Sizes("inner problem");
    sizes.positive(&[("states", problem.states()), ("parameters", problem.parameters())])?;
    Ok(())
}

/// Checks the sizes of a problem that must have a derivative.
pub(super) fn check_derivative(problem: &dyn InnerProblem) -> Result<(), Error> {
    check(problem)?;
    let there = problem.tangent_source().is_some();
    Sizes("inner problem").expect("problem", there, "one with a derivative", problem.file())?;
    Ok(())
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

/// Passes through loops of an invocation of a dispatch: those of each step, and those of all steps besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passes {
    pub step: usize,
    pub once: usize,
}

impl Passes {
    /// The passes of a dispatch of so many steps.
    pub fn of(self, steps: u32) -> u64 {
        let (once, step) = self.with_ends();
        u64::from(steps).saturating_mul(step as u64).saturating_add(once as u64)
    }

    /// The most steps that an invocation may take in a dispatch, by [`Target::loop_passes`].
    pub fn most_steps(self, target: &Target) -> usize {
        let Some(limit) = target.loop_passes() else { return u32::MAX as usize / 4 };
        let (once, step) = self.with_ends();
        (limit as usize).saturating_sub(once) / step
    }

    /// Each loop has a pass that finds its condition false besides.
    fn with_ends(self) -> (usize, usize) {
        let Self { once, step } = self;
        (once.saturating_add(16), step.saturating_add(step / 4).saturating_add(8))
    }
}

/// The call of a kernel whose text is `wgsl` and whose invocations are `lanes`, with the problem's overridable constants;
/// `lengths` as in [`Call::checked`].
pub(super) fn call(
    composed: (Arc<Kernel>, String),
    problem: &dyn InnerProblem,
    uniform: &impl Pod,
    lanes: usize,
    lengths: impl Into<Vec<usize>>,
    target: &Target,
) -> Call {
    let workgroup = if target.software { 8 } else { 64 };
    call_of_workgroups(composed, problem, uniform, (lanes.div_ceil(workgroup), workgroup), lengths)
}

/// The call over so many workgroups of so many invocations.
pub(super) fn call_of_workgroups(
    (kernel, wgsl): (Arc<Kernel>, String),
    problem: &dyn InnerProblem,
    uniform: &impl Pod,
    (workgroups, invocations): (usize, usize),
    lengths: impl Into<Vec<usize>>,
) -> Call {
    let own = problem.runtime_checks().are_off(problem) && kernel.source == wgsl;
    Call::checked(KernelRef::from(kernel), uniform, workgroups, lengths)
        .checked_unless(own)
        .with_constant("WORKGROUP", invocations as u32)
        .with_constants(problem.constants())
}
