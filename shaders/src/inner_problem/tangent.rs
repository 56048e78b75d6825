//! Derivatives of an unroll's losses in forward mode: `tangent.wgsl` with an inner problem, and its twin.
//!
//! Along the axes of the outer parameters they are a gradient: that of truncated backpropagation through time (TBPTT)
//! where tangents start at zero in each unroll, that of real-time recurrent learning (RTRL) where they are carried. Along
//! random directions they are DODGE (Silver et al., "Learning by directional gradient descent", 2022), evolution
//! strategies in the limit of small perturbations, drawn and summed as theirs are.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::truncation::{COUNTERS_BINDING, SAVED_BINDING};
use super::unrolled::{NEVER, Objective, SHARES, Unrolled};
use super::{InnerProblem, composition};
use crate::random::threefry::normal_pair;
use crate::rollout::unroll::EpisodeRandom;
use crate::{Binding, Call, Data, Error, Kernel, Operand, Sequence, Sizes, Target, Tolerance, product, sum};

/// Rows of the counters of a direction. The first says in which unroll it was drawn.
pub const COUNTERS: usize = 5;

/// Numbers that are saved of a direction beyond state and tangent.
const SUMS: usize = 4;

/// The directions along which the loss is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Directions {
    /// One direction for each outer parameter: the shares' first row is the gradient.
    Axes,
    /// Standard normal deviates: of direction d, row d of (directions, parameters rounded up to even) at the place
    /// `stream`, in the unroll that drew them.
    Drawn,
}

/// An inner problem to unroll, and the directions along which it is differentiated.
#[derive(Debug, Clone)]
pub struct Tangents {
    /// It has a [`tangent_source`](InnerProblem::tangent_source).
    pub problem: Arc<dyn InnerProblem>,
    /// Directions of differentiation: the axes, or drawn ones.
    pub directions: Directions,
}

impl Tangents {
    /// Numbers that are saved of a direction between dispatches.
    pub fn saved(&self) -> usize {
        sum(&[product(&[2, self.problem.states()]), SUMS])
    }

    /// The most steps that a dispatch on this target may take; 0 where it cannot take one.
    pub fn most_steps(&self, target: &Target) -> usize {
        self.passes().most_steps(target)
    }

    fn passes(&self) -> composition::Passes {
        let once = sum(&[self.problem.parameters(), self.saved(), self.saved()]);
        composition::Passes { step: product(&[2, self.problem.iterations()]), once }
    }

    /// The whole kernel as WGSL.
    ///
    /// # Panics
    /// If the problem has no derivative.
    pub fn wgsl(&self) -> String {
        let directions = match self.directions {
            Directions::Axes => wgsl!("directions_axes.wgsl"),
            Directions::Drawn => {
                wgsl!("perturbation.wgsl", "directions_drawn.wgsl")
            }
        };
        let tangent = self.problem.tangent_source().expect("a problem that has a derivative");
        let unrolled = [wgsl!("unrolled.wgsl"), wgsl!("tangent.wgsl")];
        let parts = [&*self.problem.source(), &*tangent, unrolled[0], unrolled[1], directions];
        composition::wgsl(&*self.problem, "differentiated along directions", &bindings(), &parts)
    }

    /// The kernel, by the name `tangent.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let name = composition::name("tangent", &*self.problem);
        Kernel::composed::<Uniform>(name, self.wgsl(), "differentiate", bindings(), passes, twin, tolerance)
    }
}

fn bindings() -> Vec<Binding> {
    vec![
        Binding::read("seed", "(2): key, unroll").u32(),
        Binding::read("center", "(parameters)"),
        Binding::read("data", "(numbers of the problem)"),
        Binding::update("saved", "(2 states + 4, directions)"),
        Binding::update("counters", "(5, directions)").u32(),
        Binding::update("shares", "(6, directions): a, b, keep, add, L, L"),
    ]
}

/// The steps, and what comes before and behind them.
fn passes(call: &Call) -> u64 {
    let Uniform { steps, .. } = call.uniform();
    tangents_of(call).passes().of(steps)
}

/// The uniform block of `tangent.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub first: u32,
    pub truncation: u32,
    pub directions: u32,
    pub horizon: u32,
    pub interval: u32,
    pub carried: u32,
    pub stream: u32,
    pub objective: u32,
}

