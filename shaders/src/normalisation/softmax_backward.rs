//! Gradients of [`crate::normalisation::softmax`] from its output `y` and the output's gradient `dy`:
//! `dx[r, c] = factor * y[r, c] * (dy[r, c] - sum_c dy[r, c] * y[r, c])` for the softmax and
//! `dx[r, c] = factor * (dy[r, c] - exp(y[r, c]) * sum_c dy[r, c])` for the log-softmax.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance,
    normalisation::softmax,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/rows.wgsl", "../library/sum_lanes.wgsl", "softmax_backward.wgsl"), passes);

/// Two loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { columns, .. } = call.uniform();
    row_layout::passes(call, columns, 2, 1)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SOFTMAX_BACKWARD, &SOFTMAX_BACKWARD_VEC4];

/// Any number of columns.
pub static SOFTMAX_BACKWARD: Kernel = kernel("softmax_backward.softmax_backward", |generator| case(generator, 1));

/// A multiple of four columns.
pub static SOFTMAX_BACKWARD_VEC4: Kernel =
    kernel("softmax_backward.softmax_backward_vec4", |generator| case(generator, 4));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            const {
                &[
                    Binding::read("y", "(rows, columns)"),
                    Binding::read("dy", "(rows, columns)"),
                    Binding::write("dx", "(rows, columns)"),
                ]
            },
            twin,
            tolerance,
            case,
        )
        .with_flops(|call| 4.0 * call.lengths[0] as f64)
}

/// The uniform block of `softmax_backward.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
    pub factor: f32,
}

/// The gradient of a softmax, or of a log-softmax, over each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Rows that are normalised, each by itself.
    pub rows: usize,
    /// Columns of a row.
    pub columns: usize,
    /// `y` is the log-softmax.
    pub log: bool,
    /// A factor of the result: 1, or that of the scores where the softmax was taken of scaled scores.
    pub factor: f32,
}

impl Problem {
    /// Returns the dispatch with operands `y`, `dy`, `dx`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("softmax_backward")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .finite("factor", self.factor)?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, columns, log, factor } = *self;
        let uniform = Uniform { rows: rows as u32, columns: columns as u32, factor };
        let (kernel, loads) = if columns.is_multiple_of(4) {
            (&SOFTMAX_BACKWARD_VEC4, columns / 4)
        } else {
            (&SOFTMAX_BACKWARD, columns)
        };
        Sharing::choose(rows, loads, target)
            .call(kernel, &uniform, rows, [rows * columns; 3])
            .with_constant("LOG", u8::from(log))
    }
}

/// The twin of the softmax's gradient.
pub(crate) fn softmax_backward(uniform: &Uniform, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let columns = uniform.columns as usize;
    for ((y, dy), dx) in y.chunks(columns).zip(dy.chunks(columns)).zip(dx.chunks_mut(columns)) {
        let total: f64 = y.iter().zip(dy).map(|(&y, &dy)| f64::from(dy) * f64::from(y)).sum();
        for ((y, dy), dx) in y.iter().zip(dy).zip(dx) {
            *dx = (f64::from(uniform.factor) * f64::from(*y) * (f64::from(*dy) - total)) as f32;
        }
    }
}

/// The twin of the log-softmax's gradient.
pub(crate) fn log_softmax_backward(uniform: &Uniform, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let columns = uniform.columns as usize;
    for ((y, dy), dx) in y.chunks(columns).zip(dy.chunks(columns)).zip(dx.chunks_mut(columns)) {
        let total: f64 = dy.iter().map(|&dy| f64::from(dy)).sum();
        for ((y, dy), dx) in y.iter().zip(dy).zip(dx) {
            *dx = (f64::from(uniform.factor) * (f64::from(*dy) - f64::from(*y).exp() * total)) as f32;
        }
    }
}

fn is_log(call: &Call) -> bool {
    call.constant("LOG") == Some(1.0)
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [y, dy, dx] = operands else { unreachable!("a softmax gradient has three operands") };
    let computed = if is_log(call) { log_softmax_backward } else { softmax_backward };
    computed(&call.uniform(), y.f32(), dy.f32(), dx.f32());
}

