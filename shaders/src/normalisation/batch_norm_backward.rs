//! Gradients of [`crate::normalisation::batch_norm`] for its input, scale and shift: with `n = (x - mean) * reciprocal`, where
//! `mean[c] = x[0, c] + offset[c]`, and `g = dy`, or 0 where ReLU gave 0, `dscale[c] = sum_r g[r, c] * n[r, c]`,
//! `dshift[c] = sum_r g[r, c]` and `dx[r, c] = scale[c] * reciprocal[c] * (g[r, c] - dshift[c] / rows - n[r, c] * dscale[c] / rows)`.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::sum_units;
use crate::normalisation::batch_norm::{
    self, UNIT, WORKGROUP, is_rectified, normalised, rows_of_call, rows_of_invocation,
};
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "batch_norm_backward.wgsl"), passes);

/// The rows of a slab, the slabs, or a few rows.
fn passes(call: &Call) -> u64 {
    let Uniform { rows, slabs, .. } = call.uniform();
    match call.kernel.entry_point {
        "batch_norm_slabs" => 1 + u64::from(rows.div_ceil(slabs)),
        "batch_norm_sum" => 1 + u64::from(slabs),
        _ => 1 + rows_of_call(call) as u64,
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&BATCH_NORM_SLABS, &BATCH_NORM_SUM, &BATCH_NORM_BACKWARD];

/// The sums over each slab of rows; a slab's `dscale` and `dshift` stand beside each other.
pub static BATCH_NORM_SLABS: Kernel = MODULE
    .kernel(
        "batch_norm_backward.batch_norm_slabs",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(columns)"),
            Binding::read("reciprocal", "(columns)"),
            Binding::read("scale", "(columns)"),
            Binding::read("shift", "(columns)"),
            Binding::read("dy", "(rows, columns)"),
            Binding::write("partials", "(slabs, columns, 2)"),
        ],
        slabs_twin,
        slabs_tolerance,
        slabs_case,
    )
    .with_flops(|call| 6.0 * call.lengths[0] as f64);

/// The gradients of scale and shift, by themselves and as pairs.
pub static BATCH_NORM_SUM: Kernel = MODULE.kernel(
    "batch_norm_backward.batch_norm_sum",
    &[
        Binding::read("summands", "(slabs, columns, 2)"),
        Binding::write("dscale", "(columns)"),
        Binding::write("dshift", "(columns)"),
        Binding::write("totals", "(columns, 2)"),
    ],
    sum_twin,
    sum_tolerance,
    sum_case,
);

/// The gradient of the input, from the sums.
pub static BATCH_NORM_BACKWARD: Kernel = MODULE
    .kernel(
        "batch_norm_backward.batch_norm_backward",
        &[
            Binding::read("x", "(rows, columns)"),
            Binding::read("offset", "(columns)"),
            Binding::read("reciprocal", "(columns)"),
            Binding::read("scale", "(columns)"),
            Binding::read("shift", "(columns)"),
            Binding::read("dy", "(rows, columns)"),
            Binding::read("sums", "(columns, 2)"),
            Binding::write("dx", "(rows, columns)"),
        ],
        backward_twin,
        backward_tolerance,
        backward_case,
    )
    .with_flops(|call| 9.0 * call.lengths[0] as f64);

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
    /// ReLU was applied to the normalised elements.
    pub rectified: bool,
}

impl Problem {
    /// The dispatches, with arguments `x`, `scale`, `shift`, `offset`, `reciprocal`, `dy`, `dx`, `dscale`, `dshift`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("batch_norm_backward").tensor(&[("rows", self.rows), ("columns", self.columns)])?;
        let uniform = self.uniform(target);
        let mut sequence = Sequence::default();
        let partials = sequence.scratch(Element::F32, 2 * uniform.slabs as usize * self.columns);
        let totals = sequence.scratch(Element::F32, 2 * self.columns);
        let [x, scale, shift, offset, reciprocal, dy, dx, dscale, dshift] = Slot::arguments();
        sequence.step(self.slabs_call(&uniform), [x, offset, reciprocal, scale, shift, dy, partials]);
        sequence.step(sum_call(&uniform), [partials, dscale, dshift, totals]);
        sequence.step(self.backward_call(target), [x, offset, reciprocal, scale, shift, dy, totals, dx]);
        sizes.sequence(sequence)
    }

    fn uniform(&self, target: &Target) -> Uniform {
        let slabs = batch_norm::slabs(self.rows, self.columns, target);
        let [rows, columns, slabs] = [self.rows, self.columns, slabs].map(|size| size as u32);
        Uniform { rows, columns, slabs }
    }

    fn slabs_call(&self, uniform: &Uniform) -> Call {
        let Self { rows, columns, rectified } = *self;
        let slabs = uniform.slabs as usize;
        let lengths = [rows * columns, columns, columns, columns, columns, rows * columns, 2 * slabs * columns];
        Call::new(&BATCH_NORM_SLABS, uniform, (slabs * columns).div_ceil(WORKGROUP), lengths)
            .with_constant("RECTIFIED", u32::from(rectified))
    }

    fn backward_call(&self, target: &Target) -> Call {
        let Self { rows, columns, rectified } = *self;
        let elements = rows * columns;
        let lengths = [elements, columns, columns, columns, columns, elements, 2 * columns, elements];
        let of_invocation = rows_of_invocation(target);
        let workgroups = (rows.div_ceil(of_invocation) * columns).div_ceil(WORKGROUP);
        Call::new(&BATCH_NORM_BACKWARD, &self.uniform(target), workgroups, lengths)
            .with_constant("ROWS", of_invocation as u32)
            .with_constant("RECTIFIED", u32::from(rectified))
    }
}

