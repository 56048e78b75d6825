//! The share that an unroll adds to the estimate of a gradient, from the losses of antithetic pairs that advanced in lockstep:
//!
//! `shares (6, pairs)`: for each pair the numbers a, b, keep and add of
//! [`persistent_gradient`](crate::evolution::persistent_gradient), then the losses of both members.
//!
//! It is what the unrolls of [`inner_problem`](crate::inner_problem) write themselves, for members that a graph trains.
//! With `delta[t]` the difference of the losses of a pair after step t, of the steps that count, `before` their sum up
//! to the step at which an inner problem ended (that one included; to the last where none ended) and `after` the rest:
//!
//! | | members with states of their own | members that start each unroll from one state |
//! |---|---|---|
//! | a | `before - previous` | 0 |
//! | b | `after`, and `before` where the perturbation is new | `before + after` |
//! | keep | 1 if no inner problem ended | 0 |
//! | add | 1 if the perturbation is new; where one ended, if another has begun | 0 |
//!
//! `previous` is not 0 for telescoped losses alone: it is the last delta of the unroll before, in the same inner problem.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::NARROW;
use crate::description::row_layout::sum_units;
use crate::inner_problem::{Objective, SHARES, Unrolled};
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, grid,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "pair_shares.wgsl"), passes);

/// The steps, and four shares.
fn passes(call: &Call) -> u64 {
    let Uniform { steps, .. } = call.uniform();
    u64::from(steps) + 1 + 5
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&PAIR_SHARES];

/// The shares of all pairs.
pub static PAIR_SHARES: Kernel = MODULE.kernel(
    "pair_shares",
    &[
        Binding::read("losses", "(steps, members)"),
        Binding::update("previous", "(pairs)"),
        Binding::update("shares", "(6, pairs): a, b, keep, add, L+, L-"),
    ],
    twin,
    tolerance,
    case,
);

/// The uniform block of `pair_shares.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub members: u32,
    pub pairs: u32,
    pub first: u32,
    pub present: u32,
    pub ended: u32,
    pub period: u32,
    pub objective: u32,
    pub renewed: u32,
    pub independent_state: u32,
}

/// The shares of the pairs of a population in one unroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Steps of the unroll, at least 1.
    pub steps: usize,
    /// Members of this population, at least twice `present`: those of the pairs, then others.
    pub members: usize,
    /// Pairs of all populations.
    pub pairs: usize,
    /// The first pair of this one.
    pub first: usize,
    /// Pairs of this one.
    pub present: usize,
    /// Steps of the unroll up to the first end of an inner problem, that step included, if one ended.
    pub ended: Option<usize>,
    /// Steps of a whole inner problem, at least 1: there are further ends at this distance.
    pub horizon: Option<usize>,
    /// The loss that counts: of every step or of the last.
    pub objective: Objective,
    /// True if the perturbations were drawn anew for this unroll.
    pub renewed: bool,
    /// True if members have states of their own from unroll to unroll.
    pub independent_state: bool,
}

const WORKGROUP: usize = 64;

impl Problem {
    /// Returns the dispatch with operands `losses`, `previous`, `shares`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.call())
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { steps, members, pairs, first, present, .. } = *self;
        let ended = self.ended.unwrap_or(0);
        Sizes("pair_shares")
            .tensor(&[("steps", steps), ("members", members)])?
            .positive(&[("pairs", pairs), ("present", present), ("horizon", self.horizon.unwrap_or(steps))])?
            .at_most(&[("shares", SHARES), ("pairs", pairs)])?
            .present_pairs(first, present, pairs, members)?
            .expect("ended", ended <= steps, format_args!("at most the {steps} steps"), ended)
    }

    pub(crate) fn call(&self) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            members: self.members as u32,
            pairs: self.pairs as u32,
            first: self.first as u32,
            present: self.present as u32,
            ended: self.ended.unwrap_or(0) as u32,
            period: self.horizon.unwrap_or(self.steps).max(1) as u32,
            objective: self.objective.number(),
            renewed: u32::from(self.renewed),
            independent_state: u32::from(self.independent_state),
        };
        let lengths = [self.steps * self.members, self.pairs, SHARES * self.pairs];
        Call::new(&PAIR_SHARES, &uniform, self.present.div_ceil(WORKGROUP), lengths)
    }
}

