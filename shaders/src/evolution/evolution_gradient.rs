//! The gradient of the expected utility for the centre of a mirrored population whose parameters share one deviation
//! (OpenAI-ES: Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning", 2017):
//!
//! `gradient[p] = factor / (directions * sigma) * sum_d (utilities[2 d] - utilities[2 d + 1]) / 2 * normal(d, p)`
//!
//! Members `2 d` and `2 d + 1` stand at `centre +- sigma * normal(d, .)`. Perturbations are drawn again, never stored:
//! `normal(d, p)` is element `d * padded + p` of what the place `stream` draws (see [`threefry`](crate::random::threefry)),
//! `padded` being the number of parameters rounded up to even, and `seed` is `(key, generation)`.
//!
//! **The sign.** Utilities are to be maximised, and with `factor` 1 the gradient points uphill. The optimisers of this
//! crate go downhill: `factor` -1 gives them the gradient of the loss, minus the utility. A step of the centre is then
//! [`adamw`](crate::optimiser::adamw) with operands `centre`, its two moments, this gradient, the rate, and a step number that
//! [`advance_step`](crate::optimiser::advance_step) counted up before it (a number of its own, not the generation of the seed,
//! which starts at 0); its weight decay draws the centre to zero apart from the moments. Or it is
//! [`sgd`](crate::optimiser::sgd) with `centre`, the gradient and the rate.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, NARROW};
use crate::description::row_layout::sum_units;
use crate::random::threefry::{NORMAL_UNITS, normal_pair};
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance, grid,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/random.wgsl", "directions.wgsl", "evolution_gradient.wgsl"), passes);

/// The directions of a part of a slice, or the slices.
pub(crate) fn passes(call: &Call) -> u64 {
    let Uniform { slices, first, end, .. } = call.uniform();
    1 + u64::from(if call.kernel.entry_point == "partial_sums" { end - first } else { slices })
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&PARTIAL_SUMS, &GRADIENT_SUM];

/// The sums over the directions of each slice.
pub static PARTIAL_SUMS: Kernel = MODULE.kernel(
    "evolution_gradient.partial_sums",
    &[
        Binding::read("utilities", "(members)"),
        Binding::read("seed", "(2): key, generation").u32(),
        Binding::update("sums", "(slices, pairs, 2)"),
    ],
    partial_sums_twin,
    partial_sums_tolerance,
    partial_sums_case,
);

/// The sums over the slices, scaled.
pub static GRADIENT_SUM: Kernel = MODULE
    .kernel(
        "evolution_gradient.gradient_sum",
        &[Binding::read("slice_sums", "(slices, pairs, 2)"), Binding::write("gradient", "(parameters)")],
        gradient_sum_twin,
        gradient_sum_tolerance,
        gradient_sum_case,
    )
    .with_flops(|call| call.lengths[0] as f64);

/// The uniform block of `evolution_gradient.wgsl` and of `pgpe_gradient.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub parameters: u32,
    /// Parameters in twos, rounded up.
    pub pairs: u32,
    pub directions: u32,
    /// The directions are cut into this many slices.
    pub slices: u32,
    /// Directions of each slice but the last.
    pub slice: u32,
    /// The first direction, within its slice, that a dispatch takes.
    pub first: u32,
    /// The end of the directions, within their slice, that a dispatch takes.
    pub end: u32,
    pub stream: u32,
    pub scale: f32,
}

/// The gradient for `parameters` parameters from `directions` directions, two members each; `directions` times half
/// the parameters is at most 2^32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of a member.
    pub parameters: usize,
    /// Antithetic pairs of members.
    pub directions: usize,
    /// The number of the place that drew the perturbations.
    pub stream: u32,
    /// The standard deviation of the perturbations, above 0.
    pub sigma: f32,
    /// 1 for a gradient that points uphill, -1 for an optimiser that goes downhill.
    pub factor: f32,
}

