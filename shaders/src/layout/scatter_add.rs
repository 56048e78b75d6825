//! Sum of rows by index, the gradient of a [`crate::layout::gather`] for its table:
//! `dtable[r, c] = sum over i with indices[i] = r of dy[i, c]`, added in the order of `i` without float atomics, so that
//! the same adapter gives the same bits. Indices past the table are left out.
//!
//! Cost: on a GPU every index is read once for each row of the table, `rows * count` loads in all, coalesced; where those
//! are many, and on software drivers, [`scatter_order`] first sorts the positions.

use bytemuck::{Pod, Zeroable};

use super::scatter_order;
use crate::{
    Binding, Call, Case, Data, Element, Error, Family, Generator, Kernel, Module, Sequence, Sizes, Slot, Target,
    Tolerance, product,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/loads_of_one.wgsl", "scatter_add.wgsl"), passes);
const MODULE_VEC4: Module = Module::new::<Uniform>(wgsl!("../library/loads_of_four.wgsl", "scatter_add.wgsl"), passes);

/// The data decide how the positions are shared out: all may belong to one row.
fn passes(call: &Call) -> u64 {
    let Uniform { count, .. } = call.uniform();
    match call.kernel.entry_point {
        "sum" => u64::from(count).div_ceil(call.constant("TERMS").map_or(1, |terms| terms as u64)) + 1,
        _ => {
            let workgroup = call.constant("WORKGROUP").map_or(64, |workgroup| workgroup as u64);
            // Each block of indices has a pass, its words of 32 bits have one each, and each index of the row one.
            u64::from(count).div_ceil(workgroup) * (2 + 2 * workgroup / 32) + u64::from(count) + 1
        }
    }
}

/// The most loads of indices by which a GPU finds the positions of each row by itself: 64 MiB, a sixth of a millisecond
/// where caches give 400 GB/s. More are sorted before.
const MOST_SCANNED: usize = 1 << 24;

/// The index in [`Family::ScatterAdd`] of the variant that sorts the positions first.
const SORT: usize = 1;

/// A sum of more terms adds eight in a pass.
const MOST_TERMS: usize = 32_768;

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SCAN, &SCAN_VEC4, &SUM, &SUM_VEC4];

/// A workgroup for each row of the table, which reads all indices.
pub static SCAN: Kernel = scan_kernel(&MODULE, "scatter_add.scan", |generator| scan_case(generator, 1));

/// The same for a multiple of four columns.
pub static SCAN_VEC4: Kernel = scan_kernel(&MODULE_VEC4, "scatter_add.scan_vec4", |generator| scan_case(generator, 4));

/// The sums over sorted positions.
pub static SUM: Kernel = sum_kernel(&MODULE, "scatter_add.sum", |generator| sum_case(generator, 1));

/// The same for a multiple of four columns.
pub static SUM_VEC4: Kernel = sum_kernel(&MODULE_VEC4, "scatter_add.sum_vec4", |generator| sum_case(generator, 4));

const fn scan_kernel(module: &Module, name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    module
        .kernel(
            name,
            const {
                &[
                    Binding::read("indices", "(count)").u32(),
                    Binding::read("dy", "(count, columns)"),
                    Binding::write("dtable", "(rows, columns)"),
                ]
            },
            |call, operands| {
                let [indices, dy, dtable] = operands else { unreachable!("scan has three operands") };
                scatter_add(indices.u32(), dy.f32(), dtable.f32(), call.lengths[1] / call.lengths[0]);
            },
            |call, operands, _| tolerance(operands[0].u32(), &operands[1], call.lengths[2]),
            case,
        )
        .with_entry_point("scan")
        .with_flops(|call| call.lengths[1] as f64)
}

const fn sum_kernel(module: &Module, name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    module
        .kernel(
            name,
            const {
                &[
                    Binding::read("sorted", "(count)").u32(),
                    Binding::read("row_ends", "(rows)").u32(),
                    Binding::read("dz", "(count, columns)"),
                    Binding::write("dsum", "(rows, columns)"),
                ]
            },
            |call, operands| {
                let [sorted, row_ends, dy, dtable] = operands else { unreachable!("sum has four operands") };
                let indices = indices_of(sorted.u32(), row_ends.u32());
                scatter_add(&indices, dy.f32(), dtable.f32(), call.lengths[2] / call.lengths[0]);
            },
            |call, operands, _| {
                tolerance(&indices_of(operands[0].u32(), operands[1].u32()), &operands[2], call.lengths[3])
            },
            case,
        )
        .with_entry_point("sum")
        .with_flops(|call| call.lengths[2] as f64)
}

