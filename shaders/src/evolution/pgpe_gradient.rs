//! The gradients of the expected utility for the centre and for the deviation of every parameter of a mirrored
//! population (PGPE with symmetric sampling: Sehnke et al., "Parameter-exploring policy gradients", 2010; as in
//! EvoJAX). With `e(d, p) = deviation[p] * normal(d, p)`:
//!
//! * `centre_gradient[p] = factor * mean_d (utilities[2 d] - utilities[2 d + 1]) / 2 * e(d, p)`
//! * `deviation_gradient[p] = mean_d excess[d] * (e(d, p)^2 - deviation[p]^2) / deviation[p]`, where
//!   `excess[d] = (utilities[2 d] + utilities[2 d + 1]) / 2 - mean of all utilities`
//!
//! Members `2 d` and `2 d + 1` stand at `centre +- e(d, .)`. Perturbations, the sign of the centre's gradient and the
//! optimisers that take it are as in [`evolution_gradient`](crate::evolution::evolution_gradient); the gradient of the deviation
//! always points uphill, as [`pgpe_deviation`](crate::evolution::pgpe_deviation) takes it.

use crate::description::elementwise_layout;
use crate::description::row_layout::sum_units;
use crate::evolution::evolution_gradient::{
    MOST_DRAWS, Uniform, WORKGROUP, cut, earlier_sums, narrowed, partial_sums_bounds,
};
use crate::random::threefry::NORMAL_UNITS;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/random.wgsl", "directions.wgsl", "pgpe_gradient.wgsl"), passes);

/// The directions of an invocation, twice, and its tree; those of a part of a slice; or the slices.
fn passes(call: &Call) -> u64 {
    if call.kernel.entry_point != "direction_weights" {
        return super::evolution_gradient::passes(call);
    }
    let Uniform { directions, .. } = call.uniform();
    let workgroup = call.constant("WORKGROUP").map_or(64, |workgroup| workgroup as u64);
    2 * (u64::from(directions).div_ceil(workgroup) + 1) + u64::from(workgroup.ilog2()) + 1
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&DIRECTION_WEIGHTS, &PARTIAL_SUMS, &GRADIENT_SUMS];

/// Half the difference of a direction's two utilities, and their mean beyond that of all.
pub static DIRECTION_WEIGHTS: Kernel = MODULE.kernel(
    "pgpe_gradient.direction_weights",
    &[Binding::read("utilities", "(members)"), Binding::write("weights", "(directions, 2)")],
    direction_weights_twin,
    direction_weights_tolerance,
    direction_weights_case,
);

/// The sums over the directions of each slice; those of two parameters' centres and of their deviations beside each
/// other.
pub static PARTIAL_SUMS: Kernel = MODULE.kernel(
    "pgpe_gradient.partial_sums",
    &[
        Binding::read("direction_weights", "(directions, 2)"),
        Binding::read("seed", "(2): key, generation").u32(),
        Binding::update("sums", "(slices, pairs, 4)"),
    ],
    partial_sums_twin,
    partial_sums_tolerance,
    partial_sums_case,
);

/// The sums over the slices, scaled.
pub static GRADIENT_SUMS: Kernel = MODULE
    .kernel(
        "pgpe_gradient.gradient_sums",
        &[
            Binding::read("slice_sums", "(slices, pairs, 4)"),
            Binding::read("deviation", "(parameters)"),
            Binding::write("centre_gradient", "(parameters)"),
            Binding::write("deviation_gradient", "(parameters)"),
        ],
        gradient_sums_twin,
        gradient_sums_tolerance,
        gradient_sums_case,
    )
    .with_flops(|call| call.lengths[0] as f64);

/// The gradients for `parameters` parameters from `directions` directions, two members each; `directions` times half
/// the parameters is at most 2^32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of a member.
    pub parameters: usize,
    /// Antithetic pairs of members.
    pub directions: usize,
    /// The number of the place that drew the perturbations.
    pub stream: u32,
    /// 1 for a gradient of the centre that points uphill, -1 for an optimiser that goes downhill.
    pub factor: f32,
}