impl Problem {
    /// The sequence with operands `utilities` (2 `directions`), `seed` (`u32`, 2), `gradient` (`parameters`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let scale = self.scale();
        let uniform = Uniform::new(self.parameters, self.directions, self.stream, scale as f32, target);
        let mut sequence = Sequence::default();
        let [utilities, seed, gradient] = [0, 1, 2].map(Slot::Argument);
        let sums = sequence.scratch(Element::F32, uniform.sums(2));
        for uniform in uniform.dispatches(MOST_DRAWS, target) {
            sequence.step(partial_sums_call(&uniform), [utilities, seed, sums]);
        }
        sequence.step(gradient_sum_call(&uniform), [sums, gradient]);
        sizes.sequence(sequence)
    }

    fn scale(&self) -> f64 {
        f64::from(self.factor) / (self.directions as f64 * f64::from(self.sigma))
    }

    fn check(&self) -> Result<Sizes, Error> {
        Sizes("evolution_gradient")
            .positive(&[("parameters", self.parameters), ("directions", self.directions)])?
            .at_most(&[("members of a direction", 2), ("directions", self.directions)])?
            .draws(self.directions, self.parameters)?
            .above_zero("sigma", self.sigma)?
            .finite("factor / (directions * sigma)", self.scale() as f32)
    }
}

pub(crate) const WORKGROUP: usize = 64;

/// Draws of one dispatch, each a block of Threefry with two normal deviates in some 200 instructions: half a second on
/// a GPU of 100 billion instructions in a second.
pub(crate) const MOST_DRAWS: usize = 1 << 28;

impl Uniform {
    /// The cut into slices. An invocation draws for every direction of its slice, then another one adds the slices: as
    /// many slices as fill the device, but no more than make the two equally long. `scale` is left to the caller.
    pub(crate) fn new(parameters: usize, directions: usize, stream: u32, scale: f32, target: &Target) -> Self {
        let pairs = parameters.div_ceil(2);
        let invocations = if target.software { 1 << 10 } else { 1 << 17 };
        let most = (2.0 * (directions as f64).sqrt()).ceil() as usize;
        let slice = directions.div_ceil((invocations / pairs).clamp(1, most.min(directions)));
        Self {
            parameters: parameters as u32,
            pairs: pairs as u32,
            directions: directions as u32,
            slices: directions.div_ceil(slice) as u32,
            slice: slice as u32,
            first: 0,
            end: slice as u32,
            stream,
            scale,
        }
    }

    /// One block for each dispatch of the partial sums, none with more than about `most` draws: each takes a part of
    /// every slice. The order of the additions does not depend on it.
    pub(crate) fn dispatches(self, most: usize, target: &Target) -> impl Iterator<Item = Self> {
        let part = (most / (self.pairs as usize * self.slices as usize)).clamp(1, self.slice as usize);
        let part = (self.slice as usize).div_ceil(target.parts_of_loop(self.slice as usize, 1)).min(part) as u32;
        let first = (0..self.slice).step_by(part as usize);
        first.map(move |first| Self { first, end: (first + part).min(self.slice), ..self })
    }

    /// Elements of the partial sums, of which each pair has `width` in every slice.
    pub(crate) fn sums(&self, width: usize) -> usize {
        width * self.pairs as usize * self.slices as usize
    }

    /// The call of a kernel of partial sums.
    pub(crate) fn partial_sums_call(&self, kernel: &'static Kernel, width: usize, directions: usize) -> Call {
        let workgroups = (self.pairs as usize).div_ceil(WORKGROUP) * self.slices as usize;
        Call::new(kernel, self, workgroups, [directions, 2, self.sums(width)])
    }

    /// Every draw of a dispatch of partial sums: the number of the pair's sum, the direction, and the two deviates.
    pub(crate) fn draws(&self, seed: &[u32], mut draw: impl FnMut(usize, usize, [f64; 2])) {
        for slice in 0..self.slices {
            let start = slice * self.slice;
            for d in start + self.first..(start + self.end).min(self.directions) {
                for pair in 0..self.pairs {
                    let element = (d * self.pairs).wrapping_add(pair);
                    let normals = normal_pair([seed[0], seed[1]], self.stream, element);
                    draw((slice * self.pairs + pair) as usize, d as usize, normals);
                }
            }
        }
    }

