//! A truncation of the unroll of a population: `truncation.wgsl` with an inner problem, and its twin.

use std::borrow::Cow;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::{InnerProblem, composition};
use crate::threefry::normal_pair;
use crate::unroll::EpisodeRandom;
use crate::{Binding, Call, Data, Kernel, KernelRef, Operand, Target, Tolerance};

/// Places of random numbers that a truncation takes, from its `stream` on: perturbations, starts, steps.
pub const STREAMS: u32 = 3;

/// Rows of the counters of a pair. The first says in which unroll its perturbation was drawn.
pub const COUNTERS: usize = 6;

/// Rows of the shares of a pair: a, b, keep, add, and the losses of both particles.
pub const SHARES: usize = 6;

/// Numbers that are saved of a pair beyond the states of both particles.
const SUMS: usize = 5;

/// Where saved states and counters stand among the operands.
pub(super) const SAVED_BINDING: usize = 3;
pub(super) const COUNTERS_BINDING: usize = 4;

/// Which losses count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objective {
    /// That of every step.
    Sum,
    /// That of the last step of each unroll, and of each inner problem.
    Last,
    /// That of the last step of each inner problem, telescoped: an unroll counts by how much it changes the loss that its
    /// last step has (Vicol et al. 2021, section on final losses).
    Final,
}

impl Objective {
    /// Its number in the uniform blocks.
    pub(super) fn number(self) -> u32 {
        match self {
            Objective::Sum => 0,
            Objective::Last => 1,
            Objective::Final => 2,
        }
    }
}

/// Where the perturbations of the pairs are kept during a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keeping {
    /// Each invocation keeps its own: few parameters.
    Private,
    /// In a buffer (parameters rounded up to even, pairs).
    Stored,
    /// Nowhere: they are drawn at each use.
    Streamed,
}

/// What is unrolled, and how its parameters are perturbed.
#[derive(Debug, Clone)]
pub struct Truncation {
    pub problem: Arc<dyn InnerProblem>,
    pub keeping: Keeping,
    /// Whether the gradient of the unperturbed losses is known: PES + Analytic.
    pub analytic: bool,
}

impl Truncation {
    /// The way of keeping that suits a target, for a population of `pairs` pairs.
    pub fn new(problem: Arc<dyn InnerProblem>, pairs: usize, analytic: bool) -> Self {
        // Private arrays of more compile for seconds on software drivers, which fill them with zeros one by one.
        const FEW: usize = 64;
        /// WebGPU's default limit of a binding, 128 MiB, in numbers.
        const BINDING: usize = 1 << 25;
        let keeping = match problem.parameters() {
            ..=FEW => Keeping::Private,
            parameters if parameters.next_multiple_of(2).saturating_mul(pairs) <= BINDING => Keeping::Stored,
            _ => Keeping::Streamed,
        };
        Self { problem, keeping, analytic }
    }

    /// Numbers that are saved of a pair between dispatches.
    pub fn saved(&self) -> usize {
        2 * self.problem.states() + SUMS
    }

    /// Elements of the buffer of perturbations, where there is one.
    pub fn perturbations(&self, pairs: usize) -> Option<usize> {
        (self.keeping == Keeping::Stored).then(|| self.problem.parameters().next_multiple_of(2) * pairs)
    }