impl Problem {
    /// The sequence with operands `utilities` (2 `directions`), `seed` (`u32`, 2), `deviation`, `centre_gradient` and
    /// `deviation_gradient` (`parameters` each).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let uniform = Uniform::new(self.parameters, self.directions, self.stream, self.factor, target);
        let mut sequence = Sequence::default();
        let [utilities, seed, deviation, centre_gradient, deviation_gradient] = [0, 1, 2, 3, 4].map(Slot::Argument);
        let weights = sequence.scratch(Element::F32, 2 * self.directions);
        let sums = sequence.scratch(Element::F32, uniform.sums(4));
        sequence.step(direction_weights_call(&uniform), [utilities, weights]);
        for uniform in uniform.dispatches(MOST_DRAWS, target) {
            sequence.step(partial_sums_call(&uniform), [weights, seed, sums]);
        }
        sequence.step(gradient_sums_call(&uniform), [sums, deviation, centre_gradient, deviation_gradient]);
        sizes.sequence(sequence)
    }

    fn check(&self) -> Result<Sizes, Error> {
        Sizes("pgpe_gradient")
            .positive(&[("parameters", self.parameters), ("directions", self.directions)])?
            .at_most(&[("members of a direction", 2), ("directions", self.directions)])?
            .draws(self.directions, self.parameters)?
            .finite("factor", self.factor)
    }
}

fn direction_weights_call(uniform: &Uniform) -> Call {
    let directions = uniform.directions as usize;
    let workgroup = directions.div_ceil(4).next_power_of_two().clamp(32, 256);
    Call::new(&DIRECTION_WEIGHTS, uniform, 1, [2 * directions, 2 * directions])
        .with_constant("WORKGROUP", workgroup as u32)
}

fn partial_sums_call(uniform: &Uniform) -> Call {
    uniform.partial_sums_call(&PARTIAL_SUMS, 4, 2 * uniform.directions as usize)
}

fn gradient_sums_call(uniform: &Uniform) -> Call {
    let parameters = uniform.parameters as usize;
    let lengths = [uniform.sums(4), parameters, parameters, parameters];
    Call::new(&GRADIENT_SUMS, uniform, (uniform.pairs as usize).div_ceil(WORKGROUP), lengths)
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f64 {
    let count = values.len() as f64;
    values.map(f64::from).sum::<f64>() / count
}

/// The twin of the preparation.
pub fn direction_weights(utilities: &[f32], weights: &mut [f32]) {
    let baseline = mean(utilities.iter().copied());
    for (weight, utility) in weights.chunks_mut(2).zip(utilities.chunks(2)) {
        let [plus, minus] = [0, 1].map(|member| f64::from(utility[member]));
        weight[0] = ((plus - minus) / 2.0) as f32;
        weight[1] = ((plus + minus) / 2.0 - baseline) as f32;
    }
}

/// The twin of the first stage.
pub(crate) fn partial_sums(uniform: &Uniform, direction_weights: &[f32], seed: &[u32], sums: &mut [f32]) {
    let mut totals = uniform.start(sums);
    uniform.draws(seed, |at, d, [x, y]| {
        let [difference, excess] = [0, 1].map(|weight| f64::from(direction_weights[2 * d + weight]));
        let terms = [difference * x, difference * y, excess * (x * x - 1.0), excess * (y * y - 1.0)];
        totals[4 * at..][..4].iter_mut().zip(terms).for_each(|(total, term)| *total += term);
    });
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = total as f32;
    }
}

