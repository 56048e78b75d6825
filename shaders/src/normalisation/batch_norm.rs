//! Batch normalisation of the columns of a matrix: `y = (x - mean) * reciprocal * scale + shift`, with the mean and the
//! biased variance of each column, `reciprocal = 1 / sqrt(variance + epsilon)`, and ReLU where it is asked for.
//!
//! Images `(images, rows, columns, channels)` are such a matrix as they lie in memory, one channel a column.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::sum_units;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "batch_norm.wgsl"), passes);

/// Two loops over the rows of a slab or over the slabs, or one over a few rows.
fn passes(call: &Call) -> u64 {
    let Uniform { rows, slabs, .. } = call.uniform();
    match call.kernel.entry_point {
        "batch_norm_apply" => 1 + rows_of_call(call) as u64,
        "batch_norm_combine" => 2 * (1 + u64::from(slabs)),
        _ => 2 * (1 + u64::from(rows.div_ceil(slabs))),
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&BATCH_NORM_STATISTICS, &BATCH_NORM_COMBINE, &BATCH_NORM_APPLY];

/// The moments of each slab of rows.
pub static BATCH_NORM_STATISTICS: Kernel = MODULE
    .kernel(
        "batch_norm.batch_norm_statistics",
        &[Binding::read("x", "(rows, columns)"), Binding::write("partials", "(slabs, columns, 2)")],
        statistics_twin,
        statistics_tolerance,
        statistics_case,
    )
    .with_flops(|call| 5.0 * call.lengths[0] as f64);

/// The moments of all rows, from those of the slabs.
pub static BATCH_NORM_COMBINE: Kernel = MODULE.kernel(
    "batch_norm.batch_norm_combine",
    &[
        Binding::read("moments", "(slabs, columns, 2)"),
        Binding::write("merged", "(columns)"),
        Binding::write("deviation", "(columns)"),
        Binding::write("variance", "(columns)"),
    ],
    combine_twin,
    combine_tolerance,
    combine_case,
);

/// The normalised elements.
pub static BATCH_NORM_APPLY: Kernel = MODULE
    .kernel(
        "batch_norm.batch_norm_apply",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(columns)"),
            Binding::read("reciprocal", "(columns)"),
            Binding::read("scale", "(columns)"),
            Binding::read("shift", "(columns)"),
            Binding::write("y", "(rows, columns)"),
        ],
        apply_twin,
        apply_tolerance,
        apply_case,
    )
    .with_flops(|call| 5.0 * call.lengths[0] as f64);

/// The uniform block of `batch_norm.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
    /// The rows are cut into this many slabs of `ceil(rows / slabs)`; the last ones may be short or empty.
    pub slabs: u32,
    pub epsilon: f32,
}

/// Batch normalisation of each of `columns` columns over `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Rows over which the moments are taken: at least 2.
    pub rows: usize,
    /// Columns, each normalised by itself.
    pub columns: usize,
    /// Added to the variance: a positive number, customarily 1e-5.
    pub epsilon: f32,
    /// ReLU is applied to `y`.
    pub rectified: bool,
}

pub(crate) const WORKGROUP: usize = 64;

/// Rows that one invocation normalises: many where few lanes wait for each other, so that a column's numbers are read once.
pub(crate) fn rows_of_invocation(target: &Target) -> usize {
    if target.software { 32 } else { 4 }
}

/// The rows that one invocation of a call normalises.
pub(crate) fn rows_of_call(call: &Call) -> usize {
    call.constant("ROWS").map_or(4, |rows| rows as usize)
}

/// True if a call rectifies.
pub(crate) fn is_rectified(call: &Call) -> bool {
    call.constant("RECTIFIED") == Some(1.0)
}

impl Problem {
    /// The dispatches, with arguments `x`, `scale`, `shift`, `y`, `offset` (the mean less the first element), `reciprocal`
    /// and `variance` (the biased one).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("batch_norm")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .expect("rows", self.rows > 1, "at least 2, of which a variance can be taken", self.rows)?
            .above_zero("epsilon", self.epsilon)?;
        let uniform = self.uniform(target);
        let mut sequence = Sequence::default();
        let partials = sequence.scratch(Element::F32, 2 * uniform.slabs as usize * self.columns);
        let [x, scale, shift, y, offset, reciprocal, variance] = Slot::arguments();
        sequence.step(statistics_call(&uniform), [x, partials]);
        sequence.step(combine_call(&uniform), [partials, offset, reciprocal, variance]);
        sequence.step(self.apply_call(target), [x, offset, reciprocal, scale, shift, y]);
        sizes.sequence(sequence)
    }

    fn apply_call(&self, target: &Target) -> Call {
        let Self { rows, columns, .. } = *self;
        let lengths = [rows * columns, columns, columns, columns, columns, rows * columns];
        let of_invocation = rows_of_invocation(target);
        let workgroups = (rows.div_ceil(of_invocation) * columns).div_ceil(WORKGROUP);
        Call::new(&BATCH_NORM_APPLY, &self.uniform(target), workgroups, lengths)
            .with_constant("ROWS", of_invocation as u32)
            .with_constant("RECTIFIED", u32::from(self.rectified))
    }

    fn uniform(&self, target: &Target) -> Uniform {
        let slabs = slabs(self.rows, self.columns, target);
        let [rows, columns, slabs] = [self.rows, self.columns, slabs].map(|size| size as u32);
        Uniform { rows, columns, slabs, epsilon: self.epsilon }
    }
}

