//! Reduction along an axis of a tensor of shape (outer, axis, inner): `y[o, i] = sum_a x[o, a, i]`, its mean, or
//! `max_a x[o, a, i]`, which is a NaN where one is among them. The index of the largest is in
//! [`crate::reduction::argmax`].
//!
//! Where there are too few outputs to fill a device, the axis is cut into slabs that a first call reduces and a second
//! call combines: always in the same order, so that the same adapter gives the same bits.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing};
use crate::elementwise::larger;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/not_a_number.wgsl", "reduce.wgsl"), passes);

/// A slab of the axis.
fn passes(call: &Call) -> u64 {
    let Uniform { slab_length, .. } = call.uniform();
    // `columns_vec4` takes four outputs at a time, and each element of the axis by itself.
    let axis = if call.kernel.entry_point == "columns_vec4" { 4 * slab_length } else { slab_length };
    row_layout::passes(call, axis, 1, 1)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ROWS, &ROWS_VEC4, &COLUMNS, &COLUMNS_VEC4];

/// A contiguous axis.
pub static ROWS: Kernel = kernel("reduce.rows", |generator| row_case(generator, false));

/// A contiguous axis whose length is a multiple of 4.
pub static ROWS_VEC4: Kernel = kernel("reduce.rows_vec4", |generator| row_case(generator, true));

/// An axis with dimensions behind it.
pub static COLUMNS: Kernel = kernel("reduce.columns", |generator| column_case(generator, false));

/// An axis behind which a multiple of 4 elements lie.
pub static COLUMNS_VEC4: Kernel = kernel("reduce.columns_vec4", |generator| column_case(generator, true));

const fn kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            const { &[Binding::read("x", "(outer, axis, inner)"), Binding::write("y", "(outer, slabs, inner)")] },
            twin,
            tolerance,
            case,
        )
        .with_flops(|call| call.lengths[0] as f64)
}

/// The uniform block of `reduce.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// `outer * slabs * inner`
    pub outputs: u32,
    pub axis: u32,
    pub inner: u32,
    pub slabs: u32,
    /// Elements of the axis in each slab but the last, which may be shorter.
    pub slab_length: u32,
    /// Factor of a sum.
    pub scale: f32,
}

/// The number that the elements along the axis become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The largest element.
    Max,
}

/// A reduction of a tensor of shape (outer, axis, inner) to (outer, inner).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The reduction to apply.
    pub reduction: Reduction,
    /// The product of the dimensions before the axis.
    pub outer: usize,
    /// Elements along the axis that goes.
    pub axis: usize,
    /// The product of the dimensions behind the axis.
    pub inner: usize,
}

impl Problem {
    /// The sequence with operands `x`, `y`: one call, or two with the slabs' results between them.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("reduce").tensor(&[("outer", self.outer), ("axis", self.axis), ("inner", self.inner)])?;
        let Cut { slabs, length } = self.cut(target);
        if slabs == 1 {
            return sizes.sequence(self.call(Cut { slabs, length }, self.scale(), target));
        }
        let mut sequence = Sequence::default();
        let partial = sequence.scratch(Element::F32, self.outer * slabs * self.inner);
        sequence.step(self.call(Cut { slabs, length }, 1.0, target), [Slot::Argument(0), partial]);
        let rest = Self { axis: slabs, ..*self };
        let whole = Cut { slabs: 1, length: slabs };
        sequence.step(rest.call(whole, self.scale(), target), [partial, Slot::Argument(1)]);
        sizes.sequence(sequence)
    }

    fn cut(&self, target: &Target) -> Cut {
        // An invocation owns four columns where it can.
        let width = if self.inner.is_multiple_of(4) { 4 } else { 1 };
        // Lanes share a contiguous axis, however long it is.
        let least = if self.inner == 1 { 1 } else { target.parts_of_loop(self.axis, 1) };
        Cut::choose(self.outer * self.inner / width, self.axis, least, target)
    }

    fn scale(&self) -> f32 {
        if self.reduction == Reduction::Mean { 1.0 / self.axis as f32 } else { 1.0 }
    }

    /// The call that reduces each slab, with operands `x` and `y` of shape (outer, slabs, inner).
    fn call(&self, cut: Cut, scale: f32, target: &Target) -> Call {
        let Self { outer, axis, inner, .. } = *self;
        let outputs = outer * cut.slabs * inner;
        let uniform = Uniform {
            outputs: outputs as u32,
            axis: axis as u32,
            inner: inner as u32,
            slabs: cut.slabs as u32,
            slab_length: cut.length as u32,
            scale,
        };
        let lengths = [outer * axis * inner, outputs];
        let call = if inner == 1 {
            // Slabs are a multiple of 4 long, see `Cut`.
            let (kernel, loads) =
                if axis.is_multiple_of(4) { (&ROWS_VEC4, cut.length.div_ceil(4)) } else { (&ROWS, cut.length) };
            Sharing::choose(outputs, loads, target).call(kernel, &uniform, outputs, lengths)
        } else {
            let (kernel, invocations) =
                if inner.is_multiple_of(4) { (&COLUMNS_VEC4, outputs / 4) } else { (&COLUMNS, outputs) };
            Sharing { lanes: 1, ..Sharing::choose(invocations, 1, target) }.call(kernel, &uniform, invocations, lengths)
        };
        call.with_constant("MAXIMUM", u8::from(self.reduction == Reduction::Max))
    }
}

