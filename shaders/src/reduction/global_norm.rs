//! The Euclidean norm of one or several tensors taken as one vector: `norm = sqrt(sum x^2)` over all elements of all
//! tensors, in a fixed order. Zero for zeros, and right over the whole range of f32: squares that leave it are added in
//! another unit.

use bytemuck::{Pod, Zeroable};

use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

/// The WGSL, joined with loads of one element or of four.
macro_rules! module {
    ($loads:literal) => {
        Module::new::<Uniform>(
            wgsl!(
                $loads,
                "../library/rows.wgsl",
                "../library/join_lanes.wgsl",
                "../library/not_a_number.wgsl",
                "global_norm.wgsl"
            ),
            passes,
        )
    };
}
const MODULE: Module = module!("../library/loads_of_one.wgsl");
const MODULE_VEC4: Module = module!("../library/loads_of_four.wgsl");

/// Loads of a partial sum, or the partial sums.
fn passes(call: &Call) -> u64 {
    let Uniform { count, part, .. } = call.uniform();
    match call.kernel.entry_point {
        "norm" => u64::from(count).div_ceil(64) + 64 + 2,
        // The loads of a lane, twice where squares overflow, and the trees of the lanes.
        _ => 2 * u64::from(part).div_ceil(lanes(call) as u64) + 2 * u64::from(lanes(call).ilog2()) + 4,
    }
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SQUARE_SUMS, &SQUARE_SUMS_VEC4, &NORM];

/// Partial sums of the squares of one tensor.
pub static SQUARE_SUMS: Kernel =
    square_sums_kernel(&MODULE, "global_norm.square_sums", |generator| square_sums_case(generator, 1));

/// The same for a multiple of four elements.
pub static SQUARE_SUMS_VEC4: Kernel =
    square_sums_kernel(&MODULE_VEC4, "global_norm.square_sums_vec4", |generator| square_sums_case(generator, 4));

const fn square_sums_kernel(module: &Module, name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    module
        .kernel(
            name,
            // The partial sums of the other tensors keep their values.
            const { &[Binding::read("x", "(length)"), Binding::update("sums", "(sums of all tensors)")] },
            |call, operands| {
                let [x, sums] = operands else { unreachable!("square_sums has two operands") };
                square_sums(&call.uniform(), width(call), x.f32(), sums.f32());
            },
            square_sums_tolerance,
            case,
        )
        .with_entry_point("square_sums")
        .with_flops(|call| 2.0 * call.lengths[0] as f64)
}

/// The root of the sum of all partial sums.
pub static NORM: Kernel = MODULE
    .kernel(
        "global_norm.norm",
        &[Binding::read("all_sums", "(sums of all tensors)"), Binding::write("result", "(1)")],
        |_, operands: &mut [Operand<'_>]| {
            let [all_sums, result] = operands else { unreachable!("norm has two operands") };
            norm(all_sums.f32(), result.f32());
        },
        norm_tolerance,
        norm_case,
    )
    .with_flops(|call| call.lengths[0] as f64);

/// The uniform block of `global_norm.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// Length of the tensor, in loads of one or four elements; unused in `norm`.
    pub length: u32,
    /// The tensor's first partial sum.
    pub first: u32,
    /// Number of its partial sums; in `norm`, of all.
    pub count: u32,
    /// Loads of each partial sum but the last; unused in `norm`.
    pub part: u32,
}

/// The norm over tensors of the given lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Elements of each tensor, in the order of the operands.
    pub lengths: Vec<usize>,
}