    /// The most steps that a dispatch on this target may take; 0 where it cannot take one.
    pub fn most_steps(&self, target: &Target) -> usize {
        let once = 2 * self.problem.parameters() + 2 * self.saved();
        composition::most_steps(2 * self.problem.iterations(), once, target)
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let kept = match self.keeping {
            Keeping::Private => include_str!("parameters_private.wgsl"),
            Keeping::Stored => include_str!("parameters_stored.wgsl"),
            Keeping::Streamed => include_str!("parameters_streamed.wgsl"),
        };
        let analysis = if self.analytic { include_str!("analysis_on.wgsl") } else { include_str!("analysis_off.wgsl") };
        let source = self.problem.source();
        let parts = [&*source, include_str!("truncation.wgsl"), include_str!("perturbation.wgsl"), kept, analysis];
        composition::wgsl(&*self.problem, "unrolled for antithetic pairs", &self.bindings(), &parts)
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding::read("seed", "(2): key, unroll").u32(),
            Binding::read("center", "(parameters)"),
            Binding::read("data", "(numbers of the problem)"),
            Binding::update("saved", "(2 states + 5, columns)"),
            Binding::update("counters", "(6, columns)").u32(),
            Binding::update("shares", "(6, pairs): a, b, keep, add, L+, L-"),
        ];
        if self.keeping == Keeping::Stored {
            bindings.push(Binding::update("perturbations", "(parameters rounded up to even, pairs)"));
        }
        if self.analytic {
            bindings.push(Binding::read("analytic", "(parameters)"));
        }
        bindings
    }

    /// The kernel, by the name `truncation.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        Arc::new(Kernel {
            name: Cow::Owned(composition::name("truncation", &*self.problem)),
            source: Cow::Owned(self.wgsl()),
            entry_point: "advance",
            bindings: Cow::Owned(self.bindings()),
            uniform_bytes: size_of::<Uniform>(),
            needs_subgroups: false,
            twin,
            tolerance,
            case: super::case::truncation,
            flops: |_| 0.0,
        })
    }
}

/// The uniform block of `truncation.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    pub steps: u32,
    pub first: u32,
    pub truncation: u32,
    pub pairs: u32,
    pub chunks: u32,
    pub horizon: u32,
    pub interval: u32,
    pub shared_state: u32,
    pub alike: u32,
    pub stream: u32,
    pub objective: u32,
    pub staggered: u32,
    pub sigma: f32,
}

/// One dispatch: `steps` steps from step `first` on of an unroll of `truncation` steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    pub pairs: usize,
    /// A divisor of `pairs`.
    pub chunks: usize,
    pub truncation: usize,
    /// Steps after which the inner problem starts again; `None` where it never does.
    pub horizon: Option<usize>,
    /// Steps of the unroll before this dispatch, and in it; `first + steps` is at most `truncation`.
    pub first: usize,
    pub steps: usize,
    /// Unrolls that a perturbation lasts, if no inner problem starts within them; `None` where only a start renews it.
    pub interval: Option<usize>,
    /// Whether particles start each unroll from the state of an unperturbed one.
    pub shared_state: bool,
    /// Whether all pairs of a chunk draw the same random numbers.
    pub alike: bool,
    pub objective: Objective,
    /// Whether the first inner problem of chunk c has only `(c + 1) / chunks` of the steps.
    pub staggered: bool,
    pub sigma: f32,
    /// The place that draws; the next [`STREAMS`]` - 1` are taken too.
    pub stream: u32,
}

/// What stands in the kernel for a number of steps that never comes.
pub(super) const NEVER: u32 = u32::MAX;

impl Problem {
    /// Columns of the saved state: pairs, then two for the unperturbed particle of each chunk where state is shared.
    pub fn columns(&self) -> usize {
        self.pairs + if self.shared_state { 2 * self.chunks } else { 0 }
    }

    /// The call with the operands `seed` (`u32`, 2), `center`, `data`, `saved`, `counters` (`u32`), `shares`, then
    /// `perturbations` and `analytic` where there are such. Before the first unroll, `saved` and `counters` are zero.
    pub fn call(&self, truncation: &Truncation, kernel: Arc<Kernel>, target: &Target) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            first: self.first as u32,
            truncation: self.truncation as u32,
            pairs: self.pairs as u32,
            chunks: self.chunks as u32,
            horizon: self.horizon.map_or(NEVER, |horizon| horizon as u32),
            interval: self.interval.map_or(NEVER, |interval| interval as u32),
            shared_state: self.shared_state.into(),
            alike: self.alike.into(),
            stream: self.stream,
            objective: self.objective.number(),
            staggered: self.staggered.into(),
            sigma: self.sigma,
        };
        let parameters = truncation.problem.parameters();
        let columns = self.columns();
        let mut lengths = vec![
            2,
            parameters,
            composition::data(&*truncation.problem).len(),
            truncation.saved() * columns,
            COUNTERS * columns,
            SHARES * self.pairs,
        ];
        lengths.extend(truncation.perturbations(self.pairs));
        if truncation.analytic {
            lengths.push(parameters);
        }
        let workgroup = if target.software { 8 } else { 64 };
        let particles = self.pairs + if self.shared_state { self.chunks } else { 0 };
        Call::new(KernelRef::from(kernel), &uniform, particles.div_ceil(workgroup), lengths)
            .with_constant("WORKGROUP", workgroup as u32)
            .with_constants(truncation.problem.constants())
            .with_context(Arc::new(truncation.clone()))
    }
}

