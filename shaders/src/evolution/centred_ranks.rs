//! Centred ranks of the fitness of a population, the fitness shaping of OpenAI-ES (Salimans et al., "Evolution
//! strategies as a scalable alternative to reinforcement learning", 2017) and of EvoJAX's PGPE:
//! `utilities[m] = rank[m] / (members - 1) - 0.5`, from -0.5 (worst) to 0.5 (best), whose sum is 0.
//!
//! Ties share their average rank. A NaN ranks below every number, minus infinity included, and leaves the ranks of the
//! others among themselves as they are. One member alone gets 0.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("centred_ranks.wgsl"), passes);

/// Every other member.
fn passes(call: &Call) -> u64 {
    let Uniform { members, .. } = call.uniform();
    1 + u64::from(if call.kernel.entry_point == "centred_ranks" { members / 4 } else { members })
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&CENTRED_RANKS, &RAGGED];

/// The utilities of a number of members divisible by four.
pub static CENTRED_RANKS: Kernel = kernel("centred_ranks", "centred_ranks", |generator| case(generator, false));

/// The utilities of any number of members.
pub static RAGGED: Kernel = kernel("centred_ranks.ragged", "centred_ranks_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[Binding::read("fitness", "(members)"), Binding::write("utilities", "(members)")];
    MODULE.kernel(name, BINDINGS, twin, tolerance, case).with_entry_point(entry_point)
}

/// The uniform block of `centred_ranks.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub members: u32,
    /// `1 / (2 (members - 1))`, 0 where there is one member.
    pub scale: f32,
}

/// The utilities of `members` members, from 1 to 2^23: the comparisons are `members^2`, a hundred million for ten
/// thousand members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Members of the population.
    pub members: usize,
}

impl Problem {
    /// Returns the dispatch with operands `fitness` (`members`), `utilities` (`members`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("centred_ranks").positive(&[("members", self.members)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        const WORKGROUP: usize = 64;
        let members = self.members;
        let scale = if members > 1 { 0.5 / (members - 1) as f64 } else { 0.0 };
        let uniform = Uniform { members: members as u32, scale: scale as f32 };
        let (kernel, invocations) =
            if members.is_multiple_of(4) { (&CENTRED_RANKS, members / 4) } else { (&RAGGED, members) };
        Call::new(kernel, &uniform, invocations.div_ceil(WORKGROUP), [members, members])
    }
}

/// The twin.
pub fn centred_ranks(fitness: &[f32], utilities: &mut [f32]) {
    let below = |a: f32, b: f32| a < b || (a.is_nan() && !b.is_nan());
    for (utility, &own) in utilities.iter_mut().zip(fitness) {
        let lower = fitness.iter().filter(|&&other| below(other, own)).count();
        let higher = fitness.iter().filter(|&&other| below(own, other)).count();
        let equal = fitness.len() - lower - higher;
        let rank = lower as f64 + (equal - 1) as f64 / 2.0;
        *utility = if fitness.len() == 1 { 0.0 } else { (rank / (fitness.len() - 1) as f64 - 0.5) as f32 };
    }
}

fn twin(_: &Call, operands: &mut [Operand<'_>]) {
    let [fitness, utilities] = operands else { unreachable!("centred_ranks has two operands") };
    centred_ranks(fitness.f32(), utilities.f32());
}

/// The rank is an integer; its factor is rounded once (one unit of 2^-24), the product to either neighbour (two), the
/// twin once.
fn tolerance(_: &Call, _: &[Data], _: usize) -> Tolerance {
    Tolerance::Within { relative: 4.0 * Tolerance::EPSILON, absolute: 0.0 }
}

/// Populations of up to two thousand: past one dimension of the grid there would be four million members, and far more
/// comparisons than a test can wait for.
fn case(generator: &mut Generator, ragged: bool) -> Case {
    let members = match ragged {
        true => {
            let members = generator.length(2_000);
            if members.is_multiple_of(4) { members + 1 } else { members }
        }
        false => 4 * generator.length(500),
    };
    let problem = Problem { members };
    let mut fitness = generator.values(members, f32::MAX).f32().to_vec();
    // Few different values, so that many tie, and what a broken or a diverged episode returns.
    if generator.chance(0.3) {
        fitness.iter_mut().for_each(|fitness| *fitness = (*fitness * 2.0).clamp(-50.0, 50.0).round());
    }
    let share = generator.pick(&[0.0, 0.0, 0.2, 1.0]);
    for fitness in &mut fitness {
        if generator.chance(share) {
            *fitness = generator.pick(&[f32::NAN, -f32::NAN, f32::INFINITY, -f32::INFINITY, 0.0, -0.0]);
        }
    }
    Case::new(problem, problem.call(&Target::default()), [Data::F32(fitness)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utilities(fitness: &[f32]) -> Vec<f32> {
        let mut utilities = vec![f32::NAN; fitness.len()];
        centred_ranks(fitness, &mut utilities);
        utilities
    }

    #[test]
    fn the_worst_gets_minus_a_half_and_the_best_a_half() {
        assert_eq!(utilities(&[10.0, -3.0, 1e30, 10.5, 0.0]), [0.0, -0.5, 0.5, 0.25, -0.25]);
    }

    #[test]
    fn ties_share_their_average_rank() {
        assert_eq!(utilities(&[1.0, 7.0, 1.0]), [-0.25, 0.5, -0.25]);
        assert_eq!(utilities(&[-0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn a_nan_ranks_below_minus_infinity_and_the_others_keep_their_order() {
        assert_eq!(utilities(&[f32::NAN, f32::NEG_INFINITY, 2.0]), [-0.5, 0.0, 0.5]);
        assert_eq!(utilities(&[f32::NAN, 1.0, f32::NAN, 2.0, 3.0]), [-0.375, 0.0, -0.375, 0.25, 0.5]);
    }

    #[test]
    fn one_member_gets_zero() {
        assert_eq!(utilities(&[5.0]), [0.0]);
    }
}