/// The sums of the losses of a pair.
struct Sums {
    before: f64,
    after: f64,
    losses: [f64; 2],
    last: f64,
    /// Sums of the magnitudes of deltas, and of losses.
    magnitude: f64,
    magnitudes: [f64; 2],
}

impl Uniform {
    /// True if an inner problem ends with step `t`.
    fn over(&self, t: u32) -> bool {
        self.ended > 0 && t + 1 >= self.ended && (t + 1 - self.ended).is_multiple_of(self.period)
    }

    fn sums(&self, losses: &[f32], row: u32) -> Sums {
        let mut sums =
            Sums { before: 0.0, after: 0.0, losses: [0.0; 2], last: 0.0, magnitude: 0.0, magnitudes: [0.0; 2] };
        for t in 0..self.steps {
            let pair = [0, 1].map(|i| f64::from(losses[(t * self.members + 2 * row + i) as usize]));
            sums.last = pair[0] - pair[1];
            if self.objective == Objective::Sum.number() || self.over(t) || t + 1 == self.steps {
                for (i, loss) in pair.into_iter().enumerate() {
                    sums.losses[i] += loss;
                    sums.magnitudes[i] += loss.abs();
                }
                let sum = if self.ended == 0 || t < self.ended { &mut sums.before } else { &mut sums.after };
                *sum += sums.last;
                sums.magnitude += sums.last.abs();
            }
        }
        sums
    }
}

