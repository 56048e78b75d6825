//! The counter of a run, advanced on the GPU: the last element of a `u32` tensor goes up by one.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("advance_step.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ADVANCE_STEP, &ADVANCE_BOTH];

/// `counter[last] += increment`.
pub static ADVANCE_STEP: Kernel = MODULE.kernel(
    "advance_step",
    &[Binding::update("counter", "(length)").u32()],
    twin,
    // Integers.
    |_, _, _| Tolerance::Exact,
    case,
);

/// `counter[last] += increment` and `other += increment`.
pub static ADVANCE_BOTH: Kernel = MODULE
    .kernel(
        "advance_step.both",
        &[Binding::update("counter", "(length)").u32(), Binding::update("other", "(1)").u32()],
        twin_both,
        // Integers.
        |_, _, _| Tolerance::Exact,
        case_both,
    )
    .with_entry_point("advance_both");

/// The uniform block of `advance_step.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub length: u32,
    pub increment: u32,
}

/// One step on: of a step number (`length` 1) or of a seed `(key, step)` (`length` 2, see
/// [`threefry`](crate::random::threefry)), which wraps around after 2^32 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// At least 1.
    pub length: usize,
    /// Added to the counter in each step.
    pub increment: u32,
}

impl Problem {
    /// A step number: AdamW and metric rings count from 1 where it is advanced before them.
    pub const STEP: Self = Self { length: 1, increment: 1 };
    /// A seed `(key, step)`.
    pub const SEED: Self = Self { length: 2, increment: 1 };

    /// Returns the dispatch with the operand `counter` (`u32`, `length`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("advance_step").positive(&[("length", self.length)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        let uniform = Uniform { length: self.length as u32, increment: self.increment };
        Call::new(&ADVANCE_STEP, &uniform, 1, [self.length])
    }

    /// Returns the dispatch with the operands `counter` (`u32`, `length`) and `other` (`u32`, 1), which both go up.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn both(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("advance_step").positive(&[("length", self.length)])?.sequence(self.both_call(target))
    }

    pub(crate) fn both_call(&self, _: &Target) -> Call {
        let uniform = Uniform { length: self.length as u32, increment: self.increment };
        Call::new(&ADVANCE_BOTH, &uniform, 1, [self.length, 1])
    }
}

/// The twin.
pub(crate) fn advance_step(uniform: &Uniform, counter: &mut [u32]) {
    let last = &mut counter[uniform.length as usize - 1];
    *last = last.wrapping_add(uniform.increment);
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [counter] = operands else { unreachable!("advance_step has one operand") };
    advance_step(&call.uniform(), counter.u32());
}

fn twin_both(call: &Call, operands: &mut [Operand<'_>]) {
    let [counter, other] = operands else { unreachable!("two counters") };
    let uniform: Uniform = call.uniform();
    advance_step(&uniform, counter.u32());
    advance_step(&Uniform { length: 1, ..uniform }, other.u32());
}

fn problem(generator: &mut Generator) -> Problem {
    Problem { length: generator.length(3), increment: generator.pick(&[0, 1, 7, u32::MAX]) }
}

fn case_both(generator: &mut Generator) -> Case {
    let problem = problem(generator);
    let counters = [problem.length, 1].map(|length| generator.indices(length, u32::MAX));
    Case::new(problem, problem.both_call(&Target::default()), counters)
}

fn case(generator: &mut Generator) -> Case {
    let problem = problem(generator);
    let counter = generator.indices(problem.length, u32::MAX);
    Case::new(problem, problem.call(&Target::default()), [counter])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_a_seed_advances_and_its_key_stays() {
        let mut seed = [9, u32::MAX];
        let uniform = Problem::SEED.call(&Target::default()).uniform();
        advance_step(&uniform, &mut seed);
        advance_step(&uniform, &mut seed);
        assert_eq!(seed, [9, 1]);
    }
}