    /// The values with which the sums of a dispatch start: nothing in the first, else what those before it left.
    pub(crate) fn start(&self, sums: &[f32]) -> Vec<f64> {
        sums.iter().map(|&sum| if self.first == 0 { 0.0 } else { f64::from(sum) }).collect()
    }
}

fn partial_sums_call(uniform: &Uniform) -> Call {
    uniform.partial_sums_call(&PARTIAL_SUMS, 2, 2 * uniform.directions as usize)
}

pub(crate) fn gradient_sum_call(uniform: &Uniform) -> Call {
    let lengths = [uniform.sums(2), uniform.parameters as usize];
    Call::new(&GRADIENT_SUM, uniform, (uniform.pairs as usize).div_ceil(WORKGROUP), lengths)
}

/// The twin of the first stage.
pub(crate) fn partial_sums(uniform: &Uniform, utilities: &[f32], seed: &[u32], sums: &mut [f32]) {
    let mut totals = uniform.start(sums);
    uniform.draws(seed, |at, d, [x, y]| {
        let weight = (f64::from(utilities[2 * d]) - f64::from(utilities[2 * d + 1])) / 2.0;
        totals[2 * at] += weight * x;
        totals[2 * at + 1] += weight * y;
    });
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = total as f32;
    }
}

/// The twin of the second stage.
pub(crate) fn gradient_sum(uniform: &Uniform, slice_sums: &[f32], gradient: &mut [f32]) {
    for (p, gradient) in gradient.iter_mut().enumerate() {
        let slices = slice_sums.chunks(2 * uniform.pairs as usize);
        *gradient = (f64::from(uniform.scale) * slices.map(|sums| f64::from(sums[p])).sum::<f64>()) as f32;
    }
}

fn partial_sums_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [utilities, seed, sums] = operands else { unreachable!("the partial sums have three operands") };
    partial_sums(&call.uniform(), utilities.f32(), seed.u32(), sums.f32());
}

fn gradient_sum_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [slice_sums, gradient] = operands else { unreachable!("the sum of the slices has two operands") };
    gradient_sum(&call.uniform(), slice_sums.f32(), gradient.f32());
}

/// The bounds of sums from the magnitudes of their terms, each off by `units`: a sum errs by [`sum_units`] of them, one
/// more for what it starts with. Weights may be flushed to zero, and normal deviates have squares below 34.
pub(crate) fn partial_sums_bounds(uniform: &Uniform, magnitudes: Vec<f64>, units: f64) -> Tolerance {
    let terms = (uniform.end - uniform.first) as usize + 1;
    let flushed = terms as f64 * 34.0 * f64::from(f32::MIN_POSITIVE);
    let bound = |magnitude: f64| (units + sum_units(terms)) * magnitude * Tolerance::EPSILON + flushed;
    Tolerance::PerElement(magnitudes.into_iter().map(bound).collect())
}

/// A term takes the deviate's error, and two roundings to either neighbour, of the difference and of the product.
fn partial_sums_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let utilities = operands[0].f32();
    let mut magnitudes: Vec<f64> = uniform.start(operands[2].f32()).into_iter().map(f64::abs).collect();
    uniform.draws(operands[1].u32(), |at, d, [x, y]| {
        let weight = (f64::from(utilities[2 * d]) - f64::from(utilities[2 * d + 1])).abs() / 2.0;
        magnitudes[2 * at] += weight * x.abs();
        magnitudes[2 * at + 1] += weight * y.abs();
    });
    partial_sums_bounds(&uniform, magnitudes, NORMAL_UNITS + 4.0)
}

