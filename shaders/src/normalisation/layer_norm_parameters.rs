//! Gradients of [`crate::normalisation::layer_norm`] for its scale and shift: with `n = (x - mean) * reciprocal`,
//! where `mean[r] = x[r, 0] + offset[r]`, `dscale[c] = sum_r dy[r, c] * n[r, c]` and `dshift[c] = sum_r dy[r, c]`, in two stages of a fixed order: each slab
//! of rows by itself, then the slabs.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::sum_units;
use crate::normalisation::layer_norm_backward::normalised;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("layer_norm_parameters.wgsl"), passes);

/// The rows of a slab, or the slabs.
fn passes(call: &Call) -> u64 {
    let Uniform { rows, slabs, .. } = call.uniform();
    match call.kernel.entry_point {
        "layer_norm_sum" => 1 + u64::from(slabs),
        _ => 1 + u64::from(rows.div_ceil(slabs)),
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&LAYER_NORM_SLABS, &LAYER_NORM_SUM];

/// The sums over each slab of rows; a slab's `dscale` and `dshift` stand beside each other.
pub static LAYER_NORM_SLABS: Kernel = MODULE
    .kernel(
        "layer_norm_parameters.layer_norm_slabs",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(rows)"),
            Binding::read("reciprocal", "(rows)"),
            Binding::read("dy", "(rows, columns)"),
            Binding::write("partials", "(slabs, columns, 2)"),
        ],
        slabs_twin,
        slabs_tolerance,
        slabs_case,
    )
    .with_flops(|call| 5.0 * call.lengths[0] as f64);

/// The sums over the slabs.
pub static LAYER_NORM_SUM: Kernel = MODULE
    .kernel(
        "layer_norm_parameters.layer_norm_sum",
        &[
            Binding::read("summands", "(slabs, columns, 2)"),
            Binding::write("dscale", "(columns)"),
            Binding::write("dshift", "(columns)"),
        ],
        sum_twin,
        sum_tolerance,
        sum_case,
    )
    .with_flops(|call| call.lengths[0] as f64);

/// The uniform block of `layer_norm_parameters.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
    /// The rows are cut into this many slabs of `ceil(rows / slabs)`; the last ones may be short or empty.
    pub slabs: u32,
}

/// The gradients for scale and shift over `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows that are summed over.
    pub rows: usize,
    /// Columns of a row: elements of scale and shift.
    pub columns: usize,
}

const WORKGROUP: usize = 64;

impl Problem {
    /// The two dispatches, with arguments `x`, `offset`, `reciprocal`, `dy`, `dscale`, `dshift`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("layer_norm_parameters").tensor(&[("rows", self.rows), ("columns", self.columns)])?;
        let uniform = self.uniform(target);
        let mut sequence = Sequence::default();
        let partials = sequence.scratch(Element::F32, 2 * uniform.slabs as usize * self.columns);
        let [x, offset, reciprocal, dy, dscale, dshift] = [0, 1, 2, 3, 4, 5].map(Slot::Argument);
        sequence.step(slabs_call(&uniform), [x, offset, reciprocal, dy, partials]);
        sequence.step(sum_call(&uniform), [partials, dscale, dshift]);
        sizes.sequence(sequence)
    }

    /// Slabs of at least 16 rows, as many as fill the device.
    fn uniform(&self, target: &Target) -> Uniform {
        let invocations = if target.software { 2048 } else { 65_536 };
        let slabs = self.rows.div_ceil(16).min(invocations / self.columns).max(target.parts_of_loop(self.rows, 1));
        Uniform { rows: self.rows as u32, columns: self.columns as u32, slabs: slabs as u32 }
    }
}

fn slabs_call(uniform: &Uniform) -> Call {
    let [rows, columns, slabs] = [uniform.rows, uniform.columns, uniform.slabs].map(|size| size as usize);
    let lengths = [rows * columns, rows, rows, rows * columns, 2 * slabs * columns];
    Call::new(&LAYER_NORM_SLABS, uniform, (slabs * columns).div_ceil(WORKGROUP), lengths)
}

fn sum_call(uniform: &Uniform) -> Call {
    let [columns, slabs] = [uniform.columns, uniform.slabs].map(|size| size as usize);
    Call::new(&LAYER_NORM_SUM, uniform, columns.div_ceil(WORKGROUP), [2 * slabs * columns, columns, columns])
}

/// The twin of the first stage.
pub(crate) fn layer_norm_slabs(
    uniform: &Uniform,
    x: &[f32],
    offset: &[f32],
    reciprocal: &[f32],
    dy: &[f32],
    partials: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let first_of = |row: usize| x[row * columns];
    let mut sums = vec![0.0f64; partials.len()];
    for (index, (&x, &dy)) in x.iter().zip(dy).enumerate() {
        let (row, column) = (index / columns, index % columns);
        let at = 2 * (row / rows * columns + column);
        let mean = f64::from(first_of(row)) + f64::from(offset[row]);
        sums[at] += f64::from(dy) * (f64::from(x) - mean) * f64::from(reciprocal[row]);
        sums[at + 1] += f64::from(dy);
    }
    for (partial, sum) in partials.iter_mut().zip(sums) {
        *partial = sum as f32;
    }
}