/// One dispatch: `steps` steps from step `first` on of an unroll of `truncation` steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// As many as there are outer parameters, where they are the axes.
    pub directions: usize,
    /// Steps of the whole unroll.
    pub truncation: usize,
    /// Steps after which the inner problem starts again; `None` where it never does.
    pub horizon: Option<usize>,
    /// Steps of the unroll before this dispatch.
    pub first: usize,
    /// Steps of this dispatch; `first + steps` is at most `truncation`.
    pub steps: usize,
    /// Unrolls that a drawn direction lasts, if no inner problem starts within them; `None` where only a start renews it.
    pub interval: Option<usize>,
    /// True if tangents are carried from unroll to unroll: otherwise they start at zero in each.
    pub carried: bool,
    /// The loss that counts: of every step or of the last.
    pub objective: Objective,
    /// The place that draws; the next two are taken too.
    pub stream: u32,
}

impl Problem {
    /// Returns the dispatch of a kernel that [`Tangents::kernel`] made, with the operands `seed` (`u32`, 2), `center`,
    /// `data`, `saved`, `counters` (`u32`), `shares`. Before the first unroll, `saved` and `counters` are zero.
    ///
    /// # Errors
    /// A size out of range, or a problem without a derivative.
    pub fn sequence(&self, tangents: &Tangents, kernel: Arc<Kernel>, target: &Target) -> Result<Sequence, Error> {
        composition::check_derivative(&*tangents.problem)?;
        let (directions, parameters) = (self.directions, tangents.problem.parameters());
        let fits = tangents.directions != Directions::Axes || directions == parameters;
        let [horizon, interval] = [self.horizon, self.interval].map(|steps| steps.unwrap_or(1));
        Sizes("tangent")
            .positive(&[("directions", directions), ("horizon", horizon), ("interval", interval)])?
            .expect("directions", fits, format_args!("the {parameters} outer parameters"), directions)?
            .unroll(self.first, self.steps, self.truncation)?
            .sequence(self.call(tangents, kernel, target))
    }

    pub(crate) fn call(&self, tangents: &Tangents, kernel: Arc<Kernel>, target: &Target) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            first: self.first as u32,
            truncation: self.truncation as u32,
            directions: self.directions as u32,
            horizon: self.horizon.map_or(NEVER, |horizon| horizon as u32),
            interval: self.interval.map_or(NEVER, |interval| interval as u32),
            carried: self.carried.into(),
            stream: self.stream,
            objective: self.objective.number(),
        };
        let problem = &*tangents.problem;
        let [saved, counters, shares] =
            [tangents.saved(), COUNTERS, SHARES].map(|width| product(&[width, self.directions]));
        let lengths = [2, problem.parameters(), composition::data(problem).len(), saved, counters, shares];
        composition::call((kernel, tangents.wgsl()), &*tangents.problem, &uniform, self.directions, lengths, target)
            .with_context(Arc::new(tangents.clone()))
    }
}

fn tangents_of(call: &Call) -> &Tangents {
    call.context_of().expect("the call of a derivative carries what is differentiated")
}

/// The twin.
fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let tangents = tangents_of(call);
    let uniform: Uniform = call.uniform();
    let [seed, center, _, saved, counters, shares] = operands else { unreachable!("six operands") };
    let seed = [seed.u32()[0], seed.u32()[1]];
    let center: Vec<f64> = center.f32().iter().map(|&number| f64::from(number)).collect();
    let (saved, counters, shares) = (saved.f32(), counters.u32(), shares.f32());
    let columns = uniform.directions as usize;
    for column in 0..columns {
        let mut lane = Lane::new(tangents, &uniform, seed, column, saved, counters);
        let direction = lane.direction(tangents, &uniform, seed, center.len());
        lane.advance(tangents, &uniform, seed, &center, &direction);
        if uniform.first + uniform.steps == uniform.truncation {
            for (row, share) in lane.shares(tangents, &uniform, seed).into_iter().enumerate() {
                shares[row * columns + column] = share as f32;
            }
            lane.age += 1;
            lane.previous =
                if uniform.objective == Objective::Final.number() && lane.time > 0 { lane.last } else { 0.0 };
        }
        lane.save(columns, saved, counters);
    }
}