/// The uniform block of `scatter_add.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    /// In loads of one element or of four.
    pub columns: u32,
    pub count: u32,
}

/// `count` rows added into a table of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows of the table.
    pub rows: usize,
    /// Columns of the table.
    pub columns: usize,
    /// Indices: rows that are added.
    pub count: usize,
}

impl Problem {
    /// The sequence with arguments `dy`, `indices`, `dtable`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("scatter_add")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .tensor(&[("count", self.count), ("columns", self.columns)])?;
        let [dy, indices, dtable] = Slot::arguments();
        let loads = product(&[self.rows, self.count]);
        let suits = |variant| variant == SORT || (loads <= 4 * MOST_SCANNED && target.finishes(&self.scan()));
        let choice = target.choice(Family::ScatterAdd, loads, suits);
        let scans = choice.map_or(!target.software && loads <= MOST_SCANNED, |choice| choice.variant != SORT);
        if scans {
            return sizes.sequence(Sequence::of(self.scan().chosen_by(choice), [indices, dy, dtable]));
        }
        let mut sequence = Sequence::default();
        let positions = sequence.scratch(Element::U32, self.count);
        let ends = sequence.scratch(Element::U32, self.rows);
        sequence.step(self.order().call(target).chosen_by(choice), [indices, positions, ends]);
        sequence.step(self.sum().chosen_by(choice), [positions, ends, dy, dtable]);
        sizes.sequence(sequence)
    }

    fn width(&self) -> usize {
        if self.columns.is_multiple_of(4) { 4 } else { 1 }
    }

    fn uniform(&self) -> Uniform {
        let columns = self.columns / self.width();
        Uniform { rows: self.rows as u32, columns: columns as u32, count: self.count as u32 }
    }

    fn scan(&self) -> Call {
        let Self { rows, columns, count } = *self;
        let kernel = if self.width() == 4 { &SCAN_VEC4 } else { &SCAN };
        let lanes = columns / self.width();
        let workgroup = lanes.next_power_of_two().clamp(64, 256);
        Call::new(kernel, &self.uniform(), rows * lanes.div_ceil(workgroup), [count, count * columns, rows * columns])
            .with_constant("WORKGROUP", workgroup as u32)
    }

    fn order(&self) -> scatter_order::Problem {
        scatter_order::Problem { rows: self.rows, count: self.count }
    }

    fn sum(&self) -> Call {
        let Self { rows, columns, count } = *self;
        let kernel = if self.width() == 4 { &SUM_VEC4 } else { &SUM };
        let workgroups = (rows * columns / self.width()).div_ceil(64);
        let call = Call::new(kernel, &self.uniform(), workgroups, [count, rows, count * columns, rows * columns]);
        // Bits do not depend on it.
        if count > MOST_TERMS { call.with_constant("TERMS", 8u32) } else { call }
    }
}

/// The twin of a whole scatter.
pub fn scatter_add(indices: &[u32], dy: &[f32], dtable: &mut [f32], columns: usize) {
    let mut totals = vec![0.0; dtable.len()];
    for (&index, dy) in indices.iter().zip(dy.chunks(columns)) {
        if let Some(row) = totals.chunks_mut(columns).nth(index as usize) {
            row.iter_mut().zip(dy).for_each(|(total, &dy)| *total += f64::from(dy));
        }
    }
    dtable.iter_mut().zip(totals).for_each(|(sum, total)| *sum = total as f32);
}

/// The indices that were sorted: for each position its row, or one past the table.
fn indices_of(sorted: &[u32], row_ends: &[u32]) -> Vec<u32> {
    let mut indices = vec![u32::MAX; sorted.len()];
    let mut start = 0;
    for (row, &end) in (0..).zip(row_ends) {
        for &position in &sorted[start..end as usize] {
            indices[position as usize] = row;
        }
        start = end as usize;
    }
    indices
}

