//! Rows of a table by index, as an embedding takes them: `y[i, c] = table[indices[i], c]`. An index past the table gives
//! zeros, and [`crate::layout::scatter_add`], the gradient for the table, leaves such rows out.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Error, Generator, Kernel, Module, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/loads_of_one.wgsl", "gather.wgsl"), |_| 0);
const MODULE_VEC4: Module = Module::new::<Uniform>(wgsl!("../library/loads_of_four.wgsl", "gather.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&GATHER, &GATHER_VEC4];

/// Any number of columns.
pub static GATHER: Kernel = kernel(&MODULE, "gather.gather", |generator| case(generator, 1));

/// A multiple of four columns.
pub static GATHER_VEC4: Kernel = kernel(&MODULE_VEC4, "gather.gather_vec4", |generator| case(generator, 4));

const fn kernel(module: &Module, name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    module
        .kernel(
            name,
            const {
                &[
                    Binding::read("table", "(rows, columns)"),
                    Binding::read("indices", "(count)").u32(),
                    Binding::write("y", "(count, columns)"),
                ]
            },
            |call, operands| {
                let [table, indices, y] = operands else { unreachable!("gather has three operands") };
                gather(table.f32(), indices.u32(), y.f32(), call.lengths[2] / call.lengths[1]);
            },
            // A copy, in which subnormal numbers may be flushed.
            |_, _, _| Tolerance::Within { relative: 0.0, absolute: 0.0 },
            case,
        )
        .with_entry_point("gather")
}

/// The uniform block of `gather.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    /// In loads of one element or of four.
    pub columns: u32,
    pub count: u32,
}

/// `count` rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows of the table.
    pub rows: usize,
    /// Columns of the table.
    pub columns: usize,
    /// Indices: rows that are fetched.
    pub count: usize,
}

impl Problem {
    /// Returns the dispatch with operands `table`, `indices`, `y`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        Sizes("gather")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .tensor(&[("count", self.count), ("columns", self.columns)])?
            .sequence(self.call())
    }

    pub(crate) fn call(&self) -> Call {
        let Self { rows, columns, count } = *self;
        let (kernel, width) = if columns.is_multiple_of(4) { (&GATHER_VEC4, 4) } else { (&GATHER, 1) };
        let uniform = Uniform { rows: rows as u32, columns: (columns / width) as u32, count: count as u32 };
        let workgroups = (count * columns / width).div_ceil(256);
        Call::new(kernel, &uniform, workgroups, [rows * columns, count, count * columns])
    }
}

/// The twin.
pub fn gather(table: &[f32], indices: &[u32], y: &mut [f32], columns: usize) {
    for (y, &index) in y.chunks_mut(columns).zip(indices) {
        match table.chunks(columns).nth(index as usize) {
            Some(row) => y.copy_from_slice(row),
            None => y.fill(0.0),
        }
    }
}

fn case(generator: &mut Generator, width: usize) -> Case {
    let huge = generator.huge() && width == 1;
    let columns = if huge { 1 } else { generator.length(300 / width) * width };
    let columns = if width == 1 { columns + usize::from(columns.is_multiple_of(4)) } else { columns };
    let count = if huge { 16_777_300 } else { generator.length(300) };
    let rows = if generator.of_models() { 100_000 } else { generator.length(200) };
    let columns = if generator.of_models() { columns.min(8 + width) / width * width } else { columns };
    let columns = if width == 1 { columns + usize::from(columns.is_multiple_of(4)) } else { columns };
    let problem = Problem { rows, columns, count };
    let table = generator.values_with_specials(problem.rows * columns, 1e30);
    // Some indices are past the table.
    let beyond = if generator.chance(0.3) { 3 } else { 0 };
    let indices = generator.indices(count, problem.rows as u32 + beyond);
    Case::new(problem, problem.call(), [table, indices])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    #[test]
    fn rows_are_taken_in_the_order_of_the_indices_and_zeros_past_the_table() {
        let problem = Problem { rows: 2, columns: 2, count: 3 };
        let inputs = [Data::F32(vec![1.0, 2.0, 3.0, 4.0]), Data::U32(vec![1, 9, 0])];
        let y = Case::new((), problem.call(), inputs).expected().swap_remove(2);
        assert_eq!(y, Data::F32(vec![3.0, 4.0, 0.0, 0.0, 1.0, 2.0]));
    }
}