fn sum_call(uniform: &Uniform) -> Call {
    let [columns, slabs] = [uniform.columns, uniform.slabs].map(|size| size as usize);
    let lengths = [2 * slabs * columns, columns, columns, 2 * columns];
    Call::new(&BATCH_NORM_SUM, uniform, columns.div_ceil(WORKGROUP), lengths)
}

/// A normalisation whose gradients are computed: `x (rows, columns)`, and a number for each column of the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normalised<'a> {
    pub x: &'a [f32],
    pub offset: &'a [f32],
    pub reciprocal: &'a [f32],
    pub scale: &'a [f32],
    pub shift: &'a [f32],
    pub is_rectified: bool,
}

/// A number and what a kernel may err by in it.
#[derive(Debug, Clone, Copy)]
struct Measured {
    value: f64,
    error: f64,
}

impl<'a> Normalised<'a> {
    /// The first operands of both kernels.
    fn of(call: &Call, [x, offset, reciprocal, scale, shift]: [&'a [f32]; 5]) -> Self {
        Self { x, offset, reciprocal, scale, shift, is_rectified: is_rectified(call) }
    }

    /// An element as it was normalised: two differences and a product round once each.
    fn normal(&self, index: usize) -> Measured {
        let column = index % self.scale.len();
        let difference = f64::from(self.x[index]) - f64::from(self.x[column]);
        let reciprocal = f64::from(self.reciprocal[column]);
        let value = (difference - f64::from(self.offset[column])) * reciprocal;
        let flushed = 2.0 * f64::from(f32::MIN_POSITIVE);
        let error = UNIT * ((difference * reciprocal).abs() + 2.0 * value.abs()) + flushed * reciprocal.abs();
        Measured { value, error }
    }

    /// The gradient that passes the rectifier, which errs by all of it where the kernel may take the element for one on the
    /// other side of zero.
    fn through(&self, index: usize, normal: Measured, dy: f32) -> Measured {
        let column = index % self.scale.len();
        let [scale, shift, dy] = [self.scale[column], self.shift[column], dy].map(f64::from);
        let y = normal.value * scale + shift;
        let flushed = 2.0 * f64::from(f32::MIN_POSITIVE);
        // A subnormal scale may count as 0.
        let lost = if scale.abs() < flushed { (scale * normal.value).abs() } else { 0.0 };
        let error = (normal.error + UNIT * normal.value.abs()) * scale.abs() + UNIT * (y.abs() + shift.abs());
        let is_open = !self.is_rectified || y > 0.0;
        let is_near = self.is_rectified && y.abs() <= error + lost + flushed;
        Measured { value: if is_open { dy } else { 0.0 }, error: if is_near { dy.abs() } else { 0.0 } }
    }
}

/// The twin of the first stage.
pub(crate) fn batch_norm_slabs(uniform: &Uniform, of: Normalised<'_>, dy: &[f32], partials: &mut [f32]) {
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let mut sums = vec![0.0f64; partials.len()];
    for (index, &dy) in dy.iter().enumerate() {
        let at = 2 * (index / columns / rows * columns + index % columns);
        let normal = of.normal(index);
        let gradient = of.through(index, normal, dy).value;
        sums[at] += gradient * normal.value;
        sums[at + 1] += gradient;
    }
    for (partial, sum) in partials.iter_mut().zip(sums) {
        *partial = sum as f32;
    }
}

/// The twin of the second stage: the sums of `dscale` and `dshift` over the slabs, and both beside each other.
pub(crate) fn batch_norm_sum(summands: &[f32], dscale: &mut [f32], dshift: &mut [f32], totals: &mut [f32]) {
    for (at, total) in totals.iter_mut().enumerate() {
        let sum: f64 = summands.iter().skip(at).step_by(2 * dscale.len()).map(|partial| f64::from(*partial)).sum();
        *total = sum as f32;
        [&mut *dscale, &mut *dshift][at % 2][at / 2] = sum as f32;
    }
}

/// The twin of the last stage.
pub(crate) fn batch_norm_backward(uniform: &Uniform, of: Normalised<'_>, dy: &[f32], sums: &[f32], dx: &mut [f32]) {
    let rows = f64::from(uniform.rows);
    for (index, dx) in dx.iter_mut().enumerate() {
        let column = index % of.scale.len();
        let normal = of.normal(index);
        let gradient = of.through(index, normal, dy[index]).value;
        let [mean_product, mean_dy] = [0, 1].map(|part| f64::from(sums[2 * column + part]) / rows);
        let factor = f64::from(of.scale[column]) * f64::from(of.reciprocal[column]);
        *dx = (factor * (gradient - mean_dy - normal.value * mean_product)) as f32;
    }
}

fn slabs_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, scale, shift, dy, partials] = operands else {
        unreachable!("the slabs have seven operands")
    };
    let of = Normalised::of(call, [x, offset, reciprocal, scale, shift].map(|operand| &*operand.f32()));
    batch_norm_slabs(&call.uniform(), of, dy.f32(), partials.f32());
}