/// A sum of the slices, and the product with the scale. Sums may be flushed to zero.
fn gradient_sum_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let slices = uniform.slices as usize;
    let bound = |p: usize| {
        let sums = operands[0].f32().chunks(2 * uniform.pairs as usize).map(|sums| f64::from(sums[p].abs()));
        let error = (sum_units(slices) + 3.0) * sums.sum::<f64>() * Tolerance::EPSILON;
        f64::from(uniform.scale.abs()) * (error + slices as f64 * f64::from(f32::MIN_POSITIVE))
    };
    Tolerance::PerElement((0..uniform.parameters as usize).map(bound).collect())
}

/// Draws a problem and its cut, then one of its dispatches; or, for a grid past 65,535 workgroups, one of narrow
/// workgroups, whose number is the second result.
pub(crate) fn cut(generator: &mut Generator) -> (Uniform, Option<usize>) {
    let huge = generator.huge();
    let parameters = if huge { 2 * NARROW * 65_537 + 1 } else { generator.length(400) };
    let directions = if huge { 2 } else { generator.length(80) };
    let stream = generator.pick(&[0, 3, u32::MAX]);
    let scale = generator.pick(&[1.0, -1.0, 0.037, -40.0]);
    let uniform = Uniform::new(parameters, directions, stream, scale, &generator.target());
    let most = generator.pick(&[1, uniform.sums(3), MOST_DRAWS]);
    let dispatches: Vec<Uniform> = uniform.dispatches(most, &Target::default()).collect();
    let uniform = generator.pick(&dispatches);
    (uniform, huge.then(|| (uniform.pairs as usize).div_ceil(NARROW)))
}

/// The content of the sums before a dispatch: in the first, what no one has written.
pub(crate) fn earlier_sums(generator: &mut Generator, uniform: &Uniform, width: usize) -> Data {
    match uniform.first {
        0 => Data::poison(Element::F32, uniform.sums(width)),
        _ => elementwise_layout::values(generator, uniform.sums(width), 1e30),
    }
}

/// The call with narrow workgroups, if the case asks for them.
pub(crate) fn narrowed(call: Call, workgroups: Option<usize>) -> Call {
    match workgroups {
        Some(workgroups) => call.with_grid(grid(workgroups)).with_constant("WORKGROUP", NARROW as u32),
        None => call,
    }
}

fn partial_sums_case(generator: &mut Generator) -> Case {
    let (uniform, narrow) = cut(generator);
    let narrow = narrow.map(|blocks| blocks * uniform.slices as usize);
    let utilities = generator.values(2 * uniform.directions as usize, 1e30);
    let seed = generator.indices(2, u32::MAX);
    let sums = earlier_sums(generator, &uniform, 2);
    Case::new(uniform, narrowed(partial_sums_call(&uniform), narrow), [utilities, seed, sums])
}

