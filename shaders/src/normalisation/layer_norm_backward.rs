//! Gradient of [`crate::normalisation::layer_norm`] for its input: with `n = (x - mean) * reciprocal`,
//! where `mean[r] = x[r, 0] + offset[r]`, and `g = dy * scale`,
//! `dx[r, c] = reciprocal[r] * (g[r, c] - mean_c g[r, c] - n[r, c] * mean_c (g[r, c] * n[r, c]))`.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance,
    normalisation::layer_norm,
};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/rows.wgsl", "../library/sum_lanes.wgsl", "layer_norm_backward.wgsl"),
    passes,
);

/// Two loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { columns, .. } = call.uniform();
    row_layout::passes(call, columns, 2, 2)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&LAYER_NORM_BACKWARD, &LAYER_NORM_BACKWARD_VEC4];

/// Any number of columns.
pub static LAYER_NORM_BACKWARD: Kernel =
    kernel("layer_norm_backward.layer_norm_backward", |generator| case(generator, 1));

/// A multiple of four columns.
pub static LAYER_NORM_BACKWARD_VEC4: Kernel =
    kernel("layer_norm_backward.layer_norm_backward_vec4", |generator| case(generator, 4));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            const {
                &[
                    Binding::read("x", "(rows, columns)"),
                    Binding::read("scale", "(columns)"),
                    Binding::read("offset", "(rows)"),
                    Binding::read("reciprocal", "(rows)"),
                    Binding::read("dy", "(rows, columns)"),
                    Binding::write("dx", "(rows, columns)"),
                ]
            },
            twin,
            tolerance,
            case,
        )
        .with_flops(|call| 12.0 * call.lengths[0] as f64)
}

/// The uniform block of `layer_norm_backward.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
}

/// The gradient of each of `rows` normalised rows for its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows that are normalised, each by itself.
    pub rows: usize,
    /// Columns of a row.
    pub columns: usize,
}

impl Problem {
    /// Returns the dispatch with operands `x`, `scale`, `offset`, `reciprocal`, `dy`, `dx`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("layer_norm_backward")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, columns } = *self;
        let uniform = Uniform { rows: rows as u32, columns: columns as u32 };
        let (kernel, loads) = if columns.is_multiple_of(4) {
            (&LAYER_NORM_BACKWARD_VEC4, columns / 4)
        } else {
            (&LAYER_NORM_BACKWARD, columns)
        };
        let elements = rows * columns;
        let lengths = [elements, columns, rows, rows, elements, elements];
        Sharing::choose(rows, loads, target).call(kernel, &uniform, rows, lengths)
    }
}