/// Slabs of at least 16 rows, as many as fill the device.
pub(crate) fn slabs(rows: usize, columns: usize, target: &Target) -> usize {
    let invocations = if target.software { 2048 } else { 65_536 };
    let least = target.parts_of_loop(rows, 2);
    rows.div_ceil(16).min(invocations / columns).max(least).max(1)
}

fn statistics_call(uniform: &Uniform) -> Call {
    let [rows, columns, slabs] = [uniform.rows, uniform.columns, uniform.slabs].map(|size| size as usize);
    let workgroups = (slabs * columns).div_ceil(WORKGROUP);
    Call::new(&BATCH_NORM_STATISTICS, uniform, workgroups, [rows * columns, 2 * slabs * columns])
}

fn combine_call(uniform: &Uniform) -> Call {
    let [columns, slabs] = [uniform.columns, uniform.slabs].map(|size| size as usize);
    let lengths = [2 * slabs * columns, columns, columns, columns];
    Call::new(&BATCH_NORM_COMBINE, uniform, columns.div_ceil(WORKGROUP), lengths)
}

/// The rows of a slab.
fn rows_of(uniform: &Uniform, slab: u32) -> std::ops::Range<u32> {
    let of_slab = uniform.rows.div_ceil(uniform.slabs);
    let from = (slab * of_slab).min(uniform.rows);
    from..(from + of_slab).min(uniform.rows)
}

/// The differences of a slab's rows to the first row, in one column.
fn differences<'x>(uniform: &Uniform, slab: u32, column: u32, x: &'x [f32]) -> impl Iterator<Item = f64> + Clone + 'x {
    let columns = uniform.columns;
    let at = move |row: u32| f64::from(x[(row * columns + column) as usize]);
    rows_of(uniform, slab).map(move |row| at(row) - at(0))
}

/// The mean and the sum of squared deviations of some numbers: zeros where there are none.
fn moments(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let mean = numbers.clone().sum::<f64>() / numbers.clone().count().max(1) as f64;
    (mean, numbers.map(|number| (number - mean).powi(2)).sum())
}

/// The twin of the first stage.
pub(crate) fn batch_norm_statistics(uniform: &Uniform, x: &[f32], partials: &mut [f32]) {
    for (slab, column) in (0..uniform.slabs).flat_map(|slab| (0..uniform.columns).map(move |column| (slab, column))) {
        let (mean, squares) = moments(differences(uniform, slab, column, x));
        let at = 2 * (slab * uniform.columns + column) as usize;
        partials[at..at + 2].copy_from_slice(&[mean as f32, squares as f32]);
    }
}

/// The merged moments of a column: (mean, mean of squared deviations).
fn merge(uniform: &Uniform, column: u32, partials: &[f32]) -> (f64, f64) {
    let slabs = (0..uniform.slabs).map(|slab| {
        let at = 2 * (slab * uniform.columns + column) as usize;
        (rows_of(uniform, slab).len() as f64, f64::from(partials[at]), f64::from(partials[at + 1]))
    });
    let rows = f64::from(uniform.rows);
    let mean = slabs.clone().map(|(rows, mean, _)| rows * mean).sum::<f64>() / rows;
    let squares = slabs.map(|(rows, of_slab, squares)| squares + rows * (of_slab - mean).powi(2)).sum::<f64>();
    (mean, squares / rows)
}

/// The twin of the second stage.
pub(crate) fn batch_norm_combine(
    uniform: &Uniform,
    partials: &[f32],
    merged: &mut [f32],
    deviation: &mut [f32],
    variance: &mut [f32],
) {
    for column in 0..uniform.columns {
        let (mean, mean_square) = merge(uniform, column, partials);
        let column = column as usize;
        merged[column] = mean as f32;
        deviation[column] = (1.0 / (mean_square + f64::from(uniform.epsilon)).sqrt()) as f32;
        variance[column] = mean_square as f32;
    }
}

