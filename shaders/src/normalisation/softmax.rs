//! Softmax and log-softmax along the last axis:
//! `y[r, c] = exp(x[r, c] - m[r]) / s[r]` and `y[r, c] = x[r, c] - m[r] - log s[r]`, with `m[r] = max_c x[r, c]` and
//! `s[r] = sum_c exp(x[r, c] - m[r])`. The gradients are in [`crate::normalisation::softmax_backward`].
//!
//! As in PyTorch, minus infinity has probability 0, and a row of nothing else, or with a NaN or infinity, is NaN.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/rows.wgsl", "../library/join_lanes.wgsl", "../library/not_a_number.wgsl", "softmax.wgsl"),
    passes,
);

/// Two loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { columns, .. } = call.uniform();
    row_layout::passes(call, columns, 2, 1)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SOFTMAX, &SOFTMAX_VEC4];

/// Any number of columns.
pub static SOFTMAX: Kernel = kernel("softmax.softmax", |generator| case(generator, 1));

/// A multiple of four columns.
pub static SOFTMAX_VEC4: Kernel = kernel("softmax.softmax_vec4", |generator| case(generator, 4));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            const { &[Binding::read("x", "(rows, columns)"), Binding::write("y", "(rows, columns)")] },
            twin,
            tolerance,
            case,
        )
        .with_flops(|call| 4.0 * call.lengths[0] as f64)
}

/// The uniform block of `softmax.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
}

/// A softmax, or a log-softmax, over each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows that are normalised, each by itself.
    pub rows: usize,
    /// Columns of a row.
    pub columns: usize,
    /// The logarithm of the softmax, computed without taking the logarithm of a vanished number.
    pub log: bool,
}

impl Problem {
    /// Returns the dispatch with operands `x`, `y`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("softmax").tensor(&[("rows", self.rows), ("columns", self.columns)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, columns, log } = *self;
        let uniform = Uniform { rows: rows as u32, columns: columns as u32 };
        let (kernel, loads) =
            if columns.is_multiple_of(4) { (&SOFTMAX_VEC4, columns / 4) } else { (&SOFTMAX, columns) };
        Sharing::choose(rows, loads, target)
            .call(kernel, &uniform, rows, [rows * columns; 2])
            .with_constant("LOG", u8::from(log))
    }
}

/// The twin of a softmax.
pub(crate) fn softmax(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    let columns = uniform.columns as usize;
    for (x, y) in x.chunks(columns).zip(y.chunks_mut(columns)) {
        let (largest, total) = normaliser(x);
        for (x, y) in x.iter().zip(y) {
            *y = ((f64::from(*x) - largest).exp() / total) as f32;
        }
    }
}

/// The twin of a log-softmax.
pub(crate) fn log_softmax(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    let columns = uniform.columns as usize;
    for (x, y) in x.chunks(columns).zip(y.chunks_mut(columns)) {
        let (largest, total) = normaliser(x);
        for (x, y) in x.iter().zip(y) {
            *y = (f64::from(*x) - largest - total.ln()) as f32;
        }
    }
}

/// The largest logit of a row and the sum of `exp(x - largest)` over it.
pub(crate) fn normaliser(row: &[f32]) -> (f64, f64) {
    let largest = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
    (largest, row.iter().map(|&x| (f64::from(x) - largest).exp()).sum())
}

fn is_log(call: &Call) -> bool {
    call.constant("LOG") == Some(1.0)
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { unreachable!("softmax has two operands") };
    let computed = if is_log(call) { log_softmax } else { softmax };
    computed(&call.uniform(), x.f32(), y.f32());
}

/// Units of [`Tolerance::EPSILON`] by which the sum of a row's exponentials may err, relatively.
///
/// WGSL lets `exp(t)` err by 3 + 2|t| units in the last place (of two epsilon each), and the rounding of `t = x - m`
/// adds |t| epsilon; weighted by the softmax itself, |t| averages below the logarithm of the number of columns.
pub(crate) fn normaliser_units(columns: usize) -> f64 {
    8.0 + 5.0 * (columns as f64).ln() + sum_units(columns)
}

/// Softmax: an exponential of a large negative `t` errs by 5 |t| epsilon of a result below exp(t), which is at most
/// 5/e epsilon in absolute terms. Log-softmax: `x - m` and `log s` have opposite signs before the subtraction, so
/// nothing cancels; WGSL lets `log` err by 2^-21 (8 epsilon) near 1 and by 3 units in the last place elsewhere.
fn tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let Uniform { columns, .. } = call.uniform();
    let units = normaliser_units(columns as usize);
    if is_log(call) {
        Tolerance::Within { relative: 8.0 * Tolerance::EPSILON, absolute: (8.0 + units) * Tolerance::EPSILON }
    } else {
        Tolerance::Within { relative: (16.0 + units) * Tolerance::EPSILON, absolute: 2.0 * Tolerance::EPSILON }
    }
}

fn case(generator: &mut Generator, width: usize) -> Case {
    let (rows, columns) = row_layout::shape_of_width(generator, width);
    let problem = Problem { rows, columns, log: generator.chance(0.5) };
    let x = generator.values_with_specials(rows * columns, 1e30);
    Case::new(problem, problem.call(&generator.target()), [x])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_share_the_mass_equally_however_large() {
        let mut y = [f32::NAN; 4];
        softmax(&Uniform { rows: 1, columns: 4 }, &[1e30; 4], &mut y);
        assert_eq!(y, [0.25; 4]);
    }

    #[test]
    fn a_log_softmax_stays_finite_where_the_softmax_vanishes() {
        let mut y = [f32::NAN; 2];
        log_softmax(&Uniform { rows: 1, columns: 2 }, &[0.0, -1000.0], &mut y);
        assert_eq!(y, [0.0, -1000.0]);
    }
}