/// The twin.
pub(crate) fn layer_norm_backward(
    uniform: &Uniform,
    x: &[f32],
    scale: &[f32],
    offset: &[f32],
    reciprocal: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let columns = uniform.columns as usize;
    for (row, dx) in dx.chunks_mut(columns).enumerate() {
        let factor = f64::from(reciprocal[row]);
        let mean = f64::from(x[row * columns]) + f64::from(offset[row]);
        let n = |c| (f64::from(x[row * columns + c]) - mean) * factor;
        let g = |c| f64::from(dy[row * columns + c]) * f64::from(scale[c]);
        let g_mean = (0..columns).map(g).sum::<f64>() / columns as f64;
        let gn_mean = (0..columns).map(|c| g(c) * n(c)).sum::<f64>() / columns as f64;
        for (c, dx) in dx.iter_mut().enumerate() {
            *dx = (factor * (g(c) - g_mean - n(c) * gn_mean)) as f32;
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, scale, offset, reciprocal, dy, dx] = operands else { unreachable!("this gradient has six operands") };
    let uniform = call.uniform();
    layer_norm_backward(&uniform, x.f32(), scale.f32(), offset.f32(), reciprocal.f32(), dy.f32(), dx.f32());
}

/// The three terms cancel, so the bound is absolute and set by the row of the largest terms; each of the two means
/// errs by [`sum_units`] of the mean of its terms' magnitudes. A normalised element `n` errs by the roundings of the
/// difference to the row's first element, too, which may be larger than its deviation. Subnormal factors and products may be flushed
/// before the reciprocal deviation, up to 316, scales them up.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { columns, .. } = call.uniform();
    let columns = columns as usize;
    let [x, scale, offset, reciprocal, dy] = [0, 1, 2, 3, 4].map(|index| operands[index].f32());
    let units = 8.0 + sum_units(columns);
    let largest = |values: &[f32]| f64::from(values.iter().fold(0.0f32, |largest, x| largest.max(x.abs())));
    let (largest_scale, mut worst, mut lost) = (largest(scale), 0.0f64, 0.0f64);
    for (row, (&offset, &factor)) in offset.iter().zip(reciprocal).enumerate() {
        let (mut g_largest, mut n_largest, mut g_mean, mut gn_mean) = (0.0f64, 0.0f64, 0.0, 0.0);
        for c in 0..columns {
            let difference = f64::from(x[row * columns + c]) - f64::from(x[row * columns]);
            let n = difference.abs().max((difference - f64::from(offset)).abs()) * f64::from(factor);
            let g = (f64::from(dy[row * columns + c]) * f64::from(scale[c])).abs();
            g_largest = g_largest.max(g);
            n_largest = n_largest.max(n);
            g_mean += g / columns as f64;
            gn_mean += g * n / columns as f64;
        }
        worst = worst.max(f64::from(factor) * (4.0 * g_largest + units * (g_mean + n_largest * gn_mean)));
        // In g, in its mean, in that of g n, and in the products and sums of the three.
        let g_lost = 1.0 + largest_scale + largest(&dy[row * columns..][..columns]);
        lost = lost.max(f64::from(factor) * g_lost * (5.0 + n_largest + n_largest.powi(2)));
    }
    let absolute = worst * Tolerance::EPSILON + lost * f64::from(f32::MIN_POSITIVE);
    Tolerance::Within { relative: 4.0 * Tolerance::EPSILON, absolute }
}

fn case(generator: &mut Generator, width: usize) -> Case {
    let (rows, columns) = row_layout::shape_of_width(generator, width);
    let problem = Problem { rows, columns };
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let scale = generator.values(columns, 100.0);
    let dy = generator.values(rows * columns, 1e15);
    Case::new(problem, problem.call(&generator.target()), [x, scale, offset, reciprocal, dy])
}

/// Draws an input of a layer norm, with the offsets of its means and its reciprocal deviations.
pub(crate) fn normalised(generator: &mut Generator, rows: usize, columns: usize) -> (Data, Data, Data) {
    let x = generator.values(rows * columns, 1e6);
    let (mut y, mut offset, mut reciprocal) = (vec![0.0; rows * columns], vec![0.0; rows], vec![0.0; rows]);
    let uniform = layer_norm::Uniform { rows: rows as u32, columns: columns as u32, epsilon: 1e-5 };
    let ones = vec![1.0; columns];
    layer_norm::layer_norm(&uniform, x.f32(), &ones, &ones, &mut y, &mut offset, &mut reciprocal);
    (x, Data::F32(offset), Data::F32(reciprocal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_orthogonal_to_a_shift_and_to_a_stretch_of_the_input() {
        // x = mean + n / reciprocal with n of mean 0 and mean square 1.
        let n = [-1.5f32, 0.5, 0.5, 0.5].map(|n| n / 0.75f32.sqrt());
        let x = n.map(|n| 3.0 + 2.0 * n);
        let mut dx = [f32::NAN; 4];
        let uniform = Uniform { rows: 1, columns: 4 };
        layer_norm_backward(
            &uniform,
            &x,
            &[1.0, 2.0, 3.0, 4.0],
            &[3.0 - x[0]],
            &[0.5],
            &[0.3, -1.0, 0.7, 2.0],
            &mut dx,
        );
        assert!(dx.iter().sum::<f32>().abs() < 1e-5);
        assert!(dx.iter().zip(n).map(|(dx, n)| dx * n).sum::<f32>().abs() < 1e-5);
        assert!(dx[3].abs() > 0.1);
    }
}
