//! The outer parameters of a population of antithetic pairs around a centre, for members that a graph trains (the
//! unrolls of [`inner_problem`](crate::inner_problem) draw theirs themselves):
//!
//! `theta[2 r, p] = center[p] + sigma * normal(d, p)`, `theta[2 r + 1, p] = center[p] - sigma * normal(d, p)`,
//! `d = first + r`
//!
//! `normal(d, p)` is what [`persistent_gradient`](crate::evolution::persistent_gradient) draws again: element `d * padded + p` of
//! what the place `stream` drew in unroll `drawn[d]` (see [`threefry`](crate::random::threefry)), `padded` being the parameters
//! rounded up to even. Several populations share one set of pairs, each from its `first` on. Members after the pairs
//! stand at the centre itself.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::NARROW;
use crate::random::threefry::{NORMAL_UNITS, normal_pair};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, grid,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "../library/random.wgsl", "perturb.wgsl"), passes);

/// The two members of a pair.
fn passes(_: &Call) -> u64 {
    3
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&PERTURB];

/// The parameters of all members.
pub static PERTURB: Kernel = MODULE
    .kernel(
        "perturb",
        &[
            Binding::read("center", "(parameters)"),
            Binding::read("seed", "(2): key, unroll").u32(),
            Binding::update("drawn", "(pairs of all populations)").u32(),
            Binding::write("theta", "(members, parameters)"),
        ],
        twin,
        tolerance,
        case,
    )
    .with_flops(|call| 2.0 * call.lengths[3] as f64);

/// The uniform block of `perturb.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub parameters: u32,
    pub parameter_pairs: u32,
    pub first: u32,
    pub present: u32,
    pub members: u32,
    pub renewed: u32,
    pub stream: u32,
    pub sigma: f32,
}

/// The members of a population; `pairs` times half the parameters is at most 2^32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of a member.
    pub parameters: usize,
    /// Pairs of all populations.
    pub pairs: usize,
    /// The first pair of this one.
    pub first: usize,
    /// Pairs of this one.
    pub present: usize,
    /// At least twice `present`; those after the pairs stand at the centre.
    pub members: usize,
    /// True if the pairs draw anew.
    pub renewed: bool,
    /// The number of the place that draws.
    pub stream: u32,
    /// The standard deviation of the perturbations.
    pub sigma: f32,
}

const WORKGROUP: usize = 64;

impl Problem {
    /// Returns the dispatch with operands `center`, `seed` (`u32`, 2), `drawn` (`u32`, `pairs`), `theta`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.call())
    }

    pub(crate) fn call(&self) -> Call {
        let uniform = Uniform {
            parameters: self.parameters as u32,
            parameter_pairs: self.parameters.div_ceil(2) as u32,
            first: self.first as u32,
            present: self.present as u32,
            members: self.members as u32,
            renewed: u32::from(self.renewed),
            stream: self.stream,
            sigma: self.sigma,
        };
        let lengths = [self.parameters, 2, self.pairs, self.members * self.parameters];
        Call::new(&PERTURB, &uniform, self.invocations().div_ceil(WORKGROUP), lengths)
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { parameters, pairs, first, present, members, .. } = *self;
        Sizes("perturb")
            .tensor(&[("members", members), ("parameters", parameters)])?
            .positive(&[("pairs", pairs)])?
            .present_pairs(first, present, pairs, members)?
            .draws(pairs, parameters)?
            .finite("sigma", self.sigma)
    }

    fn invocations(&self) -> usize {
        self.members.div_ceil(2) * self.parameters.div_ceil(2)
    }
}

/// The twin.
pub(crate) fn perturb(uniform: &Uniform, center: &[f32], seed: &[u32], drawn: &mut [u32], theta: &mut [f32]) {
    let parameters = uniform.parameters as usize;
    for (member, theta) in theta.chunks_mut(parameters).enumerate() {
        let change = changes(uniform, seed, drawn, member);
        for ((theta, &center), change) in theta.iter_mut().zip(center).zip(change) {
            *theta = (f64::from(center) + change) as f32;
        }
    }
    if uniform.renewed == 1 {
        drawn[uniform.first as usize..][..uniform.present as usize].fill(seed[1]);
    }
}