/// The twin of the second stage.
pub(crate) fn gradient_sums(
    uniform: &Uniform,
    slice_sums: &[f32],
    deviation: &[f32],
    centre_gradient: &mut [f32],
    deviation_gradient: &mut [f32],
) {
    let slices = || slice_sums.chunks(4 * uniform.pairs as usize);
    for (p, &deviation) in deviation.iter().enumerate() {
        let at = 4 * (p / 2) + p % 2;
        let [centre, spread] = [at, at + 2].map(|at| slices().map(|sums| f64::from(sums[at])).sum::<f64>());
        let factor = f64::from(deviation) / f64::from(uniform.directions);
        centre_gradient[p] = (f64::from(uniform.scale) * factor * centre) as f32;
        deviation_gradient[p] = (factor * spread) as f32;
    }
}

fn direction_weights_twin(_: &Call, operands: &mut [Operand<'_>]) {
    let [utilities, weights] = operands else { unreachable!("the weights have two operands") };
    direction_weights(utilities.f32(), weights.f32());
}

fn partial_sums_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [direction_weights, seed, sums] = operands else { unreachable!("the partial sums have three operands") };
    partial_sums(&call.uniform(), direction_weights.f32(), seed.u32(), sums.f32());
}

fn gradient_sums_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [slice_sums, deviation, centre_gradient, deviation_gradient] = operands else {
        unreachable!("the sums of the slices have four operands")
    };
    let (centre_gradient, deviation_gradient) = (centre_gradient.f32(), deviation_gradient.f32());
    gradient_sums(&call.uniform(), slice_sums.f32(), deviation.f32(), centre_gradient, deviation_gradient);
}

/// The baseline is a sum ([`sum_units`] of the magnitudes) with a division of 5 units and the twin's rounding; a weight
/// has two additions more, of two units each. Halves of subnormal numbers may be flushed.
fn direction_weights_tolerance(_: &Call, operands: &[Data], _: usize) -> Tolerance {
    let utilities = operands[0].f32();
    let baseline = mean(utilities.iter().map(|utility| utility.abs()));
    let bounds = utilities.chunks(2).flat_map(|utility| {
        let own = mean(utility.iter().map(|utility| utility.abs()));
        let excess = 4.0 * own + (sum_units(utilities.len()) + 8.0) * baseline;
        [3.0 * own, excess].map(|units| units * Tolerance::EPSILON + 4.0 * f64::from(f32::MIN_POSITIVE))
    });
    Tolerance::PerElement(bounds.collect())
}

/// A term for the centre takes the deviate's error and the rounding of a product to either neighbour. For the deviation
/// the square doubles the deviate's error and is rounded itself, so are the difference and the product.
fn partial_sums_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let weights = operands[0].f32();
    let mut magnitudes: Vec<f64> = uniform.start(operands[2].f32()).into_iter().map(f64::abs).collect();
    uniform.draws(operands[1].u32(), |at, d, [x, y]| {
        let [difference, excess] = [0, 1].map(|weight| f64::from(weights[2 * d + weight].abs()));
        let terms = [difference * x.abs(), difference * y.abs(), excess * (x * x + 1.0), excess * (y * y + 1.0)];
        magnitudes[4 * at..][..4].iter_mut().zip(terms).for_each(|(magnitude, term)| *magnitude += term);
    });
    partial_sums_bounds(&uniform, magnitudes, 2.0 * NORMAL_UNITS + 6.0)
}

/// A sum of the slices, a division (5 units) and two products. Sums may be flushed to zero.
fn gradient_sums_tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let slices = uniform.slices as usize;
    let [sums, deviation] = [0, 1].map(|index| operands[index].f32());
    let bounds = deviation.iter().enumerate().map(|(p, deviation)| {
        let at = 4 * (p / 2) + p % 2 + if output == 2 { 0 } else { 2 };
        let sum: f64 = sums.chunks(4 * uniform.pairs as usize).map(|sums| f64::from(sums[at].abs())).sum();
        let error = (sum_units(slices) + 10.0) * sum * Tolerance::EPSILON;
        let flushed = (slices + 2) as f64 * f64::from(f32::MIN_POSITIVE);
        let scale = if output == 2 { f64::from(uniform.scale.abs()) } else { 1.0 };
        scale * (f64::from(deviation.abs()) + 1.0) * (error / f64::from(uniform.directions) + flushed)
    });
    Tolerance::PerElement(bounds.collect())
}

