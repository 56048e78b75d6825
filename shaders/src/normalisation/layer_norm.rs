//! Layer normalisation over the last axis (Ba, Kiros and Hinton 2016):
//! `y[r, c] = (x[r, c] - mean[r]) * reciprocal[r] * scale[c] + shift[c]` with
//! `reciprocal[r] = 1 / sqrt(sum_c (x[r, c] - mean[r])^2 / columns + epsilon)`. Mean and reciprocal deviation are
//! results too: [`crate::normalisation::layer_norm_backward`] and [`crate::normalisation::layer_norm_parameters`] take them. Deviations up to 1e17
//! keep their squares finite.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing};
use crate::{Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(concat!(
    include_str!("../library/rows.wgsl"),
    include_str!("../library/join_lanes.wgsl"),
    include_str!("layer_norm.wgsl")
));

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&LAYER_NORM, &LAYER_NORM_VEC4];

/// Any number of columns.
pub static LAYER_NORM: Kernel = kernel("layer_norm.layer_norm", scalar_case);

/// A multiple of four columns.
pub static LAYER_NORM_VEC4: Kernel = kernel("layer_norm.layer_norm_vec4", vec4_case);

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
                    Binding::write("mean", "(rows)"),
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
    /// The call with operands `x`, `scale`, `shift`, `y`, `mean`, `reciprocal`.
    pub fn call(&self, target: &Target) -> Call {
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
    mean: &mut [f32],
    reciprocal: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = x.chunks(columns).zip(y.chunks_mut(columns)).zip(mean).zip(reciprocal);
    for (((x, y), mean), reciprocal) in rows {
        let (centre, factor) = moments(x, uniform.epsilon);
        for (((x, scale), shift), y) in x.iter().zip(scale).zip(shift).zip(y) {
            *y = ((f64::from(*x) - centre) * factor * f64::from(*scale) + f64::from(*shift)) as f32;
        }
        *mean = centre as f32;
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
    let [x, scale, shift, y, mean, reciprocal] = operands else { unreachable!("layer norm has six operands") };
    layer_norm(&call.uniform(), x.f32(), scale.f32(), shift.f32(), y.f32(), mean.f32(), reciprocal.f32());
}

/// The running mean is rounded at each of `columns` steps, in units of the row's largest magnitude, at random (equal
/// elements leave it exact): an error of the root of their number. In units of the deviation, which is how it enters
/// the variance and the output, it grows by `magnitude * reciprocal`.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let Uniform { columns, epsilon, .. } = call.uniform();
    let units = (8.0 + 2.0 * f64::from(columns).sqrt()) * Tolerance::EPSILON;
    let largest = |values: &[f32]| f64::from(values.iter().fold(0.0f32, |largest, x| largest.max(x.abs())));
    // Of the rows: the largest magnitude, error of the reciprocal deviation, and error of a normalised element.
    let mut worst = [0.0f64; 3];
    for row in operands[0].f32().chunks(columns as usize) {
        let (mean, reciprocal) = moments(row, epsilon);
        let magnitude = largest(row);
        let offset = magnitude * reciprocal;
        let farthest = row.iter().map(|&x| (f64::from(x) - mean).abs() * reciprocal).fold(0.0, f64::max);
        worst[0] = worst[0].max(magnitude);
        worst[1] = worst[1].max(1.0 + offset);
        worst[2] = worst[2].max(offset + farthest * (1.0 + offset));
    }
    match output {
        3 => {
            let rounded = 4.0 * Tolerance::EPSILON * largest(operands[2].f32());
            Tolerance::Within { relative: 0.0, absolute: units * worst[2] * largest(operands[1].f32()) + rounded }
        }
        4 => Tolerance::Within { relative: 0.0, absolute: units * worst[0] },
        _ => Tolerance::Within { relative: units * worst[1], absolute: 0.0 },
    }
}

fn scalar_case(generator: &mut Generator) -> Case {
    let (rows, columns) = row_layout::shape(generator);
    case(generator, rows, if columns.is_multiple_of(4) { columns + 1 } else { columns })
}

fn vec4_case(generator: &mut Generator) -> Case {
    let (rows, columns) = row_layout::shape(generator);
    case(generator, rows, columns.next_multiple_of(4))
}

fn case(generator: &mut Generator, rows: usize, columns: usize) -> Case {
    let problem = Problem { rows, columns, epsilon: generator.pick(&[1e-5, 1e-3]) };
    let x = generator.values(rows * columns, 1e15);
    let scale = generator.values(columns, 100.0);
    let shift = generator.values(columns, 100.0);
    Case::new(problem, problem.call(&row_layout::target(generator)), [x, scale, shift])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(x: &[f32]) -> (Vec<f32>, f32, f32) {
        let columns = x.len();
        let (mut y, mut mean, mut reciprocal) = (vec![f32::NAN; columns], [f32::NAN], [f32::NAN]);
        let uniform = Uniform { rows: 1, columns: columns as u32, epsilon: 1e-6 };
        layer_norm(&uniform, x, &vec![1.0; columns], &vec![0.0; columns], &mut y, &mut mean, &mut reciprocal);
        (y, mean[0], reciprocal[0])
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