impl Problem {
    /// The sequence with the tensors as operands, then the norm, one element.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let parts: Vec<Part> = self.lengths.iter().map(|&length| Part::choose(length, target)).collect();
        let total: usize = parts.iter().map(|part| part.sums).sum();
        let mut sequence = Sequence::default();
        let sums = sequence.scratch(Element::F32, total);
        let mut first = 0;
        for (index, (&length, part)) in self.lengths.iter().zip(parts).enumerate() {
            sequence.step(part.call(length, first, total), [Slot::Argument(index), sums]);
            first += part.sums;
        }
        sequence.step(norm_call(total), [sums, Slot::Argument(self.lengths.len())]);
        sizes.sequence(sequence)
    }

    fn check(&self) -> Result<Sizes, Error> {
        let sizes = Sizes("global_norm").positive(&[("tensors", self.lengths.len())])?;
        self.lengths.iter().try_fold(sizes, |sizes, &length| sizes.positive(&[("the length of a tensor", length)]))
    }
}

/// The cut of one tensor into partial sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Elements of a load.
    width: usize,
    sums: usize,
    lanes: usize,
}

impl Part {
    fn choose(length: usize, target: &Target) -> Self {
        let width = if length.is_multiple_of(4) { 4 } else { 1 };
        // A software driver pays for barriers: each invocation, with at least 16 loads, has its own partial sum. On a
        // GPU a workgroup has one, and each of its lanes at least 4 loads.
        let (lanes, loads, most) = if target.software { (1, 16, 512) } else { (256, 4, 1024) };
        Self { width, lanes, sums: (length / width).div_ceil(lanes * loads).clamp(1, most) }
    }

    fn call(self, length: usize, first: usize, total: usize) -> Call {
        let kernel = if self.width == 4 { &SQUARE_SUMS_VEC4 } else { &SQUARE_SUMS };
        let loads = length / self.width;
        let uniform = Uniform {
            length: loads as u32,
            first: first as u32,
            count: self.sums as u32,
            part: loads.div_ceil(self.sums) as u32,
        };
        let workgroup = self.lanes.max(32);
        Call::new(kernel, &uniform, (self.sums * self.lanes).div_ceil(workgroup), [length, total])
            .with_constant("WORKGROUP", workgroup as u32)
            .with_constant("LANES", self.lanes as u32)
    }
}

fn norm_call(total: usize) -> Call {
    Call::new(&NORM, &Uniform { count: total as u32, ..Uniform::zeroed() }, 1, [total, 1])
}

/// A sum of squares as it is stored: itself within 2^-80 and 2^100, else as minus its root.
fn stored(sum: f64) -> f32 {
    let outside = !(2f64.powi(-80)..=2f64.powi(100)).contains(&sum) && sum > 0.0;
    (if outside { -sum.sqrt() } else { sum }) as f32
}

/// The twin of the first stage, whose loads have `width` elements.
pub(crate) fn square_sums(uniform: &Uniform, width: usize, x: &[f32], sums: &mut [f32]) {
    let own = &mut sums[uniform.first as usize..][..uniform.count as usize];
    own.fill(0.0);
    for (sum, x) in own.iter_mut().zip(x.chunks(uniform.part as usize * width)) {
        *sum = stored(x.iter().map(|&x| f64::from(x) * f64::from(x)).sum());
    }
}

/// The twin of the second stage.
pub fn norm(all_sums: &[f32], result: &mut [f32]) {
    let restored = |&stored: &f32| if stored < 0.0 { f64::from(stored).powi(2) } else { f64::from(stored) };
    result[0] = all_sums.iter().map(restored).sum::<f64>().sqrt() as f32;
}

fn lanes(call: &Call) -> usize {
    call.constant("LANES").map_or(1, |lanes| lanes as usize)
}

fn width(call: &Call) -> usize {
    if call.kernel.name.ends_with("_vec4") { 4 } else { 1 }
}

/// All terms have one sign, so the relative error is one unit in the last place (two epsilon) for each addition on a
/// term's way: those of its lane, then those of the tree; the square has one rounding more. A root errs by 5 units of its
/// own and feels half of those. Squares may be flushed, but none where a root is stored.
fn square_sums_tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let Uniform { part, .. } = call.uniform();
    let loads = (part as usize).div_ceil(lanes(call));
    let additions = loads + lanes(call).ilog2() as usize + 3 + 5;
    let terms = (loads * lanes(call) * width(call)) as f64;
    Tolerance::Within {
        relative: additions as f64 * 2.0 * Tolerance::EPSILON,
        absolute: terms * f64::from(f32::MIN_POSITIVE),
    }
}