/// The twin.
pub(crate) fn pair_shares(uniform: &Uniform, losses: &[f32], previous: &mut [f32], shares: &mut [f32]) {
    let ends = uniform.ended > 0;
    let within = !(ends && uniform.over(uniform.steps - 1));
    for row in 0..uniform.present {
        let d = (uniform.first + row) as usize;
        let Sums { before, after, losses, last, .. } = uniform.sums(losses, row);
        let (previous_delta, renewed) = (f64::from(previous[d]), uniform.renewed == 1);
        let unrolled = Unrolled { before, after, previous: previous_delta, renewed, ended: ends, within };
        let share = if uniform.independent_state == 1 { unrolled.accumulated() } else { unrolled.present() };
        for (i, value) in share.into_iter().chain(losses).enumerate() {
            shares[i * uniform.pairs as usize + d] = value as f32;
        }
        previous[d] = if uniform.objective == Objective::Final.number() && within { last as f32 } else { 0.0 };
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [losses, previous, shares] = operands else { unreachable!("pair_shares has three operands") };
    pair_shares(&call.uniform(), losses.f32(), previous.f32(), shares.f32());
}

/// Differences and sums of a few terms, with one more for what was before and one for the sum of both parts. Losses may
/// be flushed to zero.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let (losses, previous) = (operands[0].f32(), operands[1].f32());
    let mut bounds = vec![0.0; call.lengths[output]];
    let units = sum_units(uniform.steps as usize) + 5.0;
    let flushed = 2.0 * f64::from(uniform.steps) * f64::from(f32::MIN_POSITIVE);
    for row in 0..uniform.present {
        let d = (uniform.first + row) as usize;
        let sums = uniform.sums(losses, row);
        let bound = |magnitude: f64| units * magnitude * Tolerance::EPSILON + flushed;
        if output == 1 {
            bounds[d] = bound(sums.last.abs());
            continue;
        }
        let rows = [
            bound(sums.magnitude + f64::from(previous[d].abs())),
            bound(sums.magnitude),
            0.0,
            0.0,
            bound(sums.magnitudes[0]),
            bound(sums.magnitudes[1]),
        ];
        for (i, bound) in rows.into_iter().enumerate() {
            bounds[i * uniform.pairs as usize + d] = bound;
        }
    }
    Tolerance::PerElement(bounds)
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let present = if huge { NARROW * 65_537 + 1 } else { generator.length(200) };
    let first = generator.pick(&[0, 1, 17]);
    let steps = if huge { 2 } else { generator.length(30) };
    let ended = generator.chance(0.5).then(|| generator.length(steps));
    let problem = Problem {
        steps,
        members: 2 * present + generator.pick(&[0, 1, 2]),
        pairs: first + present + generator.pick(&[0, 3]),
        first,
        present,
        ended,
        horizon: ended.map(|ended| ended.max(generator.length(steps))),
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        renewed: generator.chance(0.5),
        independent_state: generator.chance(0.7),
    };
    let losses = crate::description::elementwise_layout::values(generator, steps * problem.members, 1e30);
    let previous = generator.values(problem.pairs, 1e30);
    let shares = generator.values(6 * problem.pairs, 1e30);
    let mut call = problem.call();
    if huge {
        call = call.with_grid(grid(present.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    Case::new(problem, call, [losses, previous, shares])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs and an unperturbed member, four steps; the deltas of the first pair are 1, 2, 4, 8, of the second -1.
    fn shares(problem: Problem, previous: [f32; 2]) -> (Vec<f32>, Vec<f32>) {
        let losses = [1.0, 2.0, 4.0, 8.0].into_iter().flat_map(|delta| [3.0 + delta, 3.0, 5.0, 6.0, 9.0]);
        let inputs = [Data::F32(losses.collect()), Data::F32(previous.to_vec()), Data::F32(vec![7.0; 12])];
        let operands = Case::new((), problem.call(), inputs).expected();
        (operands[2].f32().iter().copied().step_by(2).collect(), operands[1].f32().to_vec())
    }

    const PES: Problem = Problem {
        steps: 4,
        members: 5,
        pairs: 2,
        first: 0,
        present: 2,
        ended: None,
        horizon: Some(10),
        objective: Objective::Sum,
        renewed: true,
        independent_state: true,
    };

    #[test]
    fn losses_count_with_all_perturbations_up_to_the_end_and_with_the_present_one_after_it() {
        assert_eq!(shares(PES, [0.0; 2]).0, [15.0, 15.0, 1.0, 1.0, 27.0, 12.0]);
        let straddling = Problem { ended: Some(3), ..PES };
        assert_eq!(shares(straddling, [0.0; 2]).0, [7.0, 15.0, 0.0, 1.0, 27.0, 12.0]);
    }

    #[test]
    fn nothing_is_kept_of_an_inner_problem_that_ends_with_the_unroll() {
        let ends = Problem { ended: Some(4), ..PES };
        assert_eq!(shares(ends, [0.0; 2]).0, [15.0, 15.0, 0.0, 0.0, 27.0, 12.0]);
    }

    #[test]
    fn a_perturbation_that_goes_on_is_in_the_accumulator_already() {
        let old = Problem { renewed: false, ..PES };
        assert_eq!(shares(old, [0.0; 2]).0[..4], [15.0, 0.0, 1.0, 0.0]);
        let straddling = Problem { ended: Some(1), ..old };
        assert_eq!(shares(straddling, [0.0; 2]).0[..4], [1.0, 14.0, 0.0, 1.0]);
    }

    #[test]
    fn members_that_start_from_one_state_have_evolution_strategies() {
        let truncated = Problem { independent_state: false, ended: Some(2), ..PES };
        assert_eq!(shares(truncated, [0.0; 2]).0[..4], [0.0, 15.0, 0.0, 0.0]);
    }

    #[test]
    fn the_last_loss_counts_alone_and_telescoped_ones_by_their_change() {
        let last = Problem { objective: Objective::Last, ..PES };
        assert_eq!(shares(last, [5.0; 2]), (vec![3.0, 8.0, 1.0, 1.0, 11.0, 3.0], vec![0.0; 2]));
        let telescoped = Problem { objective: Objective::Final, ..PES };
        assert_eq!(shares(telescoped, [5.0; 2]), (vec![3.0, 8.0, 1.0, 1.0, 11.0, 3.0], vec![8.0, -1.0]));
        let over = Problem { ended: Some(4), ..telescoped };
        assert_eq!(shares(over, [5.0; 2]).1, [0.0; 2]);
        let straddling = Problem { ended: Some(2), ..telescoped };
        assert_eq!(shares(straddling, [5.0; 2]), (vec![-3.0, 10.0, 0.0, 1.0, 16.0, 6.0], vec![8.0, -1.0]));
    }

    #[test]
    fn inner_problems_shorter_than_the_unroll_end_again_and_again() {
        let short = Problem { ended: Some(2), horizon: Some(2), objective: Objective::Last, ..PES };
        assert_eq!(shares(short, [0.0; 2]).0, [2.0, 10.0, 0.0, 0.0, 16.0, 6.0]);
    }
}
