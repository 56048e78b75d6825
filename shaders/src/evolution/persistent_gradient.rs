//! The gradient that antithetic pairs estimate from truncated unrolls, and the accumulators of their perturbations:
//! persistent evolution strategies (Vicol et al., "Unbiased gradient estimation in unrolled computation graphs with
//! persistent evolution strategies", 2021) and their kin.
//!
//! `gradient[p] = 1 / (2 pairs sigma) * sum_d (a[d] xi[d, p] + b[d] normal(d, p))`,
//! `xi[d, p] = keep[d] xi[d, p] + add[d] normal(d, p)`
//!
//! The particles of pair d stand at `centre +- sigma * normal(d, .)`; a, b, keep and add say which losses count with which
//! perturbations, and are what estimators differ in (see [`inner_problem`](crate::inner_problem)): persistent ones have
//! `a = b = L+ - L-` and keep everything until an inner problem ends, evolution strategies have `a = keep = add = 0`.
//! Perturbations are drawn again, never stored: `normal(d, p)` is element `d * padded + p` of what the place `stream`
//! drew in unroll `drawn[d]` (see [`threefry`](crate::random::threefry)), `padded` being the parameters rounded up to even.
//!
//! The gradient is that of the loss: the optimisers of this crate go downhill along it.

use bytemuck::{Pod, Zeroable};

use crate::evolution::evolution_gradient::{self, MOST_DRAWS, WORKGROUP, partial_sums_bounds};
use crate::random::threefry::{NORMAL_UNITS, normal_pair};
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target,
    Tolerance,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/random.wgsl", "persistent_gradient.wgsl"), passes);

/// The pairs of a part of a slice.
fn passes(call: &Call) -> u64 {
    let Uniform { first, end, .. } = call.uniform();
    1 + u64::from(end - first)
}

/// The kernels of this file; the sums over the slices are added by [`evolution_gradient::GRADIENT_SUM`].
pub const KERNELS: &[&Kernel] = &[&PARTIAL_SUMS];

/// The sums over the pairs of each slice, and the accumulators.
pub static PARTIAL_SUMS: Kernel = MODULE
    .kernel(
        "persistent_gradient",
        &[
            Binding::read("shares", "(6, pairs): a, b, keep, add, and two others"),
            Binding::read("drawn", "(pairs)").u32(),
            Binding::read("seed", "(2): key, unroll").u32(),
            Binding::update("accumulators", "(present, parameters rounded up to even), or (2)"),
            Binding::update("sums", "(slices, parameters rounded up to even)"),
        ],
        twin,
        tolerance,
        case,
    )
    .with_entry_point("partial_sums");

/// The uniform block of `persistent_gradient.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub parameters: u32,
    pub parameter_pairs: u32,
    pub pairs: u32,
    pub offset: u32,
    pub present: u32,
    pub slices: u32,
    pub slice: u32,
    pub first: u32,
    pub end: u32,
    pub resumed: u32,
    pub stream: u32,
}

/// The gradient for `parameters` parameters from `pairs` antithetic pairs; `pairs` times half the parameters is at most
/// 2^32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of a particle.
    pub parameters: usize,
    /// Antithetic pairs of particles.
    pub pairs: usize,
    /// The number of the place that drew the perturbations.
    pub stream: u32,
    /// The standard deviation of the perturbations, above 0.
    pub sigma: f32,
    /// True if perturbations are accumulated: otherwise a, keep and add are 0 for all.
    pub accumulated: bool,
}

/// Numbers of accumulators in one buffer, at most: WebGPU's default limit of a binding, 128 MiB.
const SHARD: usize = 1 << 25;

impl Problem {
    /// The pairs of each buffer of accumulators: one buffer, or as many as WebGPU's limit of a binding asks for.
    fn shards(&self) -> Vec<usize> {
        let most = (SHARD / self.parameters.next_multiple_of(2)).clamp(1, self.pairs);
        let whole = self.pairs.div_ceil(most);
        let shard = self.pairs.div_ceil(whole);
        (0..self.pairs).step_by(shard).map(|first| shard.min(self.pairs - first)).collect()
    }