/// The twin of the second stage.
pub(crate) fn layer_norm_sum(uniform: &Uniform, summands: &[f32], dscale: &mut [f32], dshift: &mut [f32]) {
    let columns = uniform.columns as usize;
    for column in 0..columns {
        let slabs = || summands.chunks(2 * columns);
        dscale[column] = slabs().map(|slab| f64::from(slab[2 * column])).sum::<f64>() as f32;
        dshift[column] = slabs().map(|slab| f64::from(slab[2 * column + 1])).sum::<f64>() as f32;
    }
}

fn slabs_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, dy, partials] = operands else { unreachable!("the slabs have five operands") };
    layer_norm_slabs(&call.uniform(), x.f32(), offset.f32(), reciprocal.f32(), dy.f32(), partials.f32());
}

fn sum_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [summands, dscale, dshift] = operands else { unreachable!("the sum has three operands") };
    layer_norm_sum(&call.uniform(), summands.f32(), dscale.f32(), dshift.f32());
}

/// A sum errs by [`sum_units`] of the magnitudes of its terms, which stand in absolute terms since they may cancel:
/// here those of the largest partial. Each term takes three roundings more, one of them of the difference to the row's
/// first element. A subnormal gradient may be flushed before its product, and so may the product and the sum.
fn slabs_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [x, offset, reciprocal, dy] = [0, 1, 2, 3].map(|index| operands[index].f32());
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let first_of = |row: usize| x[row * columns];
    let mut sums = vec![0.0f64; uniform.slabs as usize * columns];
    let mut n_largest = 0.0f64;
    for (index, (&x, &dy)) in x.iter().zip(dy).enumerate() {
        let (row, column) = (index / columns, index % columns);
        let difference = f64::from(x) - f64::from(first_of(row));
        let n = difference.abs().max((difference - f64::from(offset[row])).abs()) * f64::from(reciprocal[row]);
        sums[row / rows * columns + column] += f64::from(dy).abs() * n.max(1.0);
        n_largest = n_largest.max(n);
    }
    let largest = sums.into_iter().fold(0.0, f64::max);
    let flushed = f64::from(f32::MIN_POSITIVE) * rows as f64 * (2.0 + n_largest);
    Tolerance::Within { relative: 0.0, absolute: (4.0 + sum_units(rows)) * largest * Tolerance::EPSILON + flushed }
}

/// As for the first stage.
fn sum_tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let mut sums = vec![0.0f64; uniform.columns as usize];
    for slab in operands[0].f32().chunks(2 * sums.len()) {
        for (sum, pair) in sums.iter_mut().zip(slab.chunks(2)) {
            *sum += f64::from(pair[output - 1].abs());
        }
    }
    let largest = sums.into_iter().fold(0.0, f64::max);
    let flushed = f64::from(f32::MIN_POSITIVE) * f64::from(uniform.slabs);
    Tolerance::Within {
        relative: 0.0,
        absolute: sum_units(uniform.slabs as usize) * largest * Tolerance::EPSILON + flushed,
    }
}

fn slabs_case(generator: &mut Generator) -> Case {
    // A short slab of many columns: past 65,535 workgroups of 64 invocations.
    let huge = generator.huge();
    let (rows, columns) = if huge { (3, 4_200_000) } else { (generator.length(300), generator.length(700)) };
    let problem = Problem { rows, columns };
    let uniform = problem.uniform(&generator.target());
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let dy = generator.values(rows * columns, 1e15);
    Case::new(problem, slabs_call(&uniform), [x, offset, reciprocal, dy])
}

fn sum_case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let (slabs, columns) = if huge { (1, 4_200_000) } else { (generator.length(300), generator.length(700)) };
    let uniform = Uniform { rows: 16 * slabs as u32, columns: columns as u32, slabs: slabs as u32 };
    let summands = generator.values(2 * slabs * columns, 1e15);
    Case::new(uniform, sum_call(&uniform), [summands])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slabs_add_up_to_the_sums_over_all_rows() {
        // Three rows in two slabs: (0, 1) and (2).
        let uniform = Uniform { rows: 3, columns: 2, slabs: 2 };
        let (x, dy) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 2.0, 0.0, 0.5, 4.0]);
        let mut partials = [f32::NAN; 8];
        layer_norm_slabs(&uniform, &x, &[0.0, -1.0, -2.0], &[1.0, 1.0, 2.0], &dy, &mut partials);
        assert_eq!(partials, [2.0, 3.0, 1.0, 1.0, 2.0, 0.5, 24.0, 4.0]);
        let (mut dscale, mut dshift) = ([f32::NAN; 2], [f32::NAN; 2]);
        layer_norm_sum(&uniform, &partials, &mut dscale, &mut dshift);
        assert_eq!((dscale, dshift), ([4.0, 25.0], [3.5, 5.0]));
    }
}