/// A sum of `n` terms errs by at most a unit in the last place (two epsilon) of the sum of the magnitudes for each
/// addition; subnormal terms may be flushed.
fn tolerance(indices: &[u32], dy: &Data, elements: usize) -> Tolerance {
    let dy = dy.f32();
    let columns = dy.len() / indices.len();
    let (mut magnitudes, mut counts) = (vec![0.0; elements], vec![0.0; elements]);
    for (position, &index) in indices.iter().enumerate() {
        let first = index as usize * columns;
        if first < elements {
            for column in 0..columns {
                magnitudes[first + column] += f64::from(dy[position * columns + column].abs());
                counts[first + column] += 1.0;
            }
        }
    }
    let bound =
        |(magnitude, count): (f64, f64)| count * (2.0 * Tolerance::EPSILON * magnitude + f64::from(f32::MIN_POSITIVE));
    Tolerance::PerElement(magnitudes.into_iter().zip(counts).map(bound).collect())
}

fn scan_case(generator: &mut Generator, width: usize) -> Case {
    let huge = generator.huge();
    let (problem, indices) = draw(generator, width, if huge { 66_000 } else { table(generator) });
    let dy = generator.values_with_specials(problem.count * problem.columns, 1e30);
    Case::new(problem, problem.scan(), [indices, dy])
}

fn sum_case(generator: &mut Generator, width: usize) -> Case {
    let rows = table(generator);
    let (mut problem, mut indices) = draw(generator, width, rows);
    if rows > 0 {
        // A software driver adds eight terms in each pass through so many; half of them are of one row.
        problem.count = MOST_TERMS + 999;
        let any = generator.indices(problem.count, problem.rows as u32);
        indices = Data::U32(any.u32().iter().enumerate().map(|(i, &row)| if i % 2 == 0 { row } else { 0 }).collect());
    }
    let mut sorted = Case::new((), problem.order().call(&Target::default()), [indices]).expected();
    let dy = generator.values_with_specials(problem.count * problem.columns, 1e30);
    let (ends, positions) = (sorted.remove(2), sorted.remove(1));
    Case::new(problem, problem.sum(), [positions, ends, dy])
}

/// Rows of a real model's table, or 0.
fn table(generator: &Generator) -> usize {
    if generator.of_models() { 50_257 } else { 0 }
}

/// A problem with its indices, some of them past the table; of `rows` rows, or of a few where that is 0.
fn draw(generator: &mut Generator, width: usize, rows: usize) -> (Problem, Data) {
    let most = if rows > 0 { 8 } else { 300 };
    // At times more loads in a row than a workgroup has invocations.
    let wide = rows == 0 && generator.chance(0.1);
    let columns = generator.length(if wide { 600 } else { most / width }) * width;
    let columns = if width == 1 { columns + usize::from(columns.is_multiple_of(4)) } else { columns };
    let rows = if rows > 0 { rows } else { generator.length(100) };
    let problem = Problem { rows, columns, count: generator.length(most * 2) };
    let beyond = if generator.chance(0.3) { 3 } else { 0 };
    (problem, generator.indices(problem.count, problem.rows as u32 + beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(problem: Problem, target: &Target, indices: &[u32], dy: &[f32]) -> Vec<f32> {
        let sequence = problem.sequence(target).unwrap();
        let (indices, dy) = (Data::U32(indices.to_vec()), Data::F32(dy.to_vec()));
        let last = match &sequence.steps[..] {
            [only] => Case::new((), only.call.clone(), [indices, dy]).expected(),
            [order, sum] => {
                let sorted = Case::new((), order.call.clone(), [indices]).expected();
                Case::new((), sum.call.clone(), [sorted[1].clone(), sorted[2].clone(), dy]).expected()
            }
            _ => unreachable!("one step or two"),
        };
        last.last().unwrap().f32().to_vec()
    }

    #[test]
    fn both_ways_add_the_rows_of_each_index() {
        let problem = Problem { rows: 3, columns: 2, count: 4 };
        let (indices, dy) = ([2, 0, 2, 7], [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 99.0, 99.0]);
        for software in [false, true] {
            let target = Target { software, ..Target::default() };
            assert_eq!(run(problem, &target, &indices, &dy), [3.0, 4.0, 0.0, 0.0, 11.0, 22.0]);
        }
    }
}