/// One unit for each addition of a lane and over the 64 lanes, of which those without a sum add 0, halved by the root, whose own error is 5 units, and one for
/// the square of a root. No partial sum is near the smallest number, but a root may be.
fn norm_tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let count = call.lengths[0] as f64;
    Tolerance::Within {
        relative: ((count / 64.0).ceil() + count.min(64.0) + 11.0) * Tolerance::EPSILON,
        absolute: count.sqrt() * f64::from(f32::MIN_POSITIVE),
    }
}

fn square_sums_case(generator: &mut Generator, width: usize) -> Case {
    let length = generator.length(60_000 / width) * width;
    let target = generator.target();
    let part = Part { width, ..Part::choose(length, &target) };
    let (first, behind) = (generator.length(20) - 1, generator.length(20) - 1);
    let total = first + part.sums + behind;
    let unit = generator.pick(&[1.0, 1.0, 1e-12, 1e-30, 1e21]);
    let x = generator.values(length, 1e16).f32().iter().map(|x| x * unit).collect();
    let inputs = [Data::F32(x), generator.values(total, 1e30)];
    Case::new((part, length, first), part.call(length, first, total), inputs)
}

fn norm_case(generator: &mut Generator) -> Case {
    let total = generator.length(5000);
    let unit = generator.pick(&[1.0, 1e-12, 1e-30, 1e20]);
    let share = generator.pick(&[0.0, 0.0, 0.5]);
    // About where squares are kept in another unit, too.
    let roots = generator.values(total, 1e16);
    // Parts of one tensor may be far smaller than those of another.
    let scaled = roots.f32().iter().map(|&root| f64::from(root) * if generator.chance(share) { 1e-15 } else { unit });
    let sums = scaled.collect::<Vec<_>>().iter().map(|root| stored(root * root)).collect();
    Case::new(total, norm_call(total), [Data::F32(sums)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm_of(tensors: &[Vec<f32>], target: &Target) -> f32 {
        let problem = Problem { lengths: tensors.iter().map(Vec::len).collect() };
        let sequence = problem.sequence(target).unwrap();
        let mut sums = Data::poison(Element::F32, sequence.scratch[0].length);
        let mut result = Data::poison(Element::F32, 1);
        let (last, first) = sequence.steps.split_last().unwrap();
        for (step, tensor) in first.iter().zip(tensors) {
            step.call.run_twin(&mut [Data::F32(tensor.clone()).operand(), sums.operand()]);
        }
        last.call.run_twin(&mut [sums.operand(), result.operand()]);
        result.f32()[0]
    }

    #[test]
    fn the_norm_goes_over_all_tensors() {
        for software in [false, true] {
            let target = Target { software, ..Target::default() };
            assert_eq!(norm_of(&[vec![3.0], vec![0.0; 70_000], vec![4.0; 4]], &target), 73f32.sqrt());
        }
    }

    #[test]
    fn the_norm_is_right_where_squares_leave_the_range() {
        for scale in [1e-38, 1e-30, 1e-13, 1e-12, 1e14, 1e16, 1e19, 1e30, 1e37] {
            let norm = norm_of(&[vec![3.0 * scale; 1], vec![4.0 * scale], vec![0.0; 9]], &Target::default());
            assert!((norm / (5.0 * scale) - 1.0).abs() < 1e-6, "{norm:e} at {scale:e}");
        }
    }

    #[test]
    fn the_norm_of_zeros_is_zero() {
        assert_eq!(norm_of(&[vec![0.0; 5], vec![0.0; 8]], &Target::default()), 0.0);
    }
}
