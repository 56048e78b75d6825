//! Gradients of [`crate::normalisation::batch_norm`] for its input, scale and shift: with `n = (x - mean) * reciprocal`, where
//! `mean[c] = x[0, c] + offset[c]`, `dscale[c] = sum_r dy[r, c] * n[r, c]`, `dshift[c] = sum_r dy[r, c]` and
//! `dx[r, c] = scale[c] * reciprocal[c] * (dy[r, c] - dshift[c] / rows - n[r, c] * dscale[c] / rows)`.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::sum_units;
use crate::normalisation::batch_norm::{self, ROWS, UNIT, WORKGROUP, normalised};
use crate::normalisation::layer_norm_parameters;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(
    concat!(include_str!("../library/place.wgsl"), include_str!("batch_norm_backward.wgsl")),
    passes,
);

/// The rows of a slab, or a few rows.
fn passes(call: &Call) -> u64 {
    let Uniform { rows, slabs, .. } = call.uniform();
    match call.kernel.entry_point {
        "batch_norm_slabs" => 1 + u64::from(rows.div_ceil(slabs)),
        _ => 1 + ROWS as u64,
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&BATCH_NORM_SLABS, &BATCH_NORM_BACKWARD];

/// The sums over each slab of rows; a slab's `dscale` and `dshift` stand beside each other.
pub static BATCH_NORM_SLABS: Kernel = MODULE
    .kernel(
        "batch_norm_backward.batch_norm_slabs",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(columns)"),
            Binding::read("reciprocal", "(columns)"),
            Binding::read("dy", "(rows, columns)"),
            Binding::write("partials", "(slabs, columns, 2)"),
        ],
        slabs_twin,
        slabs_tolerance,
        slabs_case,
    )
    .with_flops(|call| 6.0 * call.lengths[0] as f64);

/// The gradient of the input, from the sums.
pub static BATCH_NORM_BACKWARD: Kernel = MODULE
    .kernel(
        "batch_norm_backward.batch_norm_backward",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(columns)"),
            Binding::read("reciprocal", "(columns)"),
            Binding::read("dy", "(rows, columns)"),
            Binding::read("scale", "(columns)"),
            Binding::read("dscale", "(columns)"),
            Binding::read("dshift", "(columns)"),
            Binding::write("dx", "(rows, columns)"),
        ],
        backward_twin,
        backward_tolerance,
        backward_case,
    )
    .with_flops(|call| 8.0 * call.lengths[0] as f64);

/// The uniform block of `batch_norm_backward.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
    /// The rows are cut into this many slabs of `ceil(rows / slabs)`; the last ones may be short or empty.
    pub slabs: u32,
}

/// The gradients over `rows` rows and `columns` columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows that were normalised together.
    pub rows: usize,
    /// Columns, each normalised by itself.
    pub columns: usize,
}

impl Problem {
    /// The dispatches, with arguments `x`, `scale`, `offset`, `reciprocal`, `dy`, `dx`, `dscale`, `dshift`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("batch_norm_backward").tensor(&[("rows", self.rows), ("columns", self.columns)])?;
        let uniform = self.uniform(target);
        let mut sequence = Sequence::default();
        let partials = sequence.scratch(Element::F32, 2 * uniform.slabs as usize * self.columns);
        let [x, scale, offset, reciprocal, dy, dx, dscale, dshift] = Slot::arguments();
        sequence.step(slabs_call(&uniform), [x, offset, reciprocal, dy, partials]);
        let [rows, columns, slabs] = [uniform.rows, uniform.columns, uniform.slabs];
        let sum = layer_norm_parameters::Uniform { rows, columns, slabs };
        sequence.step(layer_norm_parameters::sum_call(&sum), [partials, dscale, dshift]);
        sequence.step(backward_call(&uniform), [x, offset, reciprocal, dy, scale, dscale, dshift, dx]);
        sizes.sequence(sequence)
    }

    fn uniform(&self, target: &Target) -> Uniform {
        let slabs = batch_norm::slabs(self.rows, self.columns, target);
        let [rows, columns, slabs] = [self.rows, self.columns, slabs].map(|size| size as u32);
        Uniform { rows, columns, slabs }
    }
}

