//! Index of the largest element along an axis of a tensor of shape (outer, axis, inner):
//! `index[o, i] = argmax_a x[o, a, i]`, the first of equals. A NaN is the largest of all, as in PyTorch and numpy.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::Sharing;
use crate::reduction::reduce::Cut;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/not_a_number.wgsl", "argmax.wgsl"), passes);

/// A slab of the axis, or the slabs.
fn passes(call: &Call) -> u64 {
    let Uniform { slabs, slab_length, .. } = call.uniform();
    1 + u64::from(if call.kernel.entry_point == "merge" { slabs } else { slab_length })
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ARGMAX, &MERGE];

/// The index for each slab of the axis.
pub static ARGMAX: Kernel = MODULE.kernel(
    "argmax.argmax",
    &[Binding::read("x", "(outer, axis, inner)"), Binding::write("index", "(outer, slabs, inner)").u32()],
    |call, operands| {
        let [x, index] = operands else { unreachable!("argmax has two operands") };
        argmax(&call.uniform(), x.f32(), index.u32());
    },
    tolerance,
    argmax_case,
);

/// The choice among the slabs.
pub static MERGE: Kernel = MODULE.kernel(
    "argmax.merge",
    &[
        Binding::read("x", "(outer, axis, inner)"),
        Binding::read("of_slab", "(outer, slabs, inner)").u32(),
        Binding::write("merged", "(outer, inner)").u32(),
    ],
    |call, operands: &mut [Operand<'_>]| {
        let [x, of_slab, merged] = operands else { unreachable!("merge has three operands") };
        merge(&call.uniform(), x.f32(), of_slab.u32(), merged.u32());
    },
    tolerance,
    merge_case,
);

/// The uniform block of `argmax.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// `outer * slabs * inner` in `argmax`, `outer * inner` in `merge`.
    pub outputs: u32,
    pub axis: u32,
    pub inner: u32,
    pub slabs: u32,
    /// Elements of the axis in each slab but the last, which may be shorter.
    pub slab_length: u32,
}

/// The index of the largest along the axis of a tensor of shape (outer, axis, inner).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The product of the dimensions before the axis.
    pub outer: usize,
    /// Elements along the axis that goes.
    pub axis: usize,
    /// The product of the dimensions behind the axis.
    pub inner: usize,
}

impl Problem {
    /// The sequence with operands `x` and `index` of shape (outer, inner), `u32`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = Sizes("argmax").tensor(&[("outer", self.outer), ("axis", self.axis), ("inner", self.inner)])?;
        let least = target.parts_of_loop(self.axis, 1);
        let cut = Cut::choose(self.outer * self.inner, self.axis, least, target);
        let first = self.call(&ARGMAX, cut, target);
        if cut.slabs == 1 {
            return sizes.sequence(first);
        }
        let mut sequence = Sequence::default();
        let of_slab = sequence.scratch(Element::U32, self.outer * cut.slabs * self.inner);
        sequence.step(first, [Slot::Argument(0), of_slab]);
        sequence.step(self.call(&MERGE, cut, target), [Slot::Argument(0), of_slab, Slot::Argument(1)]);
        sizes.sequence(sequence)
    }

    fn call(&self, kernel: &'static Kernel, cut: Cut, target: &Target) -> Call {
        let Self { outer, axis, inner } = *self;
        let (elements, of_slabs, merged) = (outer * axis * inner, outer * cut.slabs * inner, outer * inner);
        let lengths =
            if kernel.bindings.len() == 2 { vec![elements, of_slabs] } else { vec![elements, of_slabs, merged] };
        let outputs = lengths[lengths.len() - 1];
        let uniform = Uniform {
            outputs: outputs as u32,
            axis: axis as u32,
            inner: inner as u32,
            slabs: cut.slabs as u32,
            slab_length: cut.length as u32,
        };
        let workgroup = Sharing { lanes: 1, ..Sharing::choose(outputs, 1, target) }.workgroup;
        Call::new(kernel, &uniform, outputs.div_ceil(workgroup), lengths).with_constant("WORKGROUP", workgroup as u32)
    }
}