fn gradient_sum_case(generator: &mut Generator) -> Case {
    let (uniform, narrow) = cut(generator);
    let slice_sums = elementwise_layout::values_with_specials(generator, uniform.sums(2), 1e30);
    Case::new(uniform, narrowed(gradient_sum_call(&uniform), narrow), [slice_sums])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs the twins of a sequence.
    pub(crate) fn run(sequence: &Sequence, arguments: &mut [Data]) {
        let mut scratch: Vec<Data> =
            sequence.scratch.iter().map(|scratch| Data::poison(scratch.element, scratch.length)).collect();
        for step in &sequence.steps {
            let data = |slot: &Slot, arguments: &[Data], scratch: &[Data]| match *slot {
                Slot::Argument(index) => arguments[index].clone(),
                Slot::Scratch(index) => scratch[index].clone(),
            };
            let mut operands: Vec<Data> = step.operands.iter().map(|slot| data(slot, arguments, &scratch)).collect();
            step.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
            for (slot, operand) in step.operands.iter().zip(operands) {
                match *slot {
                    Slot::Argument(index) => arguments[index] = operand,
                    Slot::Scratch(index) => scratch[index] = operand,
                }
            }
        }
    }

    /// Every member of a population about zero with deviation 1, scored.
    pub(crate) fn scores(parameters: usize, directions: u32, seed: [u32; 2], score: impl Fn(&[f64]) -> f64) -> Data {
        let pairs = parameters.div_ceil(2) as u32;
        let members = (0..directions).flat_map(|d| {
            let normals = (0..pairs).flat_map(|pair| normal_pair(seed, 5, d * pairs + pair));
            let plus: Vec<f64> = normals.take(parameters).collect();
            let minus: Vec<f64> = plus.iter().map(|x| -x).collect();
            [score(&plus) as f32, score(&minus) as f32]
        });
        Data::F32(members.collect())
    }

    fn gradient(problem: &Problem, utilities: Data, target: &Target) -> Vec<f32> {
        let mut arguments = [utilities, Data::U32(vec![7, 8]), Data::poison(Element::F32, problem.parameters)];
        run(&problem.sequence(target).unwrap(), &mut arguments);
        arguments[2].f32().to_vec()
    }

    #[test]
    fn the_gradient_of_a_linear_score_is_its_slope_and_points_uphill() {
        let slopes = [3.0, -1.0, 0.5];
        let linear = |x: &[f64]| x.iter().zip(slopes).map(|(x, slope)| 10.0 + x * slope).sum();
        let utilities = scores(3, 4_000, [7, 8], linear);
        let problem = Problem { parameters: 3, directions: 4_000, stream: 5, sigma: 1.0, factor: 1.0 };
        let uphill = gradient(&problem, utilities.clone(), &Target::default());
        for (gradient, slope) in uphill.iter().zip(slopes) {
            // The variance of one direction is at most 2 * 3^2 + 1 + 0.25.
            assert!((f64::from(*gradient) - slope).abs() < 5.0 * (20.0f64 / 4_000.0).sqrt(), "{gradient} {slope}");
        }
        let downhill = gradient(&Problem { factor: -1.0, sigma: 0.5, ..problem }, utilities, &Target::default());
        for (downhill, uphill) in downhill.iter().zip(uphill) {
            assert!((downhill + 2.0 * uphill).abs() < 1e-5, "{downhill} {uphill}");
        }
    }

    #[test]
    fn the_gradient_does_not_depend_on_the_cut_into_slices_beyond_rounding() {
        let problem = Problem { parameters: 9, directions: 301, stream: 5, sigma: 1.0, factor: 1.0 };
        let utilities = scores(9, 301, [7, 8], |x| x.iter().map(|x| x.sin()).sum());
        let gpu = gradient(&problem, utilities.clone(), &Target::default());
        let software = gradient(&problem, utilities, &Target { software: true, ..Target::default() });
        assert!(gpu.iter().zip(software).all(|(gpu, software)| (gpu - software).abs() < 1e-5));
    }

    #[test]
    fn the_dispatches_take_every_direction_once() {
        for (parameters, directions, most) in [(913, 128, 1), (3, 5_000, 700), (100_000, 5_000, 1 << 22), (1, 1, 1)] {
            let uniform = Uniform::new(parameters, directions, 0, 1.0, &Target::default());
            let mut taken = vec![0; directions];
            for Uniform { first, end, .. } in uniform.dispatches(most, &Target::default()) {
                for slice in (0..uniform.slices * uniform.slice).step_by(uniform.slice as usize) {
                    (slice + first..(slice + end).min(directions as u32)).for_each(|d| taken[d as usize] += 1);
                }
            }
            assert!(taken.into_iter().all(|times| times == 1), "{uniform:?}");
        }
    }

    #[test]
    fn few_parameters_and_many_fill_a_gpu_within_a_few_megabytes_of_sums() {
        for (parameters, directions, invocations) in [(913, 128, 8_000), (100_000, 5_000, 100_000), (4, 5_000, 200)] {
            let uniform = Uniform::new(parameters, directions, 0, 1.0, &Target::default());
            assert!(uniform.slices * uniform.pairs >= invocations, "{uniform:?}");
            assert!(uniform.sums(4) * Element::BYTES <= 4 << 20, "{uniform:?}");
        }
    }
}