/// A direction in the middle of its unroll.
struct Lane {
    column: usize,
    drawn: u32,
    age: u32,
    episode: u32,
    time: u32,
    ended: bool,
    state: Vec<f64>,
    tangent: Vec<f64>,
    before: f64,
    after: f64,
    losses: f64,
    previous: f64,
    last: f64,
}

impl Lane {
    fn new(
        tangents: &Tangents,
        uniform: &Uniform,
        seed: [u32; 2],
        column: usize,
        saved: &[f32],
        counters: &[u32],
    ) -> Self {
        let columns = uniform.directions as usize;
        let begins = uniform.first == 0;
        let counter = |row: usize| counters[row * columns + column];
        let number = |row: usize| f64::from(saved[row * columns + column]);
        let states = tangents.problem.states();
        let sum = |row: usize| if begins { 0.0 } else { number(2 * states + row) };
        let mut lane = Self {
            column,
            drawn: counter(0),
            age: counter(1),
            episode: counter(2),
            time: counter(3),
            ended: !begins && counter(4) == 1,
            state: (0..states).map(number).collect(),
            tangent: (states..2 * states).map(number).collect(),
            before: sum(0),
            after: sum(1),
            losses: sum(2),
            previous: number(2 * states + 3),
            last: 0.0,
        };
        if begins {
            if lane.time < uniform.truncation || lane.age >= uniform.interval {
                (lane.drawn, lane.age) = (seed[1], 0);
            }
            if uniform.carried == 0 {
                lane.tangent.fill(0.0);
            }
        }
        lane
    }

    fn direction(&self, tangents: &Tangents, uniform: &Uniform, seed: [u32; 2], parameters: usize) -> Vec<f64> {
        if tangents.directions == Directions::Axes {
            return (0..parameters).map(|i| if i == self.column { 1.0 } else { 0.0 }).collect();
        }
        let blocks = parameters.div_ceil(2) as u32;
        let block = |pair: u32| {
            let element = (self.column as u32).wrapping_mul(blocks).wrapping_add(pair);
            normal_pair([seed[0], self.drawn], uniform.stream, element)
        };
        (0..blocks).flat_map(block).take(parameters).collect()
    }

    fn advance(&mut self, tangents: &Tangents, uniform: &Uniform, seed: [u32; 2], center: &[f64], direction: &[f64]) {
        let problem = &*tangents.problem;
        for steps_done in 0..uniform.steps {
            if self.time == 0 {
                let mut random = EpisodeRandom::new(seed[0], uniform.stream.wrapping_add(1), self.episode, 0);
                problem.reset(&mut random, &mut self.state);
                self.tangent.fill(0.0);
            }
            let random = EpisodeRandom::new(seed[0], uniform.stream.wrapping_add(2), self.episode, self.time);
            let (state, tangent) = (&mut self.state, &mut self.tangent);
            self.last = problem.tangent(state, tangent, center, direction, self.time, &mut { random });
            let loss = problem.step(state, center, self.time, &mut { random });
            self.time += 1;
            let over = loss.done || self.time >= uniform.horizon;
            let every = uniform.objective == Objective::Sum.number();
            if every || over || uniform.first + steps_done + 1 == uniform.truncation {
                self.losses += loss.value;
                *(if self.ended { &mut self.after } else { &mut self.before }) += self.last;
            }
            if over {
                self.ended = true;
                self.episode = self.episode.wrapping_add(1);
                self.time = 0;
            }
        }
    }

    /// a, b, keep, add, and the loss, twice.
    fn shares(&self, tangents: &Tangents, uniform: &Uniform, seed: [u32; 2]) -> [f64; SHARES] {
        let carried = uniform.carried == 1;
        let unrolled = Unrolled {
            before: self.before,
            after: self.after,
            previous: if carried { self.previous } else { 0.0 },
            renewed: self.drawn == seed[1],
            ended: self.ended,
            within: self.time > 0,
        };
        let [a, b, keep, add] = match tangents.directions {
            Directions::Axes => [unrolled.accumulated()[0] + self.after, 0.0, 0.0, 0.0],
            Directions::Drawn if !carried => unrolled.present(),
            Directions::Drawn => unrolled.accumulated(),
        };
        [a, b, keep, add, self.losses, self.losses]
    }