    /// Returns the elements of each buffer of accumulators.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn accumulators(&self) -> Result<Vec<usize>, Error> {
        self.check()?;
        if !self.accumulated {
            return Ok(vec![2]);
        }
        Ok(self.shards().into_iter().map(|pairs| pairs * self.parameters.next_multiple_of(2)).collect())
    }

    /// Pairs of a slice on a target: the order of the sums.
    pub(crate) fn slice(&self, target: &Target) -> u32 {
        self.cut(target).slice
    }

    pub(crate) fn scale(&self) -> f64 {
        0.5 / (self.pairs as f64 * f64::from(self.sigma))
    }

    fn check(&self) -> Result<Sizes, Error> {
        Sizes("persistent_gradient")
            .positive(&[("parameters", self.parameters), ("pairs", self.pairs)])?
            .at_most(&[("shares", crate::inner_problem::SHARES), ("pairs", self.pairs)])?
            .draws(self.pairs, self.parameters)?
            .above_zero("sigma", self.sigma)?
            .finite("0.5 / (pairs * sigma)", self.scale() as f32)
    }

    /// The cut into slices of the first buffer of accumulators, which no other exceeds.
    fn cut(&self, target: &Target) -> evolution_gradient::Uniform {
        let present = if self.accumulated { self.shards()[0] } else { self.pairs };
        evolution_gradient::Uniform::new(self.parameters, present, self.stream, self.scale() as f32, target)
    }

    /// The dispatches with arguments `shares`, `drawn` (`u32`), `seed` (`u32`), `gradient`, and then the buffers of
    /// [accumulators](Self::accumulators).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let (partial, last) = self.calls(target);
        let [shares, drawn, seed, gradient] = Slot::arguments();
        let mut sequence = Sequence::default();
        let sums = sequence.scratch(Element::F32, self.cut(target).sums(2));
        for (shard, call) in partial {
            sequence.step(call, [shares, drawn, seed, Slot::Argument(4 + shard), sums]);
        }
        sequence.step(last, [sums, gradient]);
        sizes.sequence(sequence)
    }

    /// The calls of each buffer of accumulators, with its number, and last the sum of their partial sums.
    fn calls(&self, target: &Target) -> (Vec<(usize, Call)>, Call) {
        let cut = self.cut(target);
        let shards = if self.accumulated { self.shards() } else { vec![self.pairs] };
        let (mut calls, mut offset) = (Vec::new(), 0);
        for (shard, present) in shards.into_iter().enumerate() {
            for part in cut.dispatches(MOST_DRAWS, target) {
                let uniform = Uniform {
                    parameters: cut.parameters,
                    parameter_pairs: cut.pairs,
                    pairs: self.pairs as u32,
                    offset,
                    present: present as u32,
                    slices: cut.slices,
                    slice: cut.slice,
                    first: part.first,
                    end: part.end,
                    resumed: u32::from(!calls.is_empty()),
                    stream: self.stream,
                };
                calls.push((shard, uniform.call(self.accumulated)));
            }
            offset += present as u32;
        }
        (calls, evolution_gradient::gradient_sum_call(&cut))
    }
}

impl Uniform {
    fn call(&self, accumulated: bool) -> Call {
        let workgroups = (self.parameter_pairs as usize).div_ceil(WORKGROUP) * self.slices as usize;
        let numbers = 2 * self.parameter_pairs as usize;
        let accumulators = if accumulated { self.present as usize * numbers } else { 2 };
        let shares = crate::inner_problem::SHARES * self.pairs as usize;
        let lengths = [shares, self.pairs as usize, 2, accumulators, self.slices as usize * numbers];
        Call::new(&PARTIAL_SUMS, self, workgroups, lengths).with_constant("ACCUMULATED", u32::from(accumulated))
    }