/// The twin of the first stage.
pub(crate) fn argmax(uniform: &Uniform, x: &[f32], index: &mut [u32]) {
    let Uniform { axis, inner, slabs, slab_length, .. } = *uniform;
    for (output, index) in (0..).zip(index) {
        let (outer, slab, column) = (output / (slabs * inner), output / inner % slabs, output % inner);
        let candidates = slab * slab_length..axis.min((slab + 1) * slab_length);
        *index = first_largest(candidates, |a| x[((outer * axis + a) * inner + column) as usize]);
    }
}

/// The twin of the second stage.
pub(crate) fn merge(uniform: &Uniform, x: &[f32], of_slab: &[u32], merged: &mut [u32]) {
    let Uniform { axis, inner, slabs, .. } = *uniform;
    for (output, merged) in (0..).zip(merged) {
        let (outer, column) = (output / inner, output % inner);
        let candidates = (0..slabs).map(|slab| of_slab[((outer * slabs + slab) * inner + column) as usize]);
        *merged = first_largest(candidates, |a| x[((outer * axis + a) * inner + column) as usize]);
    }
}

/// The first of the candidates whose value no other exceeds; the first NaN where there is one.
fn first_largest(candidates: impl IntoIterator<Item = u32>, value: impl Fn(u32) -> f32) -> u32 {
    let exceeds = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
    let better = |best, candidate| if exceeds(value(candidate), value(best)) { candidate } else { best };
    // No slab is empty.
    candidates.into_iter().reduce(better).unwrap_or(0)
}

/// Comparisons are exact.
fn tolerance(_: &Call, _: &[Data], _: usize) -> Tolerance {
    Tolerance::Exact
}

fn argmax_case(generator: &mut Generator) -> Case {
    let (problem, cut, target, x) = draw(generator);
    Case::new((problem, cut), problem.call(&ARGMAX, cut, &target), [x])
}

fn merge_case(generator: &mut Generator) -> Case {
    let (problem, cut, target, x) = draw(generator);
    let [first, second] = [&ARGMAX, &MERGE].map(|kernel| problem.call(kernel, cut, &target));
    let of_slab = Case::new((), first, [x.clone()]).expected().swap_remove(1);
    Case::new((problem, cut), second, [x, of_slab])
}

fn draw(generator: &mut Generator) -> (Problem, Cut, Target, Data) {
    let huge = generator.huge();
    let inner = if generator.chance(0.5) { 1 } else { generator.length(200) };
    let (outer, axis) = match huge {
        true => (4_200_000 / inner + 1, 2),
        false if generator.of_models() => (2, 50_257),
        false => (generator.length(40), generator.length(500)),
    };
    let problem = Problem { outer, axis, inner };
    let target = generator.target();
    let length = generator.length(axis);
    let cut = Cut { slabs: axis.div_ceil(length), length };
    let ties = generator.chance(0.3);
    let x = generator.values_with_specials(outer * axis * inner, 1e30);
    let x = x.f32().iter().map(|&value| match value {
        value if ties => (value * 2.0).round(),
        value => value,
    });
    (problem, cut, target, Data::F32(x.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_chosen_in_one_stage_and_in_two() {
        let x = Data::F32(vec![1.0, 5.0, 2.0, 5.0, 5.0, 0.0]);
        let problem = Problem { outer: 1, axis: 6, inner: 1 };
        let cut = Cut { slabs: 2, length: 4 };
        let target = Target::default();
        let of_slab = Case::new((), problem.call(&ARGMAX, cut, &target), [x.clone()]).expected().swap_remove(1);
        assert_eq!(of_slab, Data::U32(vec![1, 4]));
        let merged = Case::new((), problem.call(&MERGE, cut, &target), [x, of_slab]).expected().swap_remove(2);
        assert_eq!(merged, Data::U32(vec![1]));
    }
}