/// The twin of the third stage.
pub(crate) fn batch_norm_apply(
    uniform: &Uniform,
    is_rectified: bool,
    [x, offset, reciprocal, scale, shift]: [&[f32]; 5],
    y: &mut [f32],
) {
    let columns = uniform.columns as usize;
    for (index, y) in y.iter_mut().enumerate() {
        let column = index % columns;
        let deviation = f64::from(x[index]) - f64::from(x[column]) - f64::from(offset[column]);
        let normal = deviation * f64::from(reciprocal[column]);
        let value = (normal * f64::from(scale[column]) + f64::from(shift[column])) as f32;
        *y = if is_rectified && value <= 0.0 { 0.0 } else { value };
    }
}

fn statistics_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, partials] = operands else { unreachable!("the statistics have two operands") };
    batch_norm_statistics(&call.uniform(), x.f32(), partials.f32());
}

fn combine_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [partials, merged, deviation, variance] = operands else { unreachable!("the merge has four operands") };
    batch_norm_combine(&call.uniform(), partials.f32(), merged.f32(), deviation.f32(), variance.f32());
}

fn apply_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, scale, shift, y] = operands else { unreachable!("the last stage has six operands") };
    let inputs = [x.f32(), offset.f32(), reciprocal.f32(), scale.f32(), shift.f32()].map(|input| &*input);
    batch_norm_apply(&call.uniform(), is_rectified(call), inputs, y.f32());
}

/// One unit in the last place, which WGSL lets a sum, a difference or a product err by.
pub(crate) const UNIT: f64 = 2.0 * Tolerance::EPSILON;

/// Where numbers may be flushed to zero.
const FLUSHED: f64 = 2.0 * f32::MIN_POSITIVE as f64;

/// The mean of a slab errs by the roundings of its sum, of the differences and of the quotient. A deviation rounds twice and
/// shares that error with all others of its slab, so that their squares feel it by its square alone.
fn statistics_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let x = operands[0].f32();
    let mut bounds = Vec::with_capacity(call.lengths[1]);
    for (slab, column) in (0..uniform.slabs).flat_map(|slab| (0..uniform.columns).map(move |column| (slab, column))) {
        let numbers = differences(&uniform, slab, column, x);
        let rows = numbers.clone().count().max(1) as f64;
        let additions = sum_units(rows as usize);
        let (mean, squares) = moments(numbers.clone());
        let magnitude = numbers.clone().map(f64::abs).sum::<f64>() / rows;
        let error = UNIT * ((additions + 1.0) * magnitude + 3.0 * mean.abs()) + FLUSHED;
        let moved: f64 = numbers
            .map(|number| {
                let deviation = (number - mean).abs();
                let rounded = UNIT * (number.abs() + deviation) + FLUSHED;
                2.0 * deviation * rounded + (rounded + error).powi(2)
            })
            .sum();
        // An error of the mean that all deviations share: its product with their sum, which is not quite 0 after rounding.
        bounds.extend([error, moved + (additions + 2.0) * UNIT * squares + FLUSHED]);
    }
    Tolerance::PerElement(bounds)
}

fn combine_tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let partials = operands[0].f32();
    let additions = sum_units(uniform.slabs as usize);
    let rows = f64::from(uniform.rows);
    let bound = |column: u32| {
        let (mean, mean_square) = merge(&uniform, column, partials);
        let slabs = (0..uniform.slabs).map(|slab| {
            let at = 2 * (slab * uniform.columns + column) as usize;
            (rows_of(&uniform, slab).len() as f64, f64::from(partials[at]))
        });
        let magnitude = slabs.clone().map(|(rows, mean)| rows * mean.abs()).sum::<f64>() / rows;
        let offset = UNIT * ((additions + 1.0) * magnitude + 3.0 * mean.abs()) + FLUSHED;
        let moved = slabs
            .map(|(rows, of_slab)| {
                let difference = (of_slab - mean).abs();
                let rounded = UNIT * difference + FLUSHED;
                rows * (2.0 * difference * rounded + (rounded + offset).powi(2))
            })
            .sum::<f64>()
            / rows;
        let variance = moved + (additions + 6.0) * UNIT * mean_square + FLUSHED;
        let total = mean_square + f64::from(uniform.epsilon);
        match output {
            1 => offset,
            // The root of a sum that errs by `variance` and one unit, and its reciprocal: 8 units.
            2 => (1.0 / total.sqrt()) * (variance / total + 9.0 * UNIT),
            _ => variance,
        }
    };
    Tolerance::PerElement((0..uniform.columns).map(bound).collect())
}

