//! The fitness of every member of a population, the mean of its episodes' returns, and one row of metrics that sums up
//! a generation: small enough for a [`ring`](crate::optimiser::ring), so that progress is read behind, never within, a generation.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, NARROW};
use crate::description::row_layout::sum_units;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, grid,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("fitness.wgsl"), passes);

/// The episodes of a member; or the members and all their episodes, shared out, and the tree of the workgroup.
fn passes(call: &Call) -> u64 {
    let Uniform { members, episodes } = call.uniform();
    if call.kernel.entry_point == "mean" {
        return 1 + u64::from(episodes);
    }
    let workgroup = call.constant("WORKGROUP").map_or(64, |workgroup| workgroup as u64);
    let shared = |count: u64| count.div_ceil(workgroup) + 1;
    shared(members.into()) + shared(u64::from(members) * u64::from(episodes)) + u64::from(workgroup.ilog2()) + 1
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&MEAN, &SUMMARY];

/// `fitness[m] = sum_e returns[m, e] / episodes`; a NaN among a member's returns makes its fitness a NaN, and no
/// other's.
pub static MEAN: Kernel = MODULE
    .kernel(
        "fitness.mean",
        &[Binding::read("returns", "(members, episodes)"), Binding::write("fitness", "(members)")],
        mean_twin,
        mean_tolerance,
        mean_case,
    )
    .with_flops(|call| call.lengths[0] as f64);

/// One row that sums up a generation, see [`Summary`].
pub static SUMMARY: Kernel = MODULE.kernel(
    "fitness.summary",
    &[
        Binding::read("member_fitness", "(members)"),
        Binding::read("lengths", "(members, episodes): steps of each episode").u32(),
        Binding::write("metrics", "(7)"),
    ],
    summary_twin,
    summary_tolerance,
    summary_case,
);

/// The uniform block of `fitness.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub members: u32,
    pub episodes: u32,
}

/// A population of `members` members with `episodes` episodes each, both at least 1, fewer than 2^32 episodes in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Members of the population.
    pub members: usize,
    /// Episodes of each member.
    pub episodes: usize,
}

impl Problem {
    fn uniform(&self) -> Uniform {
        Uniform { members: self.members as u32, episodes: self.episodes as u32 }
    }

    /// Returns the dispatch with operands `returns` (`members`, `episodes`), `fitness` (`members`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("fitness").tensor(&[("members", self.members), ("episodes", self.episodes)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        const WORKGROUP: usize = 64;
        let lengths = [self.members * self.episodes, self.members];
        Call::new(&MEAN, &self.uniform(), self.members.div_ceil(WORKGROUP), lengths)
    }

    /// Returns the dispatch with operands `fitness` (`members`), `lengths` (`u32`; `members`, `episodes`), `metrics`
    /// ([`Summary::COLUMNS`]).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn summary(&self, _: &Target) -> Result<Sequence, Error> {
        Sizes("fitness")
            .tensor(&[("members", self.members), ("episodes", self.episodes)])?
            .sequence(self.summary_call())
    }

    fn summary_call(&self) -> Call {
        let lengths = [self.members, self.members * self.episodes, Summary::COLUMNS.len()];
        let workgroup = (self.members * self.episodes).div_ceil(8).next_power_of_two().clamp(32, 256);
        Call::new(&SUMMARY, &self.uniform(), 1, lengths).with_constant("WORKGROUP", workgroup as u32)
    }
}

/// The row of `fitness.summary`, which sums up a generation. Members whose fitness is a NaN count only in `failed`;
/// where all are, the fitnesses here are 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The mean fitness.
    pub mean: f32,
    /// The largest fitness.
    pub best: f32,
    /// The smallest fitness.
    pub worst: f32,
    /// Steps of an episode on average.
    pub mean_length: f32,
    /// Steps of all episodes, exact below 2^48.
    pub steps: u64,
    /// Members whose fitness is a NaN.
    pub failed: u32,
}

impl Summary {
    /// The elements of a row; the steps are `steps_high * 2^24 + steps_low`, both parts exact in `f32`.
    pub const COLUMNS: [&str; 7] = ["mean", "best", "worst", "mean_length", "steps_high", "steps_low", "failed"];

    /// The meaning of a row that the kernel wrote.
    pub fn from_row(row: [f32; Self::COLUMNS.len()]) -> Self {
        let [mean, best, worst, mean_length, steps_high, steps_low, failed] = row;
        let steps = (steps_high as u64).saturating_mul(1 << 24).saturating_add(steps_low as u64);
        Self { mean, best, worst, mean_length, steps, failed: failed as u32 }
    }
}

/// The twin of `fitness.mean`.
pub(crate) fn mean(uniform: &Uniform, returns: &[f32], fitness: &mut [f32]) {
    for (fitness, returns) in fitness.iter_mut().zip(returns.chunks(uniform.episodes as usize)) {
        *fitness = (returns.iter().map(|&x| f64::from(x)).sum::<f64>() / f64::from(uniform.episodes)) as f32;
    }
}

