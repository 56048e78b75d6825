//! The twin of a truncation, and how far the kernel may be from it.

use super::{COUNTERS, COUNTERS_BINDING, ParameterStorage, SAVED_BINDING, Truncation, Uniform};
use crate::inner_problem::unrolled::{Objective, SHARES, Unrolled};
use crate::random::threefry::normal_pair;
use crate::rollout::unroll::EpisodeRandom;
use crate::{Call, Data, Operand, Tolerance};

fn truncation_of(call: &Call) -> &Truncation {
    call.context_of().expect("the call of a truncation carries what is unrolled")
}

/// The twin.
pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let truncation = truncation_of(call);
    let uniform: Uniform = call.uniform();
    let [seed, center, _, saved, counters, shares, rest @ ..] = operands else { unreachable!("six operands or more") };
    let seed = [seed.u32()[0], seed.u32()[1]];
    let center: Vec<f64> = center.f32().iter().map(|&number| f64::from(number)).collect();
    let (mut perturbations, rest) = match (truncation.storage, rest) {
        (ParameterStorage::Stored, [perturbations, rest @ ..]) => (Some(perturbations.f32()), rest),
        (_, rest) => (None, rest),
    };
    let analytic: Option<Vec<f64>> =
        rest.first_mut().map(|analytic| analytic.f32().iter().map(|&number| f64::from(number)).collect());
    let (saved, counters, shares) = (saved.f32(), counters.u32(), shares.f32());

    let pairs = uniform.pairs as usize;
    let chunks = if uniform.shared_state == 1 { uniform.chunks as usize } else { 0 };
    // Unperturbed particles write elsewhere than they read, and pairs write their own columns alone.
    let (saved_before, counters_before) = (saved.to_vec(), counters.to_vec());
    let own = uniform.first_pair as usize..(uniform.first_pair + uniform.present) as usize;
    for index in own.chain(pairs..pairs + chunks) {
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
            let kept = uniform.objective == Objective::Final.number() && pair.time > 0;
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
        for steps_done in 0..uniform.steps {
            let (lanes, lane) = if uniform.common_random_numbers == 1 || self.unperturbed {
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
            if uniform.objective == Objective::Sum.number()
                || over
                || uniform.first + steps_done + 1 == uniform.truncation
            {
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
        let unrolled = Unrolled {
            before: self.before,
            after: self.after,
            previous: self.previous,
            renewed: self.drawn == seed[1],
            ended: self.ended,
            within: self.time > 0,
        };
        let mut share = if uniform.shared_state == 1 { unrolled.present() } else { unrolled.accumulated() };
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
pub(super) fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
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