fn truncation_of(call: &Call) -> &Truncation {
    call.context_of().expect("the call of a truncation carries what is unrolled")
}

/// The twin.
fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let truncation = truncation_of(call);
    let uniform: Uniform = call.uniform();
    let [seed, center, _, saved, counters, shares, rest @ ..] = operands else { unreachable!("six operands or more") };
    let seed = [seed.u32()[0], seed.u32()[1]];
    let center: Vec<f64> = center.f32().iter().map(|&number| f64::from(number)).collect();
    let (mut perturbations, rest) = match (truncation.keeping, rest) {
        (Keeping::Stored, [perturbations, rest @ ..]) => (Some(perturbations.f32()), rest),
        (_, rest) => (None, rest),
    };
    let analytic: Option<Vec<f64>> =
        rest.first_mut().map(|analytic| analytic.f32().iter().map(|&number| f64::from(number)).collect());
    let (saved, counters, shares) = (saved.f32(), counters.u32(), shares.f32());

    let pairs = uniform.pairs as usize;
    let chunks = if uniform.shared_state == 1 { uniform.chunks as usize } else { 0 };
    // Unperturbed particles write elsewhere than they read, and pairs write their own columns alone.
    let (saved_before, counters_before) = (saved.to_vec(), counters.to_vec());
    for index in 0..pairs + chunks {
        let mut pair = Pair::new(truncation, &uniform, seed, index, &saved_before, &counters_before);
        let renewed = uniform.first == 0 && pair.age == 0;
        let column = pair.column;
        let normals = match &mut perturbations {
            Some(stored) if index < pairs => {
                if renewed {
                    for (i, normal) in pair.normals(&uniform, seed, center.len()).into_iter().enumerate() {
                        stored[i * pairs + column] = normal as f32;
                    }
                }
                (0..center.len()).map(|i| f64::from(stored[i * pairs + column])).collect()
            }
            _ => pair.normals(&uniform, seed, center.len()),
        };
        pair.advance(truncation, &uniform, seed, &center, &normals);
        if uniform.first + uniform.steps == uniform.truncation {
            if index < pairs {
                for (row, share) in pair.shares(&uniform, seed, analytic.as_deref(), &normals).into_iter().enumerate() {
                    shares[row * pairs + index] = share as f32;
                }
            }
            pair.age += 1;
            let kept = uniform.objective == 2 && pair.time > 0;
            pair.previous = if kept { pair.last[0] - pair.last[1] } else { 0.0 };
        }
        pair.save(truncation, pairs + 2 * chunks, saved, counters);
    }
}

/// A pair in the middle of its unroll.
struct Pair {
    index: usize,
    column: usize,
    chunk: u32,
    unperturbed: bool,
    drawn: u32,
    age: u32,
    episode: u32,
    time: u32,
    limit: u32,
    ended: bool,
    states: [Vec<f64>; 2],
    before: f64,
    after: f64,
    losses: [f64; 2],
    last: [f64; 2],
    previous: f64,
}