fn slabs_call(uniform: &Uniform) -> Call {
    let [rows, columns, slabs] = [uniform.rows, uniform.columns, uniform.slabs].map(|size| size as usize);
    let lengths = [rows * columns, columns, columns, rows * columns, 2 * slabs * columns];
    Call::new(&BATCH_NORM_SLABS, uniform, (slabs * columns).div_ceil(WORKGROUP), lengths)
}

fn backward_call(uniform: &Uniform) -> Call {
    let [rows, columns] = [uniform.rows, uniform.columns].map(|size| size as usize);
    let elements = rows * columns;
    let lengths = [elements, columns, columns, elements, columns, columns, columns, elements];
    Call::new(&BATCH_NORM_BACKWARD, uniform, (rows.div_ceil(ROWS) * columns).div_ceil(WORKGROUP), lengths)
}

/// An element as it was normalised.
fn normal(x: &[f32], index: usize, column: usize, offset: &[f32], reciprocal: &[f32]) -> f64 {
    let deviation = f64::from(x[index]) - f64::from(x[column]) - f64::from(offset[column]);
    deviation * f64::from(reciprocal[column])
}

/// The twin of the first stage.
pub(crate) fn batch_norm_slabs(
    uniform: &Uniform,
    x: &[f32],
    offset: &[f32],
    reciprocal: &[f32],
    dy: &[f32],
    partials: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let mut sums = vec![0.0f64; partials.len()];
    for (index, &dy) in dy.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let at = 2 * (row / rows * columns + column);
        sums[at] += f64::from(dy) * normal(x, index, column, offset, reciprocal);
        sums[at + 1] += f64::from(dy);
    }
    for (partial, sum) in partials.iter_mut().zip(sums) {
        *partial = sum as f32;
    }
}

/// The twin of the last stage.
#[expect(clippy::too_many_arguments, reason = "the operands of the kernel")]
pub(crate) fn batch_norm_backward(
    uniform: &Uniform,
    x: &[f32],
    offset: &[f32],
    reciprocal: &[f32],
    dy: &[f32],
    scale: &[f32],
    dscale: &[f32],
    dshift: &[f32],
    dx: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = f64::from(uniform.rows);
    for (index, dx) in dx.iter_mut().enumerate() {
        let column = index % columns;
        let normal = normal(x, index, column, offset, reciprocal);
        let mean_dy = f64::from(dshift[column]) / rows;
        let mean_product = f64::from(dscale[column]) / rows;
        let factor = f64::from(scale[column]) * f64::from(reciprocal[column]);
        *dx = (factor * (f64::from(dy[index]) - mean_dy - normal * mean_product)) as f32;
    }
}

fn slabs_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, dy, partials] = operands else { unreachable!("the slabs have five operands") };
    batch_norm_slabs(&call.uniform(), x.f32(), offset.f32(), reciprocal.f32(), dy.f32(), partials.f32());
}

fn backward_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, dy, scale, dscale, dshift, dx] = operands else {
        unreachable!("the input gradient has eight operands")
    };
    batch_norm_backward(
        &call.uniform(),
        x.f32(),
        offset.f32(),
        reciprocal.f32(),
        dy.f32(),
        scale.f32(),
        dscale.f32(),
        dshift.f32(),
        dx.f32(),
    );
}

/// (the magnitude of a normalised element, its error): two differences and a product round once each.
fn normal_and_error(x: &[f32], index: usize, column: usize, offset: &[f32], reciprocal: &[f32]) -> (f64, f64) {
    let difference = (f64::from(x[index]) - f64::from(x[column])).abs();
    let normal = normal(x, index, column, offset, reciprocal).abs();
    let reciprocal = f64::from(reciprocal[column]).abs();
    (normal, UNIT * (difference * reciprocal + 2.0 * normal) + 2.0 * f64::from(f32::MIN_POSITIVE) * reciprocal)
}

