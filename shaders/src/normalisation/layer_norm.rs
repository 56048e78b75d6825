//! Layer normalisation over the last axis (Ba, Kiros and Hinton 2016):
//! `y[r, c] = (x[r, c] - mean[r]) * reciprocal[r] * scale[c] + shift[c]` with
//! `reciprocal[r] = 1 / sqrt(sum_c (x[r, c] - mean[r])^2 / columns + epsilon)`. The reciprocal deviation and
//! `offset[r] = mean[r] - x[r, 0]` are results too: [`crate::normalisation::layer_norm_backward`] and
//! [`crate::normalisation::layer_norm_parameters`] take them. As an offset the mean keeps all digits against the
//! deviation, however far from zero the row lies. Elements may be as large as 1e38.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "../library/rows.wgsl",
        "../library/join_lanes.wgsl",
        "../library/sum_lanes.wgsl",
        "../library/not_a_number.wgsl",
        "layer_norm.wgsl"
    ),
    passes,
);

/// Three loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { columns, .. } = call.uniform();
    row_layout::passes(call, columns, 3, 3)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&LAYER_NORM, &LAYER_NORM_VEC4];

/// Any number of columns.
pub static LAYER_NORM: Kernel = kernel("layer_norm.layer_norm", |generator| case(generator, 1));

/// A multiple of four columns.
pub static LAYER_NORM_VEC4: Kernel = kernel("layer_norm.layer_norm_vec4", |generator| case(generator, 4));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            const {
                &[
                    Binding::read("x", "(rows, columns)"),
                    Binding::read("scale", "(columns)"),
                    Binding::read("shift", "(columns)"),
                    Binding::write("y", "(rows, columns)"),
                    Binding::write("offset", "(rows)"),
                    Binding::write("reciprocal", "(rows)"),
                ]
            },
            twin,
            tolerance,
            case,
        )
        .with_flops(|call| 8.0 * call.lengths[0] as f64)
}

/// The uniform block of `layer_norm.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
    pub epsilon: f32,
}

/// Layer normalisation of each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Rows that are normalised, each by itself.
    pub rows: usize,
    /// Columns of a row.
    pub columns: usize,
    /// Added to the variance: a positive number, customarily 1e-5.
    pub epsilon: f32,
}

impl Problem {
    /// Returns the dispatch with operands `x`, `scale`, `shift`, `y`, `offset`, `reciprocal`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("layer_norm")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .above_zero("epsilon", self.epsilon)?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, columns, epsilon } = *self;
        let uniform = Uniform { rows: rows as u32, columns: columns as u32, epsilon };
        let (kernel, loads) =
            if columns.is_multiple_of(4) { (&LAYER_NORM_VEC4, columns / 4) } else { (&LAYER_NORM, columns) };
        let lengths = [rows * columns, columns, columns, rows * columns, rows, rows];
        Sharing::choose(rows, loads, target).call(kernel, &uniform, rows, lengths)
    }
}

/// The twin.
pub(crate) fn layer_norm(
    uniform: &Uniform,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    y: &mut [f32],
    offset: &mut [f32],
    reciprocal: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = x.chunks(columns).zip(y.chunks_mut(columns)).zip(offset).zip(reciprocal);
    for (((x, y), offset), reciprocal) in rows {
        let (centre, factor) = moments(x, uniform.epsilon);
        *offset = (centre - f64::from(x[0])) as f32;
        for (((x, scale), shift), y) in x.iter().zip(scale).zip(shift).zip(y) {
            *y = ((f64::from(*x) - centre) * factor * f64::from(*scale) + f64::from(*shift)) as f32;
        }
        *reciprocal = factor as f32;
    }
}

/// The mean of a row and the reciprocal of its deviation.
fn moments(row: &[f32], epsilon: f32) -> (f64, f64) {
    let columns = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / columns;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / columns;
    (mean, 1.0 / (variance + f64::from(epsilon)).sqrt())
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, scale, shift, y, offset, reciprocal] = operands else { unreachable!("layer norm has six operands") };
    layer_norm(&call.uniform(), x.f32(), scale.f32(), shift.f32(), y.f32(), offset.f32(), reciprocal.f32());
}

/// The bound on the errors of the moments of a row, absolute.
struct Errors {
    mean: f64,
    deviation: f64,
    /// Of the offset.
    offset: f64,
    /// Of the reciprocal deviation, relative.
    reciprocal: f64,
}

/// One unit in the last place, which WGSL lets a sum, a difference or a product err by.
const UNIT: f64 = 2.0 * Tolerance::EPSILON;