impl Pair {
    fn new(
        truncation: &Truncation,
        uniform: &Uniform,
        seed: [u32; 2],
        index: usize,
        saved: &[f32],
        counters: &[u32],
    ) -> Self {
        let pairs = uniform.pairs as usize;
        let columns = counters.len() / COUNTERS;
        let unperturbed = index >= pairs;
        let chunk = if unperturbed { index - pairs } else { index / pairs.div_ceil(uniform.chunks as usize) };
        let turn = seed[1] as usize & 1;
        let column = if unperturbed { pairs + 2 * chunk + 1 - turn } else { index };
        let begins = uniform.first == 0;
        let from = if begins && uniform.shared_state == 1 { pairs + 2 * chunk + turn } else { column };
        let counter = |row: usize, column: usize| counters[row * columns + column];
        let number = |row: usize, column: usize| f64::from(saved[row * columns + column]);
        let states = truncation.problem.states();
        let state = |first: usize| (first..first + states).map(|row| number(row, from)).collect();
        let sum = |row: usize| if begins { 0.0 } else { number(2 * states + row, column) };
        let mut pair = Self {
            index,
            column,
            chunk: chunk as u32,
            unperturbed,
            drawn: counter(0, column),
            age: counter(1, column),
            episode: counter(2, from),
            time: counter(3, from),
            limit: counter(4, from),
            ended: !begins && counter(5, column) == 1,
            states: [state(0), state(states)],
            before: sum(0),
            after: sum(1),
            losses: [sum(2), sum(3)],
            last: [0.0; 2],
            previous: number(2 * states + 4, column),
        };
        if begins {
            if pair.limit == 0 {
                let part = (uniform.horizon / uniform.chunks * (chunk as u32 + 1)).max(1);
                pair.limit = if uniform.staggered == 1 { part } else { uniform.horizon };
            }
            if pair.time < uniform.truncation || pair.age >= uniform.interval {
                (pair.drawn, pair.age) = (seed[1], 0);
            }
        }
        pair
    }

    /// The deviates that this pair's perturbation is made of, and one more where the parameters are odd in number.
    fn normals(&self, uniform: &Uniform, seed: [u32; 2], parameters: usize) -> Vec<f64> {
        let blocks = parameters.div_ceil(2) as u32;
        let block = |pair: u32| {
            let element = (self.column as u32).wrapping_mul(blocks).wrapping_add(pair);
            normal_pair([seed[0], self.drawn], uniform.stream, element)
        };
        (0..blocks).flat_map(block).collect()
    }

    fn advance(&mut self, truncation: &Truncation, uniform: &Uniform, seed: [u32; 2], center: &[f64], normals: &[f64]) {
        let problem = &*truncation.problem;
        let scale = if self.unperturbed { 0.0 } else { f64::from(uniform.sigma) };
        let perturbed =
            |scale: f64| -> Vec<f64> { center.iter().zip(normals).map(|(center, n)| center + scale * n).collect() };
        let parameters = [perturbed(scale), perturbed(-scale)];
        for taken in 0..uniform.steps {
            let (lanes, lane) = if uniform.alike == 1 || self.unperturbed {
                (uniform.chunks, self.chunk)
            } else {
                (uniform.pairs, self.index as u32)
            };
            let place = self.episode.wrapping_mul(lanes).wrapping_add(lane);
            let mut over = self.time + 1 >= self.limit;
            for (member, parameters) in parameters.iter().enumerate() {
                let state = &mut self.states[member];
                if self.time == 0 {
                    problem.reset(&mut EpisodeRandom::new(seed[0], uniform.stream + 1, place, 0), state);
                }
                let mut random = EpisodeRandom::new(seed[0], uniform.stream + 2, place, self.time);
                let loss = problem.step(state, parameters, self.time, &mut random);
                self.last[member] = loss.value;
                over |= loss.done;
            }
            self.time += 1;
            if uniform.objective == 0 || over || uniform.first + taken + 1 == uniform.truncation {
                self.losses[0] += self.last[0];
                self.losses[1] += self.last[1];
                *(if self.ended { &mut self.after } else { &mut self.before }) += self.last[0] - self.last[1];
            }
            if over {
                self.ended = true;
                self.episode = self.episode.wrapping_add(1);
                self.time = 0;
                self.limit = uniform.horizon;
            }
        }
    }