fn sum_twin(_: &Call, operands: &mut [Operand<'_>]) {
    let [summands, dscale, dshift, totals] = operands else { unreachable!("the sum has four operands") };
    batch_norm_sum(summands.f32(), dscale.f32(), dshift.f32(), totals.f32());
}

fn backward_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, offset, reciprocal, scale, shift, dy, sums, dx] = operands else {
        unreachable!("the input gradient has eight operands")
    };
    let of = Normalised::of(call, [x, offset, reciprocal, scale, shift].map(|operand| &*operand.f32()));
    batch_norm_backward(&call.uniform(), of, dy.f32(), sums.f32(), dx.f32());
}

/// The first five operands.
fn normalised_of<'a>(call: &Call, operands: &'a [Data]) -> Normalised<'a> {
    Normalised::of(call, [0, 1, 2, 3, 4].map(|index| operands[index].f32()))
}

/// A sum errs by [`sum_units`] of the magnitudes of its terms, and by what these err by.
fn slabs_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let (of, dy) = (normalised_of(call, operands), operands[5].f32());
    let columns = uniform.columns as usize;
    let rows = uniform.rows.div_ceil(uniform.slabs) as usize;
    let units = (sum_units(rows) + 2.0) * UNIT;
    let mut bounds = vec![f64::from(f32::MIN_POSITIVE) * rows as f64; call.lengths[6]];
    for (index, &dy) in dy.iter().enumerate() {
        let at = 2 * (index / columns / rows * columns + index % columns);
        let normal = of.normal(index);
        let gradient = of.through(index, normal, dy);
        let (normal, error) = (normal.value.abs(), normal.error);
        let magnitude = gradient.value.abs() + gradient.error;
        bounds[at] += magnitude * (error + units * normal)
            + gradient.error * (normal + error)
            + f64::from(f32::MIN_POSITIVE) * normal;
        bounds[at + 1] += magnitude * units + gradient.error;
    }
    Tolerance::PerElement(bounds)
}

/// As for the first stage, by the sums of magnitudes; each partial may be flushed.
fn sum_tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let Uniform { columns, slabs, .. } = call.uniform();
    let units = sum_units(slabs as usize) * UNIT;
    let mut magnitudes = vec![0.0f64; 2 * columns as usize];
    for slab in operands[0].f32().chunks(magnitudes.len()) {
        for (sum, partial) in magnitudes.iter_mut().zip(slab) {
            *sum += f64::from(partial.abs());
        }
    }
    let flushed = f64::from(f32::MIN_POSITIVE) * f64::from(slabs);
    let bounds = magnitudes.into_iter().map(|magnitude| units * magnitude + flushed);
    Tolerance::PerElement(match output {
        3 => bounds.collect(),
        _ => bounds.skip(output - 1).step_by(2).collect(),
    })
}

