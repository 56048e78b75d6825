//! The positions of indices, sorted by index and equal ones in order: the first half of a large
//! [`scatter_add`](crate::layout::scatter_add), whose sums then have their terms side by side.
//!
//! Cost: on a GPU a workgroup for every 256 rows reads the indices twice; on a software driver an invocation for every
//! 4,096 rows takes about `rows + 2 count` steps.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("scatter_order.wgsl"), passes);

fn passes(call: &Call) -> u64 {
    let Uniform { rows, count } = call.uniform();
    match call.kernel.entry_point {
        // Each lot of indices is counted, its marks are, by eight words, and cleared, and its places may be.
        "order" => 20 * (u64::from(count).div_ceil(SORTERS as u64) + 1) + 16,
        _ => 2 * (u64::from(rows).min(ROWS_OF_ONE as u64) + 1) + 3 * (u64::from(count.div_ceil(8)) + 1),
    }
}

/// Rows that a workgroup of `order` sorts the positions of.
const SORTERS: usize = 256;

/// Rows that one invocation of `order_alone` sorts the positions of.
const ROWS_OF_ONE: usize = 4096;

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ORDER, &ORDER_ALONE];

/// A counting sort of the positions, 256 rows by each workgroup.
pub static ORDER: Kernel = kernel("scatter_order.order", |generator| case(generator, SORTERS, false));

/// The same for software drivers, 4,096 rows by each invocation.
pub static ORDER_ALONE: Kernel = kernel("scatter_order.order_alone", |generator| case(generator, ROWS_OF_ONE, true));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE.kernel(
        name,
        const {
            &[
                Binding::read("indices", "(count)").u32(),
                Binding::write("positions", "(count)").u32(),
                Binding::write("ends", "(rows)").u32(),
            ]
        },
        |_, operands: &mut [Operand<'_>]| {
            let [indices, positions, ends] = operands else { unreachable!("order has three operands") };
            order(indices.u32(), positions.u32(), ends.u32());
        },
        |_, _, _| Tolerance::Exact,
        case,
    )
}

/// The uniform block of `scatter_order.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub count: u32,
}

/// `count` indices of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    pub rows: usize,
    pub count: usize,
}

impl Problem {
    /// The dispatch with the operands `indices`, `positions` and `ends`.
    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, count } = *self;
        let (kernel, own) = if target.software { (&ORDER_ALONE, ROWS_OF_ONE) } else { (&ORDER, SORTERS) };
        let uniform = Uniform { rows: rows as u32, count: count as u32 };
        Call::new(kernel, &uniform, rows.div_ceil(own), [count, count, rows])
    }
}

/// The twin of the sort: the positions by index, equal ones in order, those past the table left out, and for each row
/// one past its last.
pub fn order(indices: &[u32], positions: &mut [u32], ends: &mut [u32]) {
    let mut sorted: Vec<(u32, u32)> = indices.iter().copied().zip(0..).collect();
    sorted.retain(|&(row, _)| (row as usize) < ends.len());
    sorted.sort();
    positions.fill(0);
    positions.iter_mut().zip(&sorted).for_each(|(place, &(_, position))| *place = position);
    for (row, end) in (0..).zip(ends) {
        *end = sorted.partition_point(|&(other, _)| other <= row) as u32;
    }
}

/// At times as many rows as some workgroups (or invocations) sort, or one more; and as many indices as several lots.
fn case(generator: &mut Generator, own: usize, software: bool) -> Case {
    let rows = if generator.must_fold() {
        2 * own + 1
    } else if generator.of_models() {
        50_257
    } else if generator.chance(0.1) {
        own * generator.pick(&[1, 2, 3]) + generator.pick(&[0, 1])
    } else {
        generator.length(100)
    };
    let most = generator.pick(&[16, 600, 3 * SORTERS]);
    let problem = Problem { rows, count: generator.length(most) };
    let beyond = if generator.chance(0.3) { 3 } else { 0 };
    // At times nearly all of one row.
    let favoured = generator.chance(0.3).then(|| generator.length(rows) as u32 - 1);
    let drawn = generator.indices(problem.count, rows as u32 + beyond);
    let indices = match favoured {
        Some(row) => drawn.u32().iter().enumerate().map(|(i, &other)| if i % 5 > 0 { row } else { other }).collect(),
        None => drawn.u32().to_vec(),
    };
    let target = Target { software, ..Target::default() };
    Case::new(problem, problem.call(&target), [Data::U32(indices)])
}
