//! A ring of the values of the last steps: `ring[step % length] = value`.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{NARROW, values};
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance,
    grid,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "ring.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&RECORD];

/// `ring[step % length, c] = value[c]`.
pub static RECORD: Kernel = MODULE.kernel(
    "ring.record",
    &[
        Binding::update("ring", "(length, columns)"),
        Binding::read("value", "(columns)"),
        Binding::read("step", "(1)").u32(),
    ],
    twin,
    // A copy.
    |_, _, _| Tolerance::Exact,
    case,
);

/// The uniform block of `ring.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub length: u32,
    pub columns: u32,
}

/// The values of `columns` metrics over the last `length` steps: a host records many steps in one submission and reads
/// their losses afterwards from one buffer. `length` is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Steps that are kept.
    pub length: usize,
    /// Metrics of a step.
    pub columns: usize,
}

impl Problem {
    /// Returns the dispatch with operands `ring` (`length`, `columns`), `value` (`columns`), `step` (`u32`, 1).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("ring").tensor(&[("length", self.length), ("columns", self.columns)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        const WORKGROUP: usize = 64;
        let uniform = Uniform { length: self.length as u32, columns: self.columns as u32 };
        let lengths = [self.length * self.columns, self.columns, 1];
        Call::new(&RECORD, &uniform, self.columns.div_ceil(WORKGROUP), lengths)
    }
}

/// The twin.
pub(crate) fn record(uniform: &Uniform, ring: &mut [f32], value: &[f32], step: &[u32]) {
    let row = (step[0] % uniform.length) as usize;
    let columns = uniform.columns as usize;
    ring[row * columns..][..columns].copy_from_slice(value);
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [ring, value, step] = operands else { unreachable!("ring.record has three operands") };
    record(&call.uniform(), ring.f32(), value.f32(), step.u32());
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let problem = Problem {
        length: if huge { 2 } else { generator.length(300) },
        columns: if huge { NARROW * 65_537 + 1 } else { generator.length(200) },
    };
    let mut call = problem.call(&Target::default());
    if huge {
        // Past 65,535 workgroups by narrow workgroups.
        call = call.with_grid(grid(problem.columns.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    let value = values(generator, problem.columns, f32::MAX);
    let step = generator.indices(1, 1_000);
    // Other rows keep their poison.
    Case::new(problem, call, [Data::poison(Element::F32, problem.length * problem.columns), value, step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_step_is_overwritten_one_length_later() {
        let mut ring = [0.0; 4];
        for step in 1..=3 {
            record(&Uniform { length: 2, columns: 2 }, &mut ring, &[step as f32, -1.0], &[step]);
        }
        assert_eq!(ring, [2.0, -1.0, 3.0, -1.0]);
    }
}