/// The quotients err by 2.5 units, the products and differences by one each.
fn backward_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let (of, dy, sums) = (normalised_of(call, operands), operands[5].f32(), operands[6].f32());
    let rows = f64::from(uniform.rows);
    let flushed = f64::from(f32::MIN_POSITIVE);
    let bound = |index: usize| {
        let column = index % of.scale.len();
        let normal = of.normal(index);
        let gradient = of.through(index, normal, dy[index]);
        let (normal, error) = (normal.value.abs(), normal.error);
        let [mean_product, mean_dy] = [0, 1].map(|part| f64::from(sums[2 * column + part]).abs() / rows);
        let [scale, reciprocal] = [of.scale, of.reciprocal].map(|factors| f64::from(factors[column]).abs());
        let magnitude = gradient.value.abs() + gradient.error + mean_dy + normal * mean_product;
        let inner = UNIT * (2.0 * magnitude + 3.0 * mean_dy + 4.0 * normal * mean_product)
            + gradient.error
            + error * mean_product
            + flushed * (2.0 + normal);
        // A subnormal scale, or its product with the reciprocal, may count as 0.
        let factor = scale * reciprocal;
        let lost = if scale < flushed || factor < flushed { factor + flushed } else { 0.0 };
        (factor + flushed) * (inner + 3.0 * UNIT * magnitude) + lost * magnitude
    };
    Tolerance::PerElement((0..call.lengths[7]).map(bound).collect())
}

/// A problem with its first five operands.
fn draw(generator: &mut Generator) -> (Problem, [Data; 5]) {
    let (rows, columns) = batch_norm::shape(generator);
    let problem = Problem { rows, columns, rectified: generator.chance(0.5) };
    let (x, offset, reciprocal) = normalised(generator, rows, columns);
    let [scale, shift] = [(); 2].map(|()| generator.values(columns, 100.0));
    (problem, [x, offset, reciprocal, scale, shift])
}

fn slabs_case(generator: &mut Generator) -> Case {
    let (problem, [x, offset, reciprocal, scale, shift]) = draw(generator);
    let dy = generator.values(x.len(), 1e15);
    let call = problem.slabs_call(&problem.uniform(&generator.target()));
    Case::new(problem, call, [x, offset, reciprocal, scale, shift, dy])
}

fn sum_case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let (slabs, columns) = if huge { (1, 4_200_000) } else { (generator.length(300), generator.length(300)) };
    let uniform = Uniform { rows: 16 * slabs as u32, columns: columns as u32, slabs: slabs as u32 };
    let summands = generator.values(2 * slabs * columns, 1e15);
    Case::new(uniform, sum_call(&uniform), [summands])
}

fn backward_case(generator: &mut Generator) -> Case {
    let (problem, [x, offset, reciprocal, scale, shift]) = draw(generator);
    let dy = generator.values(x.len(), 1e10);
    let sums = generator.values(2 * problem.columns, 1e12);
    let call = problem.backward_call(&generator.target());
    Case::new(problem, call, [x, offset, reciprocal, scale, shift, dy, sums])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four rows of one column, normalised with a scale of 1.5, and the gradients of `dy`.
    fn gradients(shift: f32, is_rectified: bool) -> [f32; 4] {
        let x = [1.0, 2.0, 4.0, 9.0];
        let uniform = batch_norm::Uniform { rows: 4, columns: 1, slabs: 1, epsilon: 1e-9 };
        let mut partials = [f32::NAN; 2];
        batch_norm::batch_norm_statistics(&uniform, &x, &mut partials);
        let (mut offset, mut reciprocal, mut variance) = ([f32::NAN], [f32::NAN], [f32::NAN]);
        batch_norm::batch_norm_combine(&uniform, &partials, &mut offset, &mut reciprocal, &mut variance);
        let uniform = Uniform { rows: 4, columns: 1, slabs: 1 };
        let (scale, shift) = ([1.5], [shift]);
        let of =
            Normalised { x: &x, offset: &offset, reciprocal: &reciprocal, scale: &scale, shift: &shift, is_rectified };
        let dy = [0.3, -1.0, 0.7, 2.0];
        batch_norm_slabs(&uniform, of, &dy, &mut partials);
        let (mut dscale, mut dshift, mut totals) = ([f32::NAN], [f32::NAN], [f32::NAN; 2]);
        batch_norm_sum(&partials, &mut dscale, &mut dshift, &mut totals);
        assert_eq!(totals, [dscale[0], dshift[0]]);
        let mut dx = [f32::NAN; 4];
        batch_norm_backward(&uniform, of, &dy, &totals, &mut dx);
        dx
    }

    #[test]
    fn the_gradient_is_orthogonal_to_a_shift_and_to_a_stretch_of_a_column() {
        for is_rectified in [false, true] {
            let dx = gradients(0.0, is_rectified);
            assert!(dx.iter().sum::<f32>().abs() < 1e-6);
            assert!(dx.iter().zip([1.0, 2.0, 4.0, 9.0]).map(|(dx, x)| dx * x).sum::<f32>().abs() < 1e-5);
            assert!(dx[3].abs() > 0.01);
        }
    }

    #[test]
    fn a_rectifier_that_is_open_everywhere_changes_nothing_and_a_closed_one_leaves_nothing() {
        assert_eq!(gradients(100.0, true), gradients(100.0, false));
        assert_eq!(gradients(-100.0, true), [0.0; 4]);
    }
}