fn direction_weights_case(generator: &mut Generator) -> Case {
    let directions = generator.length(3_000);
    let uniform = Uniform::new(1, directions, 0, 1.0, &Target::default());
    let utilities = generator.values(2 * directions, 1e30);
    Case::new(directions, direction_weights_call(&uniform), [utilities])
}

fn partial_sums_case(generator: &mut Generator) -> Case {
    let (uniform, narrow) = cut(generator);
    let narrow = narrow.map(|blocks| blocks * uniform.slices as usize);
    let weights = generator.values(2 * uniform.directions as usize, 1e30);
    let seed = generator.indices(2, u32::MAX);
    let sums = earlier_sums(generator, &uniform, 4);
    Case::new(uniform, narrowed(partial_sums_call(&uniform), narrow), [weights, seed, sums])
}

fn gradient_sums_case(generator: &mut Generator) -> Case {
    let (uniform, narrow) = cut(generator);
    let slice_sums = elementwise_layout::values(generator, uniform.sums(4), 1e30);
    let deviation = elementwise_layout::values(generator, uniform.parameters as usize, 1e3);
    Case::new(uniform, narrowed(gradient_sums_call(&uniform), narrow), [slice_sums, deviation])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evolution::evolution_gradient::tests::{run, scores};

    fn gradients(problem: &Problem, utilities: Data, deviation: f32, target: &Target) -> [Vec<f32>; 2] {
        let poison = || Data::poison(Element::F32, problem.parameters);
        let deviation = Data::F32(vec![deviation; problem.parameters]);
        let mut arguments = [utilities, Data::U32(vec![7, 8]), deviation, poison(), poison()];
        run(&problem.sequence(target).unwrap(), &mut arguments);
        [3, 4].map(|index| arguments[index].f32().to_vec())
    }

    const PROBLEM: Problem = Problem { parameters: 3, directions: 4_000, stream: 5, factor: 1.0 };

    /// With `f = slope * x - curvature * x^2 / 2` the expectation is `f(centre) - curvature * deviation^2 / 2`.
    #[test]
    fn the_gradients_of_a_parabola_are_its_slope_and_minus_its_curvature() {
        let parabola = |x: &[f64]| 7.0 + 2.0 * x[0] + 0.5 * x[1] - 0.5 * (x[1] * x[1] + 3.0 * x[2] * x[2]);
        for target in [Target::default(), Target { software: true, ..Target::default() }] {
            let [centre, deviation] = gradients(&PROBLEM, scores(3, 4_000, [7, 8], parabola), 1.0, &target);
            for (got, expected) in centre.iter().chain(&deviation).zip([2.0, 0.5, 0.0, 0.0, -1.0, -3.0]) {
                // The variance of one direction is below 10^2 in every one of them.
                assert!((got - expected).abs() < 5.0 * 10.0 / 4_000f32.sqrt(), "{got} {expected}");
            }
        }
    }

    #[test]
    fn a_constant_utility_has_no_gradient() {
        let [centre, deviation] = gradients(&PROBLEM, Data::F32(vec![0.3; 8_000]), 1.0, &Target::default());
        assert_eq!(centre, [0.0; 3]);
        assert!(deviation.iter().all(|gradient| gradient.abs() < 1e-6), "{deviation:?}");
    }

    #[test]
    fn a_deviation_of_zero_has_zero_gradients() {
        let utilities = scores(3, 4_000, [7, 8], |x| x[0]);
        assert_eq!(gradients(&PROBLEM, utilities, 0.0, &Target::default()), [vec![0.0; 3], vec![0.0; 3]]);
    }
}