/// A sum errs by [`sum_units`] of the magnitudes of its terms, and by what these err by.
fn slabs_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [x, offset, reciprocal, dy] = [0, 1, 2, 3].map(|index| operands[index].f32());
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let units = (sum_units(rows) + 2.0) * UNIT;
    let mut bounds = vec![f64::from(f32::MIN_POSITIVE) * rows as f64; call.lengths[4]];
    for (index, &dy) in dy.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let at = 2 * (row / rows * columns + column);
        let (normal, error) = normal_and_error(x, index, column, offset, reciprocal);
        let dy = f64::from(dy).abs();
        bounds[at] += dy * (error + units * normal) + f64::from(f32::MIN_POSITIVE) * normal;
        bounds[at + 1] += dy * units;
    }
    Tolerance::PerElement(bounds)
}

/// The quotients err by 2.5 units, the products and differences by one each.
fn backward_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [x, offset, reciprocal, dy, scale, dscale, dshift] = [0, 1, 2, 3, 4, 5, 6].map(|index| operands[index].f32());
    let columns = uniform.columns as usize;
    let rows = f64::from(uniform.rows);
    let flushed = f64::from(f32::MIN_POSITIVE);
    let bound = |index: usize| {
        let column = index % columns;
        let (normal, error) = normal_and_error(x, index, column, offset, reciprocal);
        let [mean_dy, mean_product] = [dshift, dscale].map(|sums| f64::from(sums[column]).abs() / rows);
        let [scale, reciprocal] = [scale, reciprocal].map(|factors| f64::from(factors[column]).abs());
        let magnitude = f64::from(dy[index]).abs() + mean_dy + normal * mean_product;
        let inner = UNIT * (2.0 * magnitude + 3.0 * mean_dy + 4.0 * normal * mean_product)
            + error * mean_product
            + flushed * (2.0 + normal);
        // A subnormal scale, or its product with the reciprocal, may count as 0.
        let factor = scale * reciprocal;
        let lost = if scale < flushed || factor < flushed { factor + flushed } else { 0.0 };
        (factor + flushed) * (inner + 3.0 * UNIT * magnitude) + lost * magnitude
    };
    Tolerance::PerElement((0..call.lengths[7]).map(bound).collect())
}

fn slabs_case(generator: &mut Generator) -> Case {
    let (rows, columns) = batch_norm::shape(generator);
    let problem = Problem { rows, columns };
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let dy = generator.values(rows * columns, 1e15);
    Case::new(problem, slabs_call(&problem.uniform(&generator.target())), [x, offset, reciprocal, dy])
}

fn backward_case(generator: &mut Generator) -> Case {
    let (rows, columns) = batch_norm::shape(generator);
    let problem = Problem { rows, columns };
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let dy = generator.values(rows * columns, 1e10);
    let scale = generator.values(columns, 100.0);
    let [dscale, dshift] = [(); 2].map(|()| generator.values(columns, 1e12));
    let inputs = [x, offset, reciprocal, dy, scale, dscale, dshift];
    Case::new(problem, backward_call(&problem.uniform(&generator.target())), inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_orthogonal_to_a_shift_and_to_a_stretch_of_a_column() {
        let x = [1.0, 2.0, 4.0, 9.0];
        let uniform = batch_norm::Uniform { rows: 4, columns: 1, slabs: 1, epsilon: 1e-9 };
        let mut partials = [f32::NAN; 2];
        batch_norm::batch_norm_statistics(&uniform, &x, &mut partials);
        let (mut offset, mut reciprocal, mut variance) = ([f32::NAN], [f32::NAN], [f32::NAN]);
        batch_norm::batch_norm_combine(&uniform, &partials, &mut offset, &mut reciprocal, &mut variance);
        let uniform = Uniform { rows: 4, columns: 1, slabs: 1 };
        let dy = [0.3, -1.0, 0.7, 2.0];
        batch_norm_slabs(&uniform, &x, &offset, &reciprocal, &dy, &mut partials);
        let mut dx = [f32::NAN; 4];
        let (dscale, dshift) = ([partials[0]], [partials[1]]);
        batch_norm_backward(&uniform, &x, &offset, &reciprocal, &dy, &[1.5], &dscale, &dshift, &mut dx);
        assert!(dx.iter().sum::<f32>().abs() < 1e-6);
        assert!(dx.iter().zip(x).map(|(dx, x)| dx * x).sum::<f32>().abs() < 1e-5);
        assert!(dx[3].abs() > 0.01);
    }
}