/// An axis cut into slabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub slabs: usize,
    /// Elements in each slab but the last; a multiple of 4 where there are several.
    pub length: usize,
}

impl Cut {
    /// The cut of an axis into at least `least` slabs for a given number of outputs, or of groups of four of them.
    pub fn choose(outputs: usize, axis: usize, least: usize, target: &Target) -> Self {
        // Enough invocations to fill a GPU, or two to four cores with vectors of eight.
        let wanted: usize = if target.software { 512 } else { 16_384 };
        // The two calls are about equally long where the slabs are as many as each is long.
        let most = axis.isqrt();
        let slabs = wanted.div_ceil(outputs.max(1)).min(most).max(least);
        if least == 1 && (slabs < 4 || axis < 64) {
            return Self { slabs: 1, length: axis };
        }
        let length = axis.div_ceil(slabs).next_multiple_of(4);
        Self { slabs: axis.div_ceil(length), length }
    }
}

/// The twin of the sum and the mean.
pub(crate) fn sum(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    for (output, y) in y.iter_mut().enumerate() {
        let total: f64 = elements(uniform, output).map(|index| f64::from(x[index])).sum();
        *y = (total * f64::from(uniform.scale)) as f32;
    }
}

/// The twin of the maximum.
pub(crate) fn max(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    for (output, y) in y.iter_mut().enumerate() {
        let largest = elements(uniform, output).map(|index| f64::from(x[index])).fold(f64::NEG_INFINITY, larger);
        *y = largest as f32;
    }
}

/// The indices in `x` of what an output reduces, in their order along the axis.
fn elements(uniform: &Uniform, output: usize) -> impl Iterator<Item = usize> + use<> {
    let [axis, inner, slabs, length] =
        [uniform.axis, uniform.inner, uniform.slabs, uniform.slab_length].map(|value| value as usize);
    let (outer, slab, column) = (output / (slabs * inner), output / inner % slabs, output % inner);
    (slab * length..axis.min((slab + 1) * length)).map(move |a| (outer * axis + a) * inner + column)
}

fn is_max(call: &Call) -> bool {
    call.constant("MAXIMUM") == Some(1.0)
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { unreachable!("a reduction has two operands") };
    let computed = if is_max(call) { max } else { sum };
    computed(&call.uniform(), x.f32(), y.f32());
}

/// A maximum is exact, but for the flushing of subnormal numbers. A sum of `n` terms passes each term through at most
/// `n` additions, each of which WGSL lets err by a unit in the last place (two epsilon) of a partial sum that is no
/// larger than the sum of the magnitudes; the scale adds two roundings.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    if is_max(call) {
        return Tolerance::Within { relative: 0.0, absolute: 0.0 };
    }
    let uniform: Uniform = call.uniform();
    let x = operands[0].f32();
    let bound = |output| {
        let (mut terms, mut magnitude) = (0.0, 0.0);
        for index in elements(&uniform, output) {
            terms += 1.0;
            magnitude += f64::from(x[index].abs());
        }
        let flushed = terms * f64::from(f32::MIN_POSITIVE);
        ((terms + 2.0) * 2.0 * Tolerance::EPSILON * magnitude + flushed) * f64::from(uniform.scale)
    };
    Tolerance::PerElement((0..call.lengths[1]).map(bound).collect())
}

fn row_case(generator: &mut Generator, vec4: bool) -> Case {
    let (outer, axis) = row_layout::shape(generator);
    let axis = if vec4 { axis.next_multiple_of(4) } else { axis + usize::from(axis.is_multiple_of(4)) };
    case(generator, outer, axis, 1)
}