impl Errors {
    /// Sums pass a term through `additions` roundings at most. A difference to the first element rounds once; the offset
    /// is the mean of these. A deviation rounds twice and has the offset's error, which all deviations of a row share: the
    /// variance feels it by the square. The quotients by the number of columns err by 2.5 units, the root and its
    /// reciprocal by 8.
    fn of(row: &[f32], epsilon: f32, additions: f64) -> Self {
        let (mean, factor) = moments(row, epsilon);
        let columns = row.len() as f64;
        let differences = || row.iter().map(|&x| (f64::from(x) - f64::from(row[0])).abs());
        let magnitude = differences().sum::<f64>() / columns;
        let flushed = 2.0 * f64::from(f32::MIN_POSITIVE);
        let offset = UNIT * ((additions + 1.0) * magnitude + 2.5 * (mean - f64::from(row[0])).abs()) + flushed;
        let variance = (factor.powi(-2) - f64::from(epsilon)).max(0.0);
        let deviation = variance.sqrt();
        let square_magnitude = differences().map(|difference| difference.powi(2)).sum::<f64>() / columns;
        let rounded = UNIT * (square_magnitude.sqrt() + deviation) + flushed;
        let moved = 2.0 * deviation * rounded + (offset + rounded).powi(2);
        let moved = (moved + (additions + 4.5) * UNIT * variance) * factor.powi(2);
        Self { mean, deviation: factor, offset, reciprocal: 0.5 * moved + 8.0 * UNIT }
    }

    /// Of the normalised element `x` of the row that begins with `first`: (its value, its error).
    fn normalised(&self, x: f32, first: f32) -> (f64, f64) {
        let (difference, deviation) = (f64::from(x) - f64::from(first), f64::from(x) - self.mean);
        let flushed = 2.0 * f64::from(f32::MIN_POSITIVE);
        let moved = UNIT * (difference.abs() + deviation.abs()) + self.offset + flushed;
        let normal = deviation * self.deviation;
        (normal, moved * self.deviation + normal.abs() * (self.reciprocal + UNIT))
    }
}

/// An element errs as [`Errors`] tells, times the scale; the product and the sum with the shift round once each, and the
/// twin by half a unit.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let Uniform { columns, epsilon, .. } = call.uniform();
    let [x, scale, shift] = [0, 1, 2].map(|index| operands[index].f32());
    let additions = sum_units(columns as usize);
    let mut bounds = Vec::with_capacity(call.lengths[output]);
    for row in x.chunks(columns as usize) {
        let errors = Errors::of(row, epsilon, additions);
        let offset = (errors.mean - f64::from(row[0])).abs();
        match output {
            3 => bounds.extend(row.iter().zip(scale).zip(shift).map(|((&x, &scale), &shift)| {
                let (normal, error) = errors.normalised(x, row[0]);
                let (scale, shift) = (f64::from(scale).abs(), f64::from(shift).abs());
                // A subnormal scale may count as 0.
                let lost = if scale < f64::from(f32::MIN_POSITIVE) { scale * normal.abs() } else { 0.0 };
                scale * (error + 2.5 * UNIT * normal.abs()) + 1.5 * UNIT * shift + lost
            })),
            4 => bounds.push(errors.offset + 0.5 * UNIT * offset),
            _ => bounds.push(errors.deviation * (errors.reciprocal + UNIT)),
        }
    }
    Tolerance::PerElement(bounds)
}

fn case(generator: &mut Generator, width: usize) -> Case {
    let (rows, columns) = row_layout::shape_of_width(generator, width);
    let problem = Problem { rows, columns, epsilon: generator.pick(&[1e-5, 1e-3]) };
    let mut x = generator.values_with_specials(rows * columns, 1.6e38);
    // One element that dwarfs its row.
    if let (Data::F32(x), true) = (&mut x, generator.chance(0.1)) {
        let at = generator.indices(1, x.len() as u32).u32()[0];
        x[at as usize] = 1e30;
    }
    let scale = generator.values(columns, 100.0);
    let shift = generator.values(columns, 100.0);
    Case::new(problem, problem.call(&generator.target()), [x, scale, shift])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(x: &[f32]) -> (Vec<f32>, f32, f32) {
        let columns = x.len();
        let (mut y, mut offset, mut reciprocal) = (vec![f32::NAN; columns], [f32::NAN], [f32::NAN]);
        let uniform = Uniform { rows: 1, columns: columns as u32, epsilon: 1e-6 };
        layer_norm(&uniform, x, &vec![1.0; columns], &vec![0.0; columns], &mut y, &mut offset, &mut reciprocal);
        (y, x[0] + offset[0], reciprocal[0])
    }

    #[test]
    fn two_values_become_minus_one_and_one_wherever_they_lie() {
        let (y, mean, reciprocal) = run(&[99.0, 101.0]);
        assert!((y[0] + 1.0).abs() < 1e-6 && (y[1] - 1.0).abs() < 1e-6);
        assert!(mean == 100.0 && (reciprocal - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_row_of_equal_values_gives_the_shift() {
        let (y, mean, reciprocal) = run(&[7.0; 5]);
        assert_eq!((y, mean), (vec![0.0; 5], 7.0));
        assert!((reciprocal - 1000.0).abs() < 1e-3);
    }
}