/// Returns the difference of each parameter of a member from the centre.
fn changes(uniform: &Uniform, seed: &[u32], drawn: &[u32], member: usize) -> Vec<f64> {
    let row = (member / 2) as u32;
    if row >= uniform.present {
        return vec![0.0; uniform.parameters as usize];
    }
    let d = uniform.first + row;
    let unroll = if uniform.renewed == 1 { seed[1] } else { drawn[d as usize] };
    let sign = if member.is_multiple_of(2) { 1.0 } else { -1.0 };
    let normals = (0..uniform.parameter_pairs).flat_map(|pair| {
        let element = d.wrapping_mul(uniform.parameter_pairs).wrapping_add(pair);
        normal_pair([seed[0], unroll], uniform.stream, element)
    });
    normals.take(uniform.parameters as usize).map(|normal| sign * f64::from(uniform.sigma) * normal).collect()
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [center, seed, drawn, theta] = operands else { unreachable!("perturb has four operands") };
    perturb(&call.uniform(), center.f32(), seed.u32(), drawn.u32(), theta.f32());
}

/// The deviate's error, a product and a sum, each rounded to either neighbour, and the rounding of the twin. Products and
/// centres may be flushed.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    if output != 3 {
        return Tolerance::Exact;
    }
    let uniform: Uniform = call.uniform();
    let [center, seed, drawn, _] = operands else { unreachable!("perturb has four operands") };
    let bounds = (0..uniform.members as usize).flat_map(|member| {
        let change = changes(&uniform, seed.u32(), drawn.u32(), member);
        let bound = |(change, center): (f64, &f32)| {
            let sum = f64::from(center.abs()) + change.abs();
            ((NORMAL_UNITS + 2.0) * change.abs() + 3.0 * sum) * Tolerance::EPSILON + 2.0 * f64::from(f32::MIN_POSITIVE)
        };
        change.into_iter().zip(center.f32()).map(bound).collect::<Vec<_>>()
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let parameters = if huge { 2 * NARROW * 65_537 + 1 } else { generator.length(300) };
    let present = if huge { 1 } else { generator.length(40) };
    let first = generator.pick(&[0, 1, 13]);
    let problem = Problem {
        parameters,
        pairs: first + present + generator.pick(&[0, 2]),
        first,
        present,
        members: 2 * present + generator.pick(&[0, 1, 2]),
        renewed: generator.chance(0.5),
        stream: generator.pick(&[0, 3, u32::MAX]),
        sigma: generator.pick(&[0.0, 1e-3, 0.3, 40.0]),
    };
    let center = crate::description::elementwise_layout::values(generator, parameters, 1e30);
    let seed = generator.indices(2, u32::MAX);
    let drawn = generator.indices(problem.pairs, u32::MAX);
    let mut call = problem.call();
    if huge {
        let workgroups = problem.invocations().div_ceil(NARROW);
        call = call.with_grid(grid(workgroups)).with_constant("WORKGROUP", NARROW as u32);
    }
    Case::new(problem, call, [center, seed, drawn])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Problem =
        Problem { parameters: 3, pairs: 4, first: 1, present: 2, members: 5, renewed: true, stream: 9, sigma: 0.5 };

    fn run(problem: &Problem, seed: [u32; 2], drawn: [u32; 4]) -> (Vec<f32>, Vec<u32>) {
        let inputs = [Data::F32(vec![1.0, -2.0, 4.0]), Data::U32(seed.to_vec()), Data::U32(drawn.to_vec())];
        let operands = Case::new((), problem.call(), inputs).expected();
        (operands[3].f32().to_vec(), operands[2].u32().to_vec())
    }

    #[test]
    fn a_pair_lies_on_both_sides_of_the_centre_and_what_follows_the_pairs_at_it() {
        let (theta, _) = run(&PROBLEM, [7, 8], [0; 4]);
        for pair in 0..2 {
            for (p, center) in [1.0, -2.0, 4.0].into_iter().enumerate() {
                let (plus, minus) = (theta[6 * pair + p], theta[6 * pair + 3 + p]);
                assert!((plus + minus - 2.0 * center).abs() < 1e-6 && plus != minus, "{plus} and {minus}");
            }
        }
        assert_eq!(theta[12..], [1.0, -2.0, 4.0]);
    }

    #[test]
    fn a_pair_that_is_not_renewed_keeps_the_draw_of_its_unroll() {
        let (first, drawn) = run(&PROBLEM, [7, 8], [5; 4]);
        assert_eq!(drawn, [5, 8, 8, 5]);
        let kept = Problem { renewed: false, ..PROBLEM };
        let (later, after) = run(&kept, [7, 30], [5, 8, 8, 5]);
        assert_eq!((later, after), (first.clone(), vec![5, 8, 8, 5]));
        assert_ne!(run(&PROBLEM, [7, 30], [5; 4]).0, first);
    }
}