    /// a, b, keep, add, and the losses.
    fn shares(&self, uniform: &Uniform, seed: [u32; 2], analytic: Option<&[f64]>, normals: &[f64]) -> [f64; SHARES] {
        let renewed = self.drawn == seed[1];
        let one = |yes: bool| if yes { 1.0 } else { 0.0 };
        let mut share = if uniform.shared_state == 1 {
            [0.0, self.before + self.after, 0.0, 0.0]
        } else {
            let present = self.after + if renewed { self.before } else { 0.0 };
            // After an end, what is left is the present perturbation, if it has been used at all.
            let add = if renewed { !self.ended || self.time > 0 } else { self.ended && self.time > 0 };
            [self.before - self.previous, present, one(!self.ended), one(add)]
        };
        if let Some(analytic) = analytic {
            let product: f64 = analytic.iter().zip(normals).map(|(analytic, normal)| analytic * normal).sum();
            share[0] -= 2.0 * f64::from(uniform.sigma) * product;
            share[1] = 0.0;
        }
        [share[0], share[1], share[2], share[3], self.losses[0], self.losses[1]]
    }

    fn save(&self, truncation: &Truncation, columns: usize, saved: &mut [f32], counters: &mut [u32]) {
        let sums = [self.before, self.after, self.losses[0], self.losses[1], self.previous];
        debug_assert_eq!(self.states[0].len(), truncation.problem.states());
        for (row, number) in self.states.iter().flatten().chain(&sums).enumerate() {
            saved[row * columns + self.column] = *number as f32;
        }
        let numbers = [self.drawn, self.age, self.episode, self.time, self.limit, u32::from(self.ended)];
        for (row, number) in numbers.into_iter().enumerate() {
            counters[row * columns + self.column] = number;
        }
    }
}