    fn save(&self, columns: usize, saved: &mut [f32], counters: &mut [u32]) {
        let sums = [self.before, self.after, self.losses, self.previous];
        for (row, number) in self.state.iter().chain(&self.tangent).chain(&sums).enumerate() {
            saved[row * columns + self.column] = *number as f32;
        }
        let numbers = [self.drawn, self.age, self.episode, self.time, u32::from(self.ended)];
        for (row, number) in numbers.into_iter().enumerate() {
            counters[row * columns + self.column] = number;
        }
    }
}

/// A step errs by the rounding of the problem, and the next one magnifies what it finds. The terms of a derivative are
/// products of a number that goes with the state and of one that goes with the tangent or the direction, whose deviates
/// stay below 6: they err in proportion to the product of the largest of both.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    if binding == COUNTERS_BINDING {
        return Tolerance::Exact;
    }
    let tangents = tangents_of(call);
    let uniform: Uniform = call.uniform();
    let mut after = operands.to_vec();
    call.run_twin(&mut after.iter_mut().map(Data::operand).collect::<Vec<_>>());
    let (states, columns) = (tangents.problem.states(), uniform.directions as usize);
    let largest = |rows: std::ops::Range<usize>, column: usize, least: f64| {
        let both = [&operands[SAVED_BINDING], &after[SAVED_BINDING]].map(Data::f32);
        let numbers = rows.flat_map(|row| both.map(|saved| f64::from(saved[row * columns + column]).abs()));
        numbers.filter(|number| number.is_finite()).fold(least, f64::max)
    };
    let length = if tangents.directions == Directions::Axes { 1.0 } else { 6.0 };
    let growth = tangents.problem.growth().powi(uniform.steps.saturating_sub(1) as i32);
    let unit = tangents.problem.rounding() * growth * f64::from(uniform.steps) * Tolerance::EPSILON;
    let scales: Vec<f64> = (0..columns)
        .map(|column| {
            let numbers = largest(0..states, column, 1.0);
            let slopes = largest(states..tangents.saved(), column, length);
            unit * numbers * slopes
        })
        .collect();
    Tolerance::PerElement((0..call.lengths[binding]).map(|element| scales[element % columns]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::ToyRegression;

    /// dL/dtheta of the toy regression at (-4, -4) over 100 steps, by an implementation in JAX.
    const GRADIENT: [f64; 2] = [-3.9108, -1.7115];

    const WHOLE: Problem = Problem {
        directions: 2,
        truncation: 100,
        horizon: Some(100),
        first: 0,
        steps: 100,
        interval: Some(1),
        carried: false,
        objective: Objective::Sum,
        stream: 0,
    };

    /// The shares (6, directions) of each of `unrolls` unrolls at (-4, -4), cut into dispatches of `most` steps.
    fn unrolls(problem: Problem, directions: Directions, most: usize, unrolls: u32) -> Vec<Vec<f32>> {
        let tangents = Tangents { problem: Arc::new(ToyRegression::default()), directions };
        let kernel = tangents.kernel();
        let columns = problem.directions;
        let (mut saved, mut counters) = (vec![0.0; tangents.saved() * columns], vec![0; COUNTERS * columns]);
        let mut shares = vec![f32::NAN; SHARES * columns];
        let one = |unroll| {
            for first in (0..problem.truncation).step_by(most) {
                let steps = most.min(problem.truncation - first);
                let call = Problem { first, steps, ..problem }.call(&tangents, kernel.clone(), &Target::default());
                call.run_twin(&mut [
                    Operand::U32(&mut [9, unroll]),
                    Operand::F32(&mut [-4.0, -4.0]),
                    Operand::F32(&mut [0.0]),
                    Operand::F32(&mut saved),
                    Operand::U32(&mut counters),
                    Operand::F32(&mut shares),
                ]);
            }
            shares.clone()
        };
        (0..unrolls).map(one).collect()
    }

    /// The sum over unrolls of what shares along the axes are.
    fn total(shares: &[Vec<f32>]) -> [f64; 2] {
        [0, 1].map(|p| shares.iter().map(|shares| f64::from(shares[p])).sum())
    }

    fn near(got: [f64; 2], expected: [f64; 2]) {
        assert!((0..2).all(|p| (got[p] - expected[p]).abs() < 2e-4), "{got:?} {expected:?}");
    }

    #[test]
    fn a_truncation_of_the_whole_horizon_gives_the_gradient() {
        near(total(&unrolls(WHOLE, Directions::Axes, 100, 1)), GRADIENT);
    }

    #[test]
    fn dispatches_of_any_length_give_the_same_gradient() {
        near(total(&unrolls(WHOLE, Directions::Axes, 7, 1)), GRADIENT);
    }

    #[test]
    fn carried_tangents_add_up_to_the_gradient_over_an_inner_problem() {
        for truncation in [1, 10, 25] {
            let problem = Problem { truncation, steps: truncation, carried: true, ..WHOLE };
            let shares = unrolls(problem, Directions::Axes, truncation, 100 / truncation as u32);
            near(total(&shares), GRADIENT);
        }
    }

    #[test]
    fn tangents_that_are_not_carried_miss_most_of_the_gradient() {
        let problem = Problem { truncation: 10, ..WHOLE };
        let [x, y] = total(&unrolls(problem, Directions::Axes, 10, 10));
        // The limit of truncated evolution strategies for small perturbations.
        assert!((x + 0.49).abs() < 0.03 && (y + 0.288).abs() < 0.03, "{x} {y}");
    }

    #[test]
    fn an_inner_problem_that_starts_within_an_unroll_starts_with_no_tangent() {
        // Two unrolls of 150 steps hold three inner problems of 100.
        let problem = Problem { truncation: 150, carried: true, ..WHOLE };
        let shares = unrolls(problem, Directions::Axes, 150, 2);
        near(total(&shares), GRADIENT.map(|g| 3.0 * g));
    }

    #[test]
    fn telescoped_slopes_add_up_to_that_of_the_final_loss() {
        let whole = total(&unrolls(Problem { objective: Objective::Last, ..WHOLE }, Directions::Axes, 100, 1));
        let problem = Problem { truncation: 10, carried: true, objective: Objective::Final, ..WHOLE };
        near(total(&unrolls(problem, Directions::Axes, 10, 10)), whole);
        assert!(whole[0].abs() > 1e-3);
    }

    /// The estimate of the gradient over one inner problem from `shares` of each unroll, one for each direction.
    fn estimates(problem: Problem, shares: &[Vec<f32>]) -> Vec<[f64; 2]> {
        let columns = problem.directions;
        let mut sums = vec![[0.0; 2]; columns];
        let mut directions = vec![[0.0; 2]; columns];
        for (unroll, shares) in (0..).zip(shares) {
            for d in 0..columns {
                let [a, b, keep, add] = [0, 1, 2, 3].map(|row| f64::from(shares[row * columns + d]));
                let drawn = problem.interval.map_or(0, |interval| unroll / interval as u32 * interval as u32);
                let normals = normal_pair([9, drawn], 0, d as u32);
                for p in 0..2 {
                    sums[d][p] += a * directions[d][p] + b * normals[p];
                    directions[d][p] = keep * directions[d][p] + add * normals[p];
                }
            }
        }
        sums
    }

    fn within_four_errors(estimates: &[[f64; 2]]) {
        let count = estimates.len() as f64;
        for (p, expected) in GRADIENT.into_iter().enumerate() {
            let mean = estimates.iter().map(|estimate| estimate[p]).sum::<f64>() / count;
            let variance = estimates.iter().map(|estimate| (estimate[p] - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let error = (variance / count).sqrt();
            assert!((mean - expected).abs() < 4.0 * error, "{mean} +- {error}, not {expected}");
            assert!(error < 0.1 * expected.abs(), "{error}");
        }
    }

    #[test]
    fn random_directions_give_the_gradient_on_average_however_long_they_last() {
        for interval in [Some(1), Some(5), None] {
            let problem = Problem { truncation: 10, directions: 2_000, carried: true, interval, ..WHOLE };
            let shares = unrolls(problem, Directions::Drawn, 10, 10);
            within_four_errors(&estimates(problem, &shares));
        }
    }
}