    /// Every pair and two parameters of a dispatch: the number of their sum, of the pair here and in the population, and
    /// of the two parameters.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        for slice in 0..self.slices {
            let start = slice * self.slice;
            for present in start + self.first..(start + self.end).min(self.present) {
                for pair in 0..self.parameter_pairs {
                    let at = slice * self.parameter_pairs + pair;
                    visit(at as usize, present as usize, (self.offset + present) as usize, pair as usize);
                }
            }
        }
    }

    fn normals(&self, key: u32, drawn: &[u32], d: usize, pair: usize) -> [f64; 2] {
        let element = (d as u32).wrapping_mul(self.parameter_pairs).wrapping_add(pair as u32);
        normal_pair([key, drawn[d]], self.stream, element)
    }
}

fn accumulated(call: &Call) -> bool {
    call.constant("ACCUMULATED") != Some(0.0)
}

/// The twin of the first stage.
fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let uniform: Uniform = call.uniform();
    let accumulated = accumulated(call);
    let [shares, drawn, seed, accumulators, sums] = operands else { unreachable!("five operands") };
    let (shares, drawn, key) = (shares.f32(), drawn.u32(), seed.u32()[0]);
    let (accumulators, sums) = (accumulators.f32(), sums.f32());
    let start = |&sum: &f32| if uniform.resumed == 1 { f64::from(sum) } else { 0.0 };
    let mut totals: Vec<f64> = sums.iter().map(start).collect();
    let numbers = 2 * uniform.parameter_pairs as usize;
    uniform.each(|at, present, d, pair| {
        let [a, b, keep, add] = [0, 1, 2, 3].map(|row| f64::from(shares[row * uniform.pairs as usize + d]));
        let normals = uniform.normals(key, drawn, d, pair);
        for (i, normal) in normals.into_iter().enumerate() {
            totals[2 * at + i] += b * normal;
            if accumulated {
                let xi = &mut accumulators[present * numbers + 2 * pair + i];
                totals[2 * at + i] += a * f64::from(*xi);
                *xi = (if keep != 0.0 { f64::from(*xi) } else { 0.0 } + add * normal) as f32;
            }
        }
    });
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = total as f32;
    }
}

/// A term takes the deviate's error and two roundings; an accumulator takes the deviate's and one.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let (shares, drawn, key) = (operands[0].f32(), operands[1].u32(), operands[2].u32()[0]);
    let accumulators = operands[3].f32();
    let numbers = 2 * uniform.parameter_pairs as usize;
    let share = |row: usize, d: usize| f64::from(shares[row * uniform.pairs as usize + d]);
    if binding == 3 {
        let mut bounds = vec![0.0; accumulators.len()];
        if accumulated(call) {
            uniform.each(|_, present, d, pair| {
                for (i, normal) in uniform.normals(key, drawn, d, pair).into_iter().enumerate() {
                    let at = present * numbers + 2 * pair + i;
                    let kept = if share(2, d) == 0.0 { 0.0 } else { f64::from(accumulators[at]).abs() };
                    let magnitude = kept + (share(3, d) * normal).abs();
                    bounds[at] = (NORMAL_UNITS + 2.0) * magnitude * Tolerance::EPSILON;
                }
            });
        }
        return Tolerance::PerElement(bounds);
    }
    let start = |&sum: &f32| if uniform.resumed == 1 { f64::from(sum).abs() } else { 0.0 };
    let mut magnitudes: Vec<f64> = operands[4].f32().iter().map(start).collect();
    uniform.each(|at, present, d, pair| {
        for (i, normal) in uniform.normals(key, drawn, d, pair).into_iter().enumerate() {
            magnitudes[2 * at + i] += (share(1, d) * normal).abs();
            if accumulated(call) {
                magnitudes[2 * at + i] +=
                    (share(0, d) * f64::from(accumulators[present * numbers + 2 * pair + i])).abs();
            }
        }
    });
    // Two terms for each pair.
    let terms = 2 * (uniform.end - uniform.first) + 1;
    let cut = evolution_gradient::Uniform {
        parameters: uniform.parameters,
        pairs: uniform.parameter_pairs,
        directions: uniform.present,
        slices: uniform.slices,
        slice: uniform.slice,
        first: 0,
        end: terms,
        stream: uniform.stream,
        scale: 1.0,
    };
    partial_sums_bounds(&cut, magnitudes, NORMAL_UNITS + 4.0)
}

