//! The counter of a run, advanced on the GPU: `step += increment; seed = (key, step)`.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Generator, Kernel, Operand, Target, Tolerance};

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ADVANCE_STEP];

/// `step += increment; seed[1] = step`.
pub static ADVANCE_STEP: Kernel = Kernel {
    name: std::borrow::Cow::Borrowed("advance_step"),
    source: std::borrow::Cow::Borrowed(include_str!("advance_step.wgsl")),
    entry_point: "advance_step",
    bindings: std::borrow::Cow::Borrowed(&[
        Binding::update("step", "(1)").u32(),
        Binding::update("seed", "(2): key, step").u32(),
    ]),
    uniform_bytes: size_of::<Uniform>(),
    needs_subgroups: false,
    twin,
    // Integers.
    tolerance: |_, _, _| Tolerance::Exact,
    case,
    flops: |_| 0.0,
};

/// The uniform block of `advance_step.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    pub increment: u32,
}

/// One step on. Recorded before everything else of a training step: from `step = 0`, optimisers see 1, 2, ..., and
/// every step draws new random numbers (see [`threefry`](crate::threefry)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem;

impl Problem {
    /// The call with operands `step` (`u32`, 1) and `seed` (`u32`, 2).
    pub fn call(&self, _: &Target) -> Call {
        Call::new(&ADVANCE_STEP, &Uniform { increment: 1 }, 1, [1, 2])
    }
}

/// The twin.
pub fn advance_step(uniform: &Uniform, step: &mut [u32], seed: &mut [u32]) {
    step[0] = step[0].wrapping_add(uniform.increment);
    seed[1] = step[0];
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [step, seed] = operands else { unreachable!("advance_step has two operands") };
    advance_step(&call.uniform(), step.u32(), seed.u32());
}

fn case(generator: &mut Generator) -> Case {
    let step = generator.indices(1, u32::MAX);
    let seed = generator.indices(2, u32::MAX);
    Case::new(Problem, Problem.call(&Target::default()), [step, seed])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_number_one_and_the_key_stays() {
        let (mut step, mut seed) = ([0], [9, 0]);
        advance_step(&Uniform { increment: 1 }, &mut step, &mut seed);
        assert_eq!((step, seed), ([1], [9, 1]));
    }
}