/// The difference to the first row and to the mean round once each, the two products and the sum once more.
fn apply_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { columns, .. } = call.uniform();
    let [x, offset, reciprocal, scale, shift] = [0, 1, 2, 3, 4].map(|index| operands[index].f32());
    let columns = columns as usize;
    let bounds = x.iter().enumerate().map(|(index, &value)| {
        let column = index % columns;
        let [offset, reciprocal, scale, shift] =
            [offset, reciprocal, scale, shift].map(|operand| f64::from(operand[column]));
        let difference = f64::from(value) - f64::from(x[column]);
        let deviation = (difference - offset).abs();
        let moved = UNIT * (difference.abs() + deviation) + FLUSHED;
        let normal = deviation * reciprocal.abs();
        // A subnormal scale may count as 0.
        let lost = if scale.abs() < f64::from(f32::MIN_POSITIVE) { scale.abs() * normal } else { 0.0 };
        let factor = scale.abs() * reciprocal.abs();
        factor * moved + 3.0 * UNIT * scale.abs() * normal + 1.5 * UNIT * shift.abs() + lost
    });
    Tolerance::PerElement(bounds.collect())
}

/// Rows and columns: at times a short slab of many columns, past 65,535 workgroups.
pub(crate) fn shape(generator: &mut Generator) -> (usize, usize) {
    if generator.of_models() {
        return generator.pick(&[(100_352, 16), (6_272, 64), (98, 640)]);
    }
    if generator.huge() { (2, 4_200_000) } else { (1 + generator.length(300), generator.length(300)) }
}

fn statistics_case(generator: &mut Generator) -> Case {
    let (rows, columns) = shape(generator);
    let problem = Problem { rows, columns, epsilon: 1e-5, rectified: false };
    let x = generator.values(rows * columns, 1e15);
    Case::new(problem, statistics_call(&problem.uniform(&generator.target())), [x])
}

fn combine_case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let (slabs, columns) = if huge { (1, 4_200_000) } else { (generator.length(300), generator.length(300)) };
    // The last slabs may be short or empty.
    let rows = (slabs * generator.length(20)).saturating_sub(generator.length(slabs) - 1).max(2);
    let epsilon = generator.pick(&[1e-5, 1e-3]);
    let uniform = Uniform { rows: rows as u32, columns: columns as u32, slabs: slabs as u32, epsilon };
    let mut moments = generator.values(2 * slabs * columns, 1e12).f32().to_vec();
    moments.iter_mut().skip(1).step_by(2).for_each(|squares| *squares = squares.abs());
    Case::new(uniform, combine_call(&uniform), [Data::F32(moments)])
}

fn apply_case(generator: &mut Generator) -> Case {
    let (rows, columns) = shape(generator);
    let problem = Problem { rows, columns, epsilon: 1e-5, rectified: generator.chance(0.5) };
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let [scale, shift] = [(); 2].map(|()| generator.values(columns, 100.0));
    Case::new(problem, problem.apply_call(&generator.target()), [x, offset, reciprocal, scale, shift])
}

/// Random rows with the offsets and reciprocal deviations of their columns.
pub(crate) fn normalised(generator: &mut Generator, rows: usize, columns: usize) -> (Data, Data, Data) {
    let x = generator.values(rows * columns, 1e6);
    let uniform = Uniform { rows: rows as u32, columns: columns as u32, slabs: 1, epsilon: 1e-5 };
    let mut partials = vec![0.0; 2 * columns];
    batch_norm_statistics(&uniform, x.f32(), &mut partials);
    let [mut offset, mut reciprocal, mut variance] = [(); 3].map(|()| vec![0.0; columns]);
    batch_norm_combine(&uniform, &partials, &mut offset, &mut reciprocal, &mut variance);
    (x, Data::F32(offset), Data::F32(reciprocal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_rows_have_the_moments_of_pytorch() {
        // 1, 2, 3, 4: the mean is 2.5, the biased variance 1.25.
        let uniform = Uniform { rows: 4, columns: 1, slabs: 3, epsilon: 1e-5 };
        let x = [1.0, 2.0, 3.0, 4.0];
        let mut partials = [f32::NAN; 6];
        batch_norm_statistics(&uniform, &x, &mut partials);
        assert_eq!(partials, [0.5, 0.5, 2.5, 0.5, 0.0, 0.0]);
        let (mut offset, mut reciprocal, mut variance) = ([f32::NAN], [f32::NAN], [f32::NAN]);
        batch_norm_combine(&uniform, &partials, &mut offset, &mut reciprocal, &mut variance);
        assert_eq!((offset, variance), ([1.5], [1.25]));
        let mut y = [f32::NAN; 4];
        batch_norm_apply(&uniform, false, [&x, &offset, &reciprocal, &[2.0], &[1.0]], &mut y);
        assert!((y.iter().sum::<f32>() - 4.0).abs() < 1e-5 && (y[3] - y[0] - 12.0 / 5f32.sqrt()).abs() < 1e-4);
    }

    #[test]
    fn one_row_has_no_variance_and_is_refused() {
        let refused =
            Problem { rows: 1, columns: 4, epsilon: 1e-5, rectified: false }.sequence(&Target::default()).unwrap_err();
        assert!(refused.to_string().starts_with("batch_norm: rows must be at least 2"));
    }
}
