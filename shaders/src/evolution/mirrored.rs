//! The weights of a mirrored population around a centre, for policies whose kernels read them from a buffer (those of
//! [rollouts](crate::rollout::unroll) draw theirs themselves):
//!
//! `theta[2 d, p] = center[p] + deviation[p] * normal(d, p)`, `theta[2 d + 1, p] = center[p] - deviation[p] * normal(d, p)`
//!
//! `normal(d, p)` is what [`pgpe_gradient`](crate::evolution::pgpe_gradient) and
//! [`evolution_gradient`](crate::evolution::evolution_gradient) draw again: element `d * padded + p` of what the place `stream`
//! drew in the seed's generation (see [`threefry`](crate::random::threefry)), `padded` being the parameters rounded up to even.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{NARROW, values};
use crate::random::threefry::{NORMAL_UNITS, normal_pair};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, grid,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "../library/random.wgsl", "mirrored.wgsl"), passes);

/// The two parameters of an invocation.
fn passes(_: &Call) -> u64 {
    3
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&MIRRORED];

/// The weights of all members.
pub static MIRRORED: Kernel = MODULE
    .kernel(
        "mirrored",
        &[
            Binding::read("center", "(parameters)"),
            Binding::read("deviation", "(parameters)"),
            Binding::read("seed", "(2): key, generation").u32(),
            Binding::write("theta", "(2 directions, parameters)"),
        ],
        twin,
        tolerance,
        case,
    )
    .with_entry_point("mirror")
    .with_flops(|call| 2.0 * call.lengths[3] as f64);

/// The uniform block of `mirrored.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub parameters: u32,
    pub parameter_pairs: u32,
    pub directions: u32,
    pub stream: u32,
}

/// The members of a population; `directions` times half the parameters is at most 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Parameters of a member.
    pub parameters: usize,
    /// Antithetic pairs of members.
    pub directions: usize,
    /// The number of the place that draws.
    pub stream: u32,
}

const WORKGROUP: usize = 64;

impl Problem {
    /// Returns the dispatch with operands `center`, `deviation`, `seed` (`u32`, 2), `theta`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        Sizes("mirrored")
            .tensor(&[("directions", self.directions), ("members of a pair", 2), ("parameters", self.parameters)])?
            .draws(self.directions, self.parameters)?
            .sequence(self.call())
    }

    pub(crate) fn call(&self) -> Call {
        let Self { parameters, directions, stream } = *self;
        let uniform = Uniform {
            parameters: parameters as u32,
            parameter_pairs: parameters.div_ceil(2) as u32,
            directions: directions as u32,
            stream,
        };
        let lengths = [parameters, parameters, 2, 2 * directions * parameters];
        Call::new(&MIRRORED, &uniform, self.invocations().div_ceil(WORKGROUP), lengths)
    }

    fn invocations(&self) -> usize {
        self.directions * self.parameters.div_ceil(2)
    }
}

/// The differences of the parameters of a pair from the centre.
fn changes(uniform: &Uniform, deviation: &[f32], seed: &[u32], direction: usize) -> impl Iterator<Item = f64> {
    let first = (direction as u32).wrapping_mul(uniform.parameter_pairs);
    let key = [seed[0], seed[1]];
    let stream = uniform.stream;
    let pairs = 0..uniform.parameter_pairs;
    let normals = pairs.flat_map(move |pair| normal_pair(key, stream, first.wrapping_add(pair)));
    normals.zip(deviation).map(|(normal, &deviation)| f64::from(deviation) * normal)
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [center, deviation, seed, theta] = operands else { unreachable!("mirrored has four operands") };
    let uniform: Uniform = call.uniform();
    let parameters = uniform.parameters as usize;
    for (direction, pair) in theta.f32().chunks_mut(2 * parameters).enumerate() {
        let (plus, minus) = pair.split_at_mut(parameters);
        for (p, change) in changes(&uniform, deviation.f32(), seed.u32(), direction).enumerate() {
            let center = f64::from(center.f32()[p]);
            (plus[p], minus[p]) = ((center + change) as f32, (center - change) as f32);
        }
    }
}

/// The deviate's error, a product and a sum, each rounded to either neighbour, and the rounding of the twin. Products and
/// centres may be flushed.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let [center, deviation, seed, _] = operands else { unreachable!("mirrored has four operands") };
    let uniform: Uniform = call.uniform();
    let bounds = (0..uniform.directions as usize).flat_map(|direction| {
        let bound = |(change, &center): (f64, &f32)| {
            let sum = f64::from(center.abs()) + change.abs();
            ((NORMAL_UNITS + 2.0) * change.abs() + 3.0 * sum) * Tolerance::EPSILON + 8.0 * f64::from(f32::MIN_POSITIVE)
        };
        let of_pair = changes(&uniform, deviation.f32(), seed.u32(), direction).zip(center.f32()).map(bound);
        let of_pair: Vec<f64> = of_pair.collect();
        [of_pair.clone(), of_pair].concat()
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let problem = Problem {
        parameters: if huge { 2 * NARROW * 65_537 + 1 } else { generator.length(300) },
        directions: if huge { 1 } else { generator.length(40) },
        stream: generator.pick(&[0, 3, u32::MAX]),
    };
    let center = values(generator, problem.parameters, 1e30);
    let deviation = (0..problem.parameters).map(|_| generator.pick(&[0.0, 1e-3, 0.3, 40.0])).collect();
    let seed = generator.indices(2, u32::MAX);
    let mut call = problem.call();
    if huge {
        let workgroups = problem.invocations().div_ceil(NARROW);
        call = call.with_grid(grid(workgroups)).with_constant("WORKGROUP", NARROW as u32);
    }
    Case::new(problem, call, [center, Data::F32(deviation), seed])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evolution::perturb;

    #[test]
    fn members_of_equal_deviations_are_those_of_a_fixed_one() {
        let [center, seed] = [Data::F32(vec![1.0, -2.0, 4.0]), Data::U32(vec![7, 8])];
        let problem = Problem { parameters: 3, directions: 2, stream: 9 };
        let inputs = [center.clone(), Data::F32(vec![0.5; 3]), seed.clone()];
        let own = Case::new((), problem.call(), inputs).expected().swap_remove(3);
        let fixed = perturb::Problem {
            parameters: 3,
            pairs: 2,
            first: 0,
            present: 2,
            members: 4,
            renewed: true,
            stream: 9,
            sigma: 0.5,
        };
        let inputs = [center, seed, Data::U32(vec![0; 2])];
        assert_eq!(own, Case::new((), fixed.call(), inputs).expected().swap_remove(3));
    }

    #[test]
    fn a_parameter_without_deviation_stays_at_the_centre() {
        let problem = Problem { parameters: 2, directions: 1, stream: 0 };
        let inputs = [Data::F32(vec![3.0, 5.0]), Data::F32(vec![0.0, 1.0]), Data::U32(vec![1, 2])];
        let theta = Case::new((), problem.call(), inputs).expected().swap_remove(3);
        let theta = theta.f32();
        assert_eq!([theta[0], theta[2]], [3.0, 3.0]);
        assert!(theta[1] != 5.0 && (theta[1] + theta[3] - 10.0).abs() < 1e-6, "{theta:?}");
    }
}