fn case(generator: &mut Generator) -> Case {
    let accumulated = generator.chance(0.7);
    let huge = generator.huge();
    let problem = Problem {
        parameters: if huge { 2 * 65_537 * WORKGROUP + 1 } else { generator.length(300) },
        pairs: if huge { 2 } else { generator.length(60) },
        stream: generator.pick(&[0, 3, u32::MAX]),
        sigma: 0.3,
        accumulated,
    };
    let cut = problem.cut(&generator.target());
    let most = generator.pick(&[1, cut.sums(3), MOST_DRAWS]);
    let parts: Vec<_> = cut.dispatches(most, &Target::default()).collect();
    let part = parts[generator.indices(1, parts.len() as u32).u32()[0] as usize];
    // A buffer in the middle of a population, the last of its slices perhaps empty.
    let before = generator.pick(&[0, 0, 3]);
    let present = problem.pairs.min(generator.pick(&[problem.pairs, problem.pairs, 1]));
    let uniform = Uniform {
        parameters: cut.parameters,
        parameter_pairs: cut.pairs,
        pairs: (before + problem.pairs) as u32,
        offset: before as u32,
        present: present as u32,
        slices: cut.slices,
        slice: cut.slice,
        first: part.first,
        end: part.end,
        resumed: generator.chance(0.5).into(),
        stream: problem.stream,
    };
    let call = uniform.call(accumulated);
    let pairs = uniform.pairs as usize;
    let mut shares: Vec<f32> = (0..6 * pairs).map(|_| generator.normal()).collect();
    for d in 0..pairs {
        shares[2 * pairs + d] = generator.pick(&[0.0, 1.0]);
        shares[3 * pairs + d] = generator.pick(&[0.0, 1.0]);
        if generator.chance(0.3) {
            shares[pairs + d] = 0.0;
        }
    }
    let drawn = generator.indices(pairs, u32::MAX);
    let seed = generator.indices(2, u32::MAX);
    let mut values = |count: usize| Data::F32((0..count).map(|_| generator.normal()).collect());
    let (mut accumulators, sums) = (values(call.lengths[3]), values(call.lengths[4]));
    if accumulated && !huge && generator.chance(0.2) {
        // An unroll that ended in no number leaves nothing to the next one.
        uniform.each(|_, present, d, pair| {
            if shares[2 * pairs + d] == 0.0 && generator.chance(0.1) {
                let Data::F32(numbers) = &mut accumulators else { unreachable!("drawn as f32") };
                numbers[(present * uniform.parameter_pairs as usize + pair) * 2] = f32::NAN;
            }
        });
    }
    Case::new((uniform, accumulated), call, [Data::F32(shares), drawn, seed, accumulators, sums])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;

    #[test]
    fn accumulators_of_ten_thousand_particles_over_a_hundred_thousand_parameters_lie_in_bindings_of_the_default_size() {
        let problem = Problem { parameters: 100_000, pairs: 5_000, stream: 0, sigma: 0.1, accumulated: true };
        let shards = problem.accumulators().unwrap();
        assert_eq!(shards.iter().sum::<usize>(), 5_000 * 100_000);
        assert!(shards.iter().all(|&numbers| numbers * Element::BYTES <= 128 << 20), "{shards:?}");
        let (calls, _) = problem.calls(&Target::default());
        assert!((0..shards.len()).all(|shard| calls.iter().any(|(of, _)| *of == shard)));
    }

    #[test]
    fn every_pair_is_visited_once_whatever_the_cut() {
        for (parameters, pairs) in [(2, 50), (2, 5_000), (1_000, 70_000), (7, 1)] {
            let problem = Problem { parameters, pairs, stream: 0, sigma: 0.1, accumulated: true };
            let mut visits = vec![0; pairs];
            for (_, call) in problem.calls(&Target::default()).0 {
                call.uniform::<Uniform>().each(|_, _, d, pair| visits[d] += usize::from(pair == 0));
            }
            assert!(visits.iter().all(|&visits| visits == 1), "{parameters} {pairs}");
        }
    }
}
