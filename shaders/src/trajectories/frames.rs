//! Stacked frames of recorded steps: grey pictures that stay bytes in memory, four to a word, until a stack of them is wanted
//! as numbers from 0 to 1, `(.., rows * columns, stack)`, the newest frame last.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Error, Generator, Kernel, Module, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "frames.wgsl"), |call| {
    u64::from(call.uniform::<Uniform>().stack) + 1
});

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&FRAMES];

/// Stacks of frames by the row of their newest.
pub static FRAMES: Kernel = MODULE
    .kernel(
        "frames",
        &[
            Binding::read("frames", "(rows, words)").u32(),
            Binding::read("wanted", "(count)").u32(),
            Binding::read("times", "(count)").u32(),
            Binding::write("y", "(count, 4 words, stack)"),
        ],
        |call, operands| {
            let [table, wanted, times, y] = operands else { unreachable!("stacks of frames have four operands") };
            frames(&call.uniform(), table.u32(), wanted.u32(), times.u32(), y.f32());
        },
        // A quotient errs by 2.5 units in the last place.
        |_, _, _| Tolerance::Within { relative: 6.0 * Tolerance::EPSILON, absolute: 0.0 },
        case,
    )
    .with_entry_point("stacked");

/// The uniform block of `frames.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub words: u32,
    pub count: u32,
    pub stack: u32,
    pub lead: u32,
}

/// Stacks of frames from a table, or from one of several that a long recording was cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Frames of the table.
    pub rows: usize,
    /// Words of a frame, of four pixels each.
    pub words: usize,
    /// Stacks that are wanted.
    pub count: usize,
    /// Frames of a stack.
    pub stack: usize,
    /// The first frames of the table, which belong to the table before it: rows that name them give zeros.
    pub lead: usize,
}

const WORKGROUP: usize = 64;

impl Problem {
    /// Returns the dispatch with operands `frames`, `wanted` (rows of the table), `times` (steps since the episode began) and
    /// `y`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        Sizes("frames")
            .tensor(&[("rows", self.rows), ("words", self.words)])?
            .tensor(&[("count", self.count), ("pixels", self.words.saturating_mul(4)), ("stack", self.stack)])?
            .expect("lead", self.lead < self.rows, "fewer than rows", self.lead)?
            .sequence(self.call())
    }

    fn call(&self) -> Call {
        let Self { rows, words, count, stack, lead } = *self;
        let [rows_, words_, count_, stack_, lead] = [rows, words, count, stack, lead].map(|size| size as u32);
        let uniform = Uniform { rows: rows_, words: words_, count: count_, stack: stack_, lead };
        let lengths = [rows * words, count, count, count * words * 4 * stack];
        Call::new(&FRAMES, &uniform, (count * words).div_ceil(WORKGROUP), lengths)
    }
}

/// The twin.
pub(crate) fn frames(uniform: &Uniform, table: &[u32], wanted: &[u32], times: &[u32], y: &mut [f32]) {
    let (words, stack) = (uniform.words as usize, uniform.stack as usize);
    for (i, stacked) in y.chunks_mut(4 * words * stack).enumerate() {
        let is_own = (uniform.lead..uniform.rows).contains(&wanted[i]);
        for (element, y) in stacked.iter_mut().enumerate() {
            let (pixel, before) = (element / stack, (stack - 1 - element % stack) as u32);
            let frame = wanted[i].checked_sub(before).filter(|_| is_own && before <= times[i]);
            let byte = frame.map_or(0, |frame| table[frame as usize * words + pixel / 4].to_le_bytes()[pixel % 4]);
            *y = f32::from(byte) / 255.0;
        }
    }
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let rows = if huge { 3 } else { generator.length(40) };
    let stack = if huge { 1 } else { generator.length(5) };
    let problem = Problem {
        rows,
        words: if huge { 1 } else { generator.length(60) },
        count: if huge { 4_200_000 } else { generator.length(60) },
        stack,
        lead: generator.length(rows.min(stack)) - 1,
    };
    let table = generator.indices(problem.rows * problem.words, u32::MAX);
    // Some rows are past the table, and some stacks reach back beyond their episode.
    let wanted = generator.indices(problem.count, rows as u32 + 2);
    let times = generator.indices(problem.count, 2 * stack as u32);
    Case::new(problem, problem.call(), [table, wanted, times])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    #[test]
    fn a_stack_ends_with_its_own_frame_and_begins_no_earlier_than_its_episode() {
        let problem = Problem { rows: 3, words: 1, count: 3, stack: 2, lead: 0 };
        let table = [[255, 0, 0, 0], [0, 51, 0, 0], [0, 0, 102, 255]].map(u32::from_le_bytes);
        // The third step is the first of an episode, the last row is past the table.
        let inputs = [Data::U32(table.to_vec()), Data::U32(vec![1, 2, 3]), Data::U32(vec![1, 0, 9])];
        let y = Case::new((), problem.call(), inputs).expected().swap_remove(3);
        let expected = [[1.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 1.0], [0.0; 8]];
        assert_eq!(y, Data::F32(expected.concat()));
    }
}