/// A step errs by the rounding of the problem, which is of the larger of 1 and the value, and the next one magnifies what
/// it finds; a loss is a function of the state. Differences and sums of losses err as the losses do.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    if binding == COUNTERS_BINDING {
        return Tolerance::Exact;
    }
    let truncation = truncation_of(call);
    let uniform: Uniform = call.uniform();
    let mut after = operands.to_vec();
    call.run_twin(&mut after.iter_mut().map(Data::operand).collect::<Vec<_>>());
    // Before the objective takes its choice, a loss may be as large as any state or sum of losses.
    let largest =
        |data: &Data| data.f32().iter().filter(|x| x.is_finite()).fold(1.0_f64, |a, &b| a.max(f64::from(b).abs()));
    let growth = truncation.problem.growth().powi(uniform.steps.saturating_sub(1) as i32);
    let unit = truncation.problem.rounding() * growth * f64::from(uniform.steps) * Tolerance::EPSILON;
    let scale = largest(&after[SAVED_BINDING]).max(largest(&operands[SAVED_BINDING]));
    Tolerance::Within { relative: unit, absolute: unit * scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::Loss;

    /// The loss of step t is (t + 1) theta; the state counts the steps.
    #[derive(Debug, Clone, Copy)]
    struct Ramp {
        horizon: usize,
    }

    impl InnerProblem for Ramp {
        fn file(&self) -> &str {
            "ramp.wgsl"
        }
        fn source(&self) -> Cow<'static, str> {
            "".into()
        }
        fn states(&self) -> usize {
            1
        }
        fn parameters(&self) -> usize {
            1
        }
        fn horizon(&self) -> Option<usize> {
            Some(self.horizon)
        }
        fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
            state[0] = 0.0;
        }
        fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
            state[0] += 1.0;
            Loss { value: state[0] * parameters[0], done: false }
        }
    }

    const PES: Problem = Problem {
        pairs: 1,
        chunks: 1,
        truncation: 4,
        horizon: Some(10),
        first: 0,
        steps: 4,
        interval: Some(1),
        shared_state: false,
        alike: true,
        objective: Objective::Sum,
        staggered: false,
        sigma: 0.5,
        stream: 0,
    };

    /// The shares of unroll after unroll, in units of L+ - L- of a step whose loss is theta.
    fn unrolls(problem: Problem, count: u32) -> Vec<[f64; 4]> {
        let truncation =
            Truncation { problem: Arc::new(Ramp { horizon: 10 }), keeping: Keeping::Private, analytic: false };
        let call = problem.call(&truncation, truncation.kernel(), &Target::default());
        let data = |index: usize| Data::F32(vec![0.0; call.lengths[index]]);
        let mut operands =
            vec![Data::U32(vec![3, 0]), data(1), data(2), data(3), Data::U32(vec![0; call.lengths[4]]), data(5)];
        (0..count)
            .map(|unroll| {
                operands[0] = Data::U32(vec![3, unroll]);
                let drawn = |operands: &[Data]| operands[4].u32()[0];
                let old = drawn(&operands);
                call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
                // L+ - L- = 2 sigma n times the sum of the steps' numbers.
                let n = normal_pair([3, drawn(&operands)], 0, 0)[0];
                let _ = old;
                let shares = operands[5].f32();
                let whole = |share: f32| f64::from(share) / n;
                [whole(shares[0]), whole(shares[1]), f64::from(shares[2]), f64::from(shares[3])]
            })
            .collect()
    }

    fn near(got: &[[f64; 4]], expected: &[[f64; 4]]) {
        for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }

    #[test]
    fn the_last_loss_of_an_inner_problem_counts_with_every_perturbation_of_it() {
        // Steps 1 2 3 4, 5 6 7 8, 9 10 | 1 2, 3 4 5 6: the third unroll holds the end.
        near(
            &unrolls(PES, 4),
            &[[10.0, 10.0, 1.0, 1.0], [26.0, 26.0, 1.0, 1.0], [19.0, 22.0, 0.0, 1.0], [18.0, 18.0, 1.0, 1.0]],
        );
    }

    #[test]
    fn an_end_at_the_end_of_an_unroll_leaves_no_perturbation() {
        let problem = Problem { horizon: Some(8), ..PES };
        near(&unrolls(problem, 3), &[[10.0, 10.0, 1.0, 1.0], [26.0, 26.0, 0.0, 0.0], [10.0, 10.0, 1.0, 1.0]]);
    }

    #[test]
    fn a_perturbation_that_lasts_for_an_episode_is_added_once() {
        let problem = Problem { horizon: Some(8), interval: None, ..PES };
        near(&unrolls(problem, 3), &[[10.0, 10.0, 1.0, 1.0], [26.0, 0.0, 0.0, 0.0], [10.0, 10.0, 1.0, 1.0]]);
    }

    #[test]
    fn a_perturbation_is_renewed_in_the_unroll_after_one_in_which_an_inner_problem_started() {
        let problem = Problem { interval: None, ..PES };
        near(
            &unrolls(problem, 4),
            &[[10.0, 10.0, 1.0, 1.0], [26.0, 0.0, 1.0, 0.0], [19.0, 3.0, 0.0, 1.0], [18.0, 18.0, 1.0, 1.0]],
        );
    }

    #[test]
    fn shared_particles_count_the_present_perturbation_alone() {
        let problem = Problem { shared_state: true, ..PES };
        near(
            &unrolls(problem, 4),
            &[[0.0, 10.0, 0.0, 0.0], [0.0, 26.0, 0.0, 0.0], [0.0, 22.0, 0.0, 0.0], [0.0, 18.0, 0.0, 0.0]],
        );
    }

    #[test]
    fn only_the_last_loss_of_an_unroll_counts_where_the_objective_says_so() {
        let problem = Problem { objective: Objective::Last, ..PES };
        near(
            &unrolls(problem, 4),
            &[[4.0, 4.0, 1.0, 1.0], [8.0, 8.0, 1.0, 1.0], [10.0, 12.0, 0.0, 1.0], [6.0, 6.0, 1.0, 1.0]],
        );
    }
}