/// `dy - total` cancels, so the bound is absolute and set by the row of the largest terms: the sum errs by
/// [`sum_units`] of the sum of its terms' magnitudes, the difference and products by a few units more, `exp(y)` of a
/// `y <= 0` by at most 6 epsilon.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { columns, factor, .. } = call.uniform();
    let (columns, units) = (columns as usize, sum_units(columns as usize));
    let row = |(y, dy): (&[f32], &[f32])| {
        let weight = |y: f32| if is_log(call) { f64::from(y).exp() } else { f64::from(y).abs() };
        let pairs = || y.iter().zip(dy).map(|(&y, &dy)| (weight(y), f64::from(dy).abs()));
        let heaviest = pairs().map(|(weight, _)| weight).fold(0.0, f64::max);
        if is_log(call) {
            let total: f64 = pairs().map(|(_, dy)| dy).sum();
            4.0 * pairs().map(|(_, dy)| dy).fold(0.0, f64::max) + heaviest * (8.0 + units) * total
        } else {
            let total: f64 = pairs().map(|(weight, dy)| weight * dy).sum();
            4.0 * pairs().map(|(weight, dy)| weight * dy).fold(0.0, f64::max) + heaviest * (8.0 + units) * total
        }
    };
    let rows = || operands[0].f32().chunks(columns).zip(operands[1].f32().chunks(columns));
    let worst = rows().map(row).fold(0.0, f64::max);
    // A weight, a gradient and their product may be flushed, in the total and after it.
    let flushed =
        |(_, dy): (&[f32], &[f32])| 2.0 * columns as f64 + 2.0 * dy.iter().map(|dy| f64::from(dy.abs())).sum::<f64>();
    let lost = f64::from(f32::MIN_POSITIVE) * rows().map(flushed).fold(0.0, f64::max);
    Tolerance::Within { relative: 0.0, absolute: f64::from(factor.abs()) * (worst * Tolerance::EPSILON + lost) }
}

fn case(generator: &mut Generator, width: usize) -> Case {
    let (rows, columns) = row_layout::shape_of_width(generator, width);
    let factor = generator.pick(&[1.0, 0.125]);
    let problem = Problem { rows, columns, log: generator.chance(0.5), factor };
    // No NaN: some drivers' exp(NaN) is an infinity.
    let x = generator.values(rows * columns, 100.0);
    let dy = generator.values_with_specials(rows * columns, 1e20);
    let mut y = vec![0.0; rows * columns];
    let forward = if problem.log { softmax::log_softmax } else { softmax::softmax };
    forward(&softmax::Uniform { rows: rows as u32, columns: columns as u32 }, x.f32(), &mut y);
    // A driver may take a probability below 2^-126 for 0, times the factor or not, and 0 times an infinity is no number.
    if dy.f32().iter().any(|dy| dy.is_infinite()) {
        let raised = |y: f32| if problem.log { y.max(-80.0) } else { y.max(1e-36) };
        y.iter_mut().for_each(|y| *y = raised(*y));
    }
    Case::new(problem, problem.call(&generator.target()), [Data::F32(y), dy])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_equal_in_all_columns_leaves_a_softmax_unmoved() {
        let mut dx = [f32::NAN; 4];
        softmax_backward(&Uniform { rows: 1, columns: 4, factor: 1.0 }, &[0.125, 0.5, 0.25, 0.125], &[3.0; 4], &mut dx);
        assert_eq!(dx, [0.0; 4]);
    }

    #[test]
    fn the_gradient_of_one_log_probability_is_one_hot_minus_the_softmax() {
        let y = [0.25f32.ln(), 0.75f32.ln()];
        let mut dx = [f32::NAN; 2];
        log_softmax_backward(&Uniform { rows: 1, columns: 2, factor: 1.0 }, &y, &[1.0, 0.0], &mut dx);
        assert!((dx[0] - 0.75).abs() < 1e-6 && (dx[1] + 0.75).abs() < 1e-6);
    }
}