fn column_case(generator: &mut Generator, vec4: bool) -> Case {
    // A workgroup of 64 computes at most 256 outputs: past 65,535 workgroups from 16,776,961 outputs on, more than a
    // case can take with four at a time, so that the scalar form alone is drawn there.
    let huge = !vec4 && generator.huge();
    let inner = if huge { 4_200_001 } else { generator.length(300) + 1 };
    let inner = if vec4 { inner.next_multiple_of(4) } else { inner + usize::from(inner.is_multiple_of(4)) };
    let (outer, axis) = match huge {
        true => (1, 2),
        false if generator.of_models() => (1, 60_000),
        false => (generator.length(6), generator.length(300)),
    };
    case(generator, outer, axis, inner)
}

fn case(generator: &mut Generator, outer: usize, axis: usize, inner: usize) -> Case {
    let reduction = generator.pick(&[Reduction::Sum, Reduction::Mean, Reduction::Max]);
    let problem = Problem { reduction, outer, axis, inner };
    let target = generator.target();
    let cut = if generator.chance(0.5) { problem.cut(&target) } else { Cut { slabs: 1, length: axis } };
    let mut x = generator.values_with_specials(outer * axis * inner, 1e30);
    if outer * axis * inner < 1 << 20 && generator.chance(0.1) {
        // An output all of whose elements are masked.
        let Data::F32(numbers) = &mut x else { unreachable!("drawn as f32") };
        let column = generator.pick(&[0, inner - 1]);
        numbers.iter_mut().skip(column).step_by(inner).take(axis).for_each(|x| *x = f32::NEG_INFINITY);
    }
    Case::new((problem, cut), problem.call(cut, problem.scale(), &target), [x])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the twins of a sequence of reductions.
    fn run(problem: Problem, target: &Target, x: &[f32]) -> (usize, Vec<f32>) {
        let sequence = problem.sequence(target).unwrap();
        let mut y = Data::zeros(Element::F32, problem.outer * problem.inner);
        let mut x = Data::F32(x.to_vec());
        match &sequence.steps[..] {
            [only] => only.call.run_twin(&mut [x.operand(), y.operand()]),
            [first, second] => {
                let mut partial = Data::poison(Element::F32, sequence.scratch[0].length);
                first.call.run_twin(&mut [x.operand(), partial.operand()]);
                second.call.run_twin(&mut [partial.operand(), y.operand()]);
            }
            _ => unreachable!("one step or two"),
        }
        (sequence.steps.len(), y.f32().to_vec())
    }

    #[test]
    fn the_middle_axis_of_a_cube_is_reduced() {
        let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let problem = Problem { reduction: Reduction::Sum, outer: 2, axis: 3, inner: 2 };
        assert_eq!(run(problem, &Target::default(), &x).1, [6.0, 9.0, 24.0, 27.0]);
        let largest = Problem { reduction: Reduction::Max, ..problem };
        assert_eq!(run(largest, &Target::default(), &x).1, [4.0, 5.0, 10.0, 11.0]);
    }

    #[test]
    fn a_long_axis_is_reduced_in_two_stages_with_the_same_result() {
        for (axis, inner) in [(10_007, 1), (10_000, 1), (4_099, 3), (5_000, 8)] {
            let x: Vec<f32> = (0..axis * inner).map(|index| (index % 7) as f32).collect();
            for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
                let problem = Problem { reduction, outer: 1, axis, inner };
                let mut direct = vec![0.0; inner];
                let uniform = Uniform {
                    outputs: inner as u32,
                    axis: axis as u32,
                    inner: inner as u32,
                    slabs: 1,
                    slab_length: axis as u32,
                    scale: problem.scale(),
                };
                if reduction == Reduction::Max {
                    max(&uniform, &x, &mut direct)
                } else {
                    sum(&uniform, &x, &mut direct)
                }
                let (steps, y) = run(problem, &Target::default(), &x);
                assert_eq!((steps, y), (2, direct), "{problem:?}");
            }
        }
    }

    #[test]
    fn every_element_belongs_to_one_slab() {
        let target = Target::default();
        for axis in 1..3000 {
            let Cut { slabs, length } = Cut::choose(1, axis, 1, &target);
            assert!(slabs * length >= axis && (slabs - 1) * length < axis, "{axis}: {slabs} of {length}");
        }
    }
}