/// The twin of `fitness.summary`.
pub(crate) fn summary(uniform: &Uniform, member_fitness: &[f32], lengths: &[u32], metrics: &mut [f32]) {
    let numbers: Vec<f32> = member_fitness.iter().copied().filter(|fitness| !fitness.is_nan()).collect();
    let sum: f64 = numbers.iter().map(|&fitness| f64::from(fitness)).sum();
    let steps: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    metrics[0] = (sum / numbers.len().max(1) as f64) as f32;
    metrics[1] = numbers.iter().copied().reduce(f32::max).unwrap_or(0.0);
    metrics[2] = numbers.iter().copied().reduce(f32::min).unwrap_or(0.0);
    metrics[3] = (steps as f64 / (f64::from(uniform.members) * f64::from(uniform.episodes))) as f32;
    metrics[4] = (steps >> 24) as f32;
    metrics[5] = (steps & 0xFF_FFFF) as f32;
    metrics[6] = (member_fitness.len() - numbers.len()) as f32;
}

fn mean_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [returns, fitness] = operands else { unreachable!("fitness.mean has two operands") };
    mean(&call.uniform(), returns.f32(), fitness.f32());
}

fn summary_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [member_fitness, lengths, metrics] = operands else { unreachable!("fitness.summary has three operands") };
    summary(&call.uniform(), member_fitness.f32(), lengths.u32(), metrics.f32());
}

/// A sum errs by [`sum_units`] of the magnitudes of its terms, the division by 5 units of the result and the number of
/// terms by one, which is rounded past 2^24.
fn mean_bound(terms: impl ExactSizeIterator<Item = f32>) -> f64 {
    let count = terms.len().max(1);
    let magnitude = terms.map(|term| f64::from(term.abs())).sum::<f64>() / count as f64;
    (sum_units(count) + 6.0) * magnitude * Tolerance::EPSILON
}

fn mean_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { episodes, .. } = call.uniform();
    let members = operands[0].f32().chunks(episodes as usize);
    Tolerance::PerElement(members.map(|returns| mean_bound(returns.iter().copied())).collect())
}

/// The mean length takes two roundings of its parts, one of their sum, one of the number of episodes and a division.
/// All but the two means are exact.
fn summary_tolerance(_: &Call, operands: &[Data], _: usize) -> Tolerance {
    let numbers: Vec<f32> = operands[0].f32().iter().copied().filter(|fitness| !fitness.is_nan()).collect();
    let lengths = operands[1].u32();
    let length = lengths.iter().map(|&length| f64::from(length)).sum::<f64>() / lengths.len() as f64;
    let mut bounds = [0.0; Summary::COLUMNS.len()];
    bounds[0] = mean_bound(numbers.into_iter());
    bounds[3] = 12.0 * length * Tolerance::EPSILON;
    Tolerance::PerElement(bounds.to_vec())
}

fn mean_case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let members = if huge { NARROW * 65_537 + 1 } else { generator.length(5_000) };
    let problem = Problem { members, episodes: if huge { 2 } else { generator.length(40) } };
    let mut call = problem.call(&Target::default());
    if huge {
        // Past 65,535 workgroups by narrow workgroups.
        call = call.with_grid(grid(members.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    let returns = elementwise_layout::values_with_specials(generator, members * problem.episodes, 1e30);
    Case::new(problem, call, [returns])
}

fn summary_case(generator: &mut Generator) -> Case {
    let problem = Problem { members: generator.length(2_000), episodes: generator.length(40) };
    let mut fitness = generator.values(problem.members, 1e30).f32().to_vec();
    let share = generator.pick(&[0.0, 0.0, 0.1, 1.0]);
    for fitness in &mut fitness {
        if generator.chance(share) {
            *fitness = generator.pick(&[f32::NAN, -f32::NAN]);
        }
    }
    let bound = generator.pick(&[1, 1_000, u32::MAX]);
    let lengths = generator.indices(problem.members * problem.episodes, bound);
    Case::new(problem, problem.summary_call(), [Data::F32(fitness), lengths])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fitness_of_a_member_is_the_mean_of_its_own_returns() {
        let mut fitness = [f32::NAN; 2];
        mean(&Uniform { members: 2, episodes: 3 }, &[1.0, 2.0, 6.0, f32::NAN, 0.0, 0.0], &mut fitness);
        assert_eq!(fitness[0], 3.0);
        assert!(fitness[1].is_nan());
    }

    #[test]
    fn a_summary_leaves_out_failed_members_and_counts_every_step() {
        let mut row = [f32::NAN; 7];
        let lengths = [u32::MAX, u32::MAX, 3, 1, 1, 1];
        summary(&Uniform { members: 3, episodes: 2 }, &[-4.0, f32::NAN, 2.0], &lengths, &mut row);
        let steps = 2 * u64::from(u32::MAX) + 6;
        let mean_length = (steps as f64 / 6.0) as f32;
        let expected = Summary { mean: -1.0, best: 2.0, worst: -4.0, mean_length, steps, failed: 1 };
        assert_eq!(Summary::from_row(row), expected);
    }

    #[test]
    fn a_generation_of_failures_has_finite_metrics() {
        let mut row = [f32::NAN; 7];
        summary(&Uniform { members: 1, episodes: 1 }, &[f32::NAN], &[0], &mut row);
        assert_eq!(row, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
