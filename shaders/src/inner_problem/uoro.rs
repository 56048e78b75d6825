//! Unbiased online recurrent optimisation (Tallec and Ollivier, 2017): `uoro.wgsl` with an inner problem, and its twin.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::truncation::{COUNTERS_BINDING, SAVED_BINDING};
use super::unrolled::{NEVER, Objective};
use super::{InnerProblem, composition};
use crate::random::threefry;
use crate::rollout::unroll::EpisodeRandom;
use crate::{Binding, Call, Data, Error, Kernel, Operand, Sequence, Sizes, Target, Tolerance, product, sum};

/// Rows of the counters of a replica.
pub const COUNTERS: usize = 2;

/// A small length that keeps quotients of lengths finite.
const SMALL: f64 = 1e-7;

/// A policy in an environment, to unroll.
#[derive(Debug, Clone)]
pub struct Uoro {
    /// It has a [`tangent_source`](InnerProblem::tangent_source).
    pub problem: Arc<dyn InnerProblem>,
}

impl Uoro {
    /// Numbers that are saved of a replica between dispatches.
    pub fn saved(&self) -> usize {
        sum(&[product(&[2, self.problem.states()]), self.problem.parameters()])
    }

    /// The most steps that a dispatch on this target may take; 0 where it cannot take one.
    pub fn most_steps(&self, target: &Target) -> usize {
        self.passes().most_steps(target)
    }

    fn passes(&self) -> composition::Passes {
        let (states, parameters) = (self.problem.states(), self.problem.parameters());
        // A tangent for each parameter and one for the state, the product with the signs, and the rest of a step.
        let tangents = product(&[sum(&[parameters, 2]), sum(&[self.problem.iterations(), 1])]);
        let step = sum(&[tangents, product(&[parameters, sum(&[states, 1])]), product(&[3, states])]);
        composition::Passes { step, once: product(&[3, self.saved()]) }
    }

    /// The whole kernel as WGSL.
    ///
    /// # Panics
    /// If the problem has no derivative.
    pub fn wgsl(&self) -> String {
        let tangent = self.problem.tangent_source().expect("a problem that has a derivative");
        let parts = [&*self.problem.source(), &*tangent, wgsl!("unrolled.wgsl"), wgsl!("uoro.wgsl")];
        composition::wgsl(&*self.problem, "differentiated with rank one", &bindings(), &parts)
    }

    /// The kernel, by the name `uoro.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let name = composition::name("uoro", &*self.problem);
        Kernel::composed::<Uniform>(name, self.wgsl(), "differentiate", bindings(), passes, twin, tolerance)
    }
}

fn bindings() -> Vec<Binding> {
    vec![
        Binding::read("seed", "(2): key, unroll").u32(),
        Binding::read("center", "(parameters)"),
        Binding::read("data", "(numbers of the problem)"),
        Binding::update("saved", "(2 states + parameters, replicas): s, s~, theta~"),
        Binding::update("counters", "(2, replicas)").u32(),
        Binding::update("estimates", "(parameters, replicas): gradients"),
        Binding::update("losses", "(replicas)"),
    ]
}

/// The steps, and what comes before and behind them.
fn passes(call: &Call) -> u64 {
    let Uniform { steps, .. } = call.uniform();
    uoro_of(call).passes().of(steps)
}

/// The uniform block of `uoro.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub first: u32,
    pub truncation: u32,
    pub replicas: u32,
    pub horizon: u32,
    pub stream: u32,
    pub objective: u32,
}

/// One dispatch: `steps` steps from step `first` on of an unroll of `truncation` steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Independent estimates, whose mean is the gradient.
    pub replicas: usize,
    /// Steps of the whole unroll.
    pub truncation: usize,
    /// Steps after which the inner problem starts again; `None` where it never does.
    pub horizon: Option<usize>,
    /// Steps of the unroll before this dispatch.
    pub first: usize,
    /// Steps of this dispatch; `first + steps` is at most `truncation`.
    pub steps: usize,
    /// [`Objective::Final`] counts the last loss of each inner problem and needs no telescope.
    pub objective: Objective,
    /// The place that draws; the next two are taken too.
    pub stream: u32,
}

impl Problem {
    /// Returns the dispatch of a kernel that [`Uoro::kernel`] made, with the operands `seed` (`u32`, 2),
    /// `center`, `data`, `saved`, `counters` (`u32`), `estimates`, `losses`.
    /// Before the first unroll, `saved` and `counters` are zero.
    ///
    /// # Errors
    /// A size or a factor out of range, or a problem without a derivative.
    pub fn sequence(&self, uoro: &Uoro, kernel: Arc<Kernel>, target: &Target) -> Result<Sequence, Error> {
        composition::check_derivative(&*uoro.problem)?;
        self.check()?.sequence(self.call(uoro, kernel, target))
    }

    fn check(&self) -> Result<Sizes, Error> {
        Sizes("uoro").positive(&[("replicas", self.replicas), ("horizon", self.horizon.unwrap_or(1))])?.unroll(
            self.first,
            self.steps,
            self.truncation,
        )
    }

    pub(crate) fn call(&self, uoro: &Uoro, kernel: Arc<Kernel>, target: &Target) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            first: self.first as u32,
            truncation: self.truncation as u32,
            replicas: self.replicas as u32,
            horizon: self.horizon.map_or(NEVER, |horizon| horizon as u32),
            stream: self.stream,
            objective: self.objective.number(),
        };
        let problem = &*uoro.problem;
        let lengths = [
            2,
            problem.parameters(),
            composition::data(problem).len(),
            product(&[uoro.saved(), self.replicas]),
            product(&[COUNTERS, self.replicas]),
            product(&[problem.parameters(), self.replicas]),
            self.replicas,
        ];
        composition::call((kernel, uoro.wgsl()), &*uoro.problem, &uniform, self.replicas, lengths, target)
            .with_context(Arc::new(uoro.clone()))
    }
}

fn uoro_of(call: &Call) -> &Uoro {
    call.context_of().expect("the call of UORO carries what is differentiated")
}

/// The twin.
fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    run(call, operands, &mut |_, _, _| {});
}

/// The twin, which tells of each step the replica, rho0 and rho1.
fn run(call: &Call, operands: &mut [Operand<'_>], tell: &mut dyn FnMut(usize, f64, f64)) {
    let problem = &*uoro_of(call).problem;
    let uniform: Uniform = call.uniform();
    let [seed, center, _, saved, counters, estimates, losses] = operands else { unreachable!("seven operands") };
    let seed = [seed.u32()[0], seed.u32()[1]];
    let center: Vec<f64> = center.f32().iter().map(|&number| f64::from(number)).collect();
    let (saved, counters, estimates, losses) = (saved.f32(), counters.u32(), estimates.f32(), losses.f32());
    let (states, parameters, replicas) = (problem.states(), problem.parameters(), uniform.replicas as usize);
    let objective = |objective: Objective| uniform.objective == objective.number();
    for replica in 0..replicas {
        let numbers = |values: &[f32], rows: std::ops::Range<usize>| -> Vec<f64> {
            rows.map(|row| f64::from(values[row * replicas + replica])).collect()
        };
        let mut state = numbers(saved, 0..states);
        let mut s_tilde = numbers(saved, states..2 * states);
        let mut theta_tilde = numbers(saved, 2 * states..2 * states + parameters);
        let (mut gradient, mut sum) = (numbers(estimates, 0..parameters), f64::from(losses[replica]));
        if uniform.first == 0 {
            gradient.fill(0.0);
            sum = 0.0;
        }
        let (mut episode, mut time) = (counters[replica], counters[replicas + replica]);
        for step in uniform.first..uniform.first + uniform.steps {
            if time == 0 {
                problem.reset(&mut EpisodeRandom::new(seed[0], uniform.stream.wrapping_add(1), episode, 0), &mut state);
                s_tilde.fill(0.0);
                theta_tilde.fill(0.0);
            }
            let draw = [seed[0], seed[1].wrapping_mul(uniform.truncation).wrapping_add(step)];
            let signs = signs(draw, uniform.stream, replica as u32, states);
            let random = EpisodeRandom::new(seed[0], uniform.stream.wrapping_add(2), episode, time);
            let mut next = state.clone();
            let loss = problem.step(&mut next, &center, time, &mut { random });
            let over = loss.done || time + 1 >= uniform.horizon;
            let unroll_ends = step + 1 == uniform.truncation;
            let counts = objective(Objective::Sum) || over || (objective(Objective::Last) && unroll_ends);

            let mut d = s_tilde;
            let still = vec![0.0; parameters];
            let slope = problem.tangent(&state, &mut d, &center, &still, time, &mut { random });
            let mut w = Vec::with_capacity(parameters);
            for p in 0..parameters {
                let mut along = still.clone();
                along[p] = 1.0;
                let mut tangent = vec![0.0; states];
                let direct = problem.tangent(&state, &mut tangent, &center, &along, time, &mut { random });
                if counts {
                    gradient[p] += slope * theta_tilde[p] + direct;
                }
                w.push(signs.iter().zip(&tangent).map(|(sign, tangent)| sign * tangent).sum::<f64>());
            }
            if counts {
                sum += loss.value;
            }
            let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt() + SMALL;
            let rho0 = (length(&theta_tilde) / length(&d)).sqrt();
            let rho1 = (length(&w) / length(&signs)).sqrt();
            tell(replica, rho0, rho1);
            s_tilde = d.iter().zip(&signs).map(|(d, sign)| rho0 * d + rho1 * sign).collect();
            theta_tilde = theta_tilde.iter().zip(&w).map(|(theta, w)| theta / rho0 + w / rho1).collect();
            state = next;
            time += 1;
            if over {
                episode = episode.wrapping_add(1);
                time = 0;
            }
        }
        for (row, number) in state.iter().chain(&s_tilde).chain(&theta_tilde).enumerate() {
            saved[row * replicas + replica] = *number as f32;
        }
        for (row, number) in gradient.into_iter().enumerate() {
            estimates[row * replicas + replica] = number as f32;
        }
        losses[replica] = sum as f32;
        (counters[replica], counters[replicas + replica]) = (episode, time);
    }
}

/// Row `replica` of the signs (replicas, states rounded up to even) of the place `stream`, for `seed = (key, draw)`.
fn signs(seed: [u32; 2], stream: u32, replica: u32, states: usize) -> Vec<f64> {
    let blocks = states.div_ceil(2) as u32;
    let block = |pair: u32| {
        let place = replica.wrapping_mul(blocks).wrapping_add(pair);
        threefry::threefry([seed[0], stream], [place, seed[1]]).map(|word| 1.0 - 2.0 * f64::from(word >> 31))
    };
    (0..blocks).flat_map(block).take(states).collect()
}

/// A step errs by the rounding of the problem, and the next one magnifies what it finds. The terms of a derivative are
/// products of a number that goes with the state and of one that goes with what it is taken along; the factors rho0 and
/// rho1, their own roundings small beside those of the problem, magnify or divide.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    if binding == COUNTERS_BINDING {
        return Tolerance::Exact;
    }
    let uoro = uoro_of(call);
    let uniform: Uniform = call.uniform();
    let (states, replicas) = (uoro.problem.states(), uniform.replicas as usize);
    let mut factors = vec![1.0_f64; replicas];
    let mut after = operands.to_vec();
    run(call, &mut after.iter_mut().map(Data::operand).collect::<Vec<_>>(), &mut |replica, rho0, rho1| {
        factors[replica] *= [rho0, rho1, 1.0 / rho0, 1.0 / rho1].into_iter().fold(1.0, f64::max);
    });
    let largest = |rows: std::ops::Range<usize>, replica: usize| {
        let both = [&operands[SAVED_BINDING], &after[SAVED_BINDING]].map(Data::f32);
        let numbers = rows.flat_map(|row| both.map(|saved| f64::from(saved[row * replicas + replica]).abs()));
        numbers.filter(|number| number.is_finite()).fold(1.0, f64::max)
    };
    let growth = uoro.problem.growth().powi(uniform.steps.saturating_sub(1) as i32);
    // Sums over the states and over the parameters.
    let rounding = uoro.problem.rounding() + uoro.saved() as f64;
    let unit = rounding * growth * f64::from(uniform.steps) * Tolerance::EPSILON;
    let bounds: Vec<f64> = (0..replicas)
        .map(|replica| {
            let numbers = largest(0..states, replica);
            let along = largest(states..2 * states, replica) * largest(2 * states..uoro.saved(), replica);
            unit * numbers * along * factors[replica]
        })
        .collect();
    Tolerance::PerElement((0..call.lengths[binding]).map(|element| bounds[element % replicas]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::ToyRegression;

    /// The whole gradient of `steps` steps at (-4, -4), by tangents along the axes.
    fn gradient(steps: u32) -> [f64; 2] {
        let problem = ToyRegression::default();
        [[1.0, 0.0], [0.0, 1.0]].map(|along| {
            let (mut state, mut tangent, mut sum) = ([1.0; 2], [0.0; 2], 0.0);
            let mut random = EpisodeRandom::new(0, 0, 0, 0);
            for time in 0..steps {
                sum += problem.tangent(&state, &mut tangent, &[-4.0; 2], &along, time, &mut random);
                problem.step(&mut state, &[-4.0; 2], time, &mut random);
            }
            sum
        })
    }

    /// Estimates of the gradient over `steps` steps, cut into unrolls of `truncation` steps, of each replica.
    fn estimates(replicas: usize, steps: usize, truncation: usize) -> Vec<[f64; 2]> {
        let uoro = Uoro { problem: Arc::new(ToyRegression::default()) };
        let objective = Objective::Sum;
        let horizon = Some(steps);
        let problem = Problem { replicas, truncation, horizon, first: 0, steps: truncation, objective, stream: 3 };
        let call = problem.call(&uoro, uoro.kernel(), &Target::default());
        let (mut saved, mut counters) = (vec![0.0; uoro.saved() * replicas], vec![0; COUNTERS * replicas]);
        let mut sums = vec![[0.0; 2]; replicas];
        for unroll in 0..steps / truncation {
            let (mut estimates, mut losses) = (vec![f32::NAN; 2 * replicas], vec![f32::NAN; replicas]);
            call.run_twin(&mut [
                Operand::U32(&mut [5, unroll as u32]),
                Operand::F32(&mut [-4.0, -4.0]),
                Operand::F32(&mut [0.0]),
                Operand::F32(&mut saved),
                Operand::U32(&mut counters),
                Operand::F32(&mut estimates),
                Operand::F32(&mut losses),
            ]);
            for (replica, sum) in sums.iter_mut().enumerate() {
                sum.iter_mut().zip([0, 1]).for_each(|(sum, p)| *sum += f64::from(estimates[p * replicas + replica]));
            }
        }
        sums
    }

    #[test]
    fn the_mean_over_replicas_is_the_gradient() {
        for (steps, truncation) in [(30, 1), (100, 10)] {
            let estimates = estimates(4_000, steps, truncation);
            for (p, expected) in gradient(steps as u32).into_iter().enumerate() {
                let count = estimates.len() as f64;
                let mean = estimates.iter().map(|estimate| estimate[p]).sum::<f64>() / count;
                let squares = estimates.iter().map(|estimate| (estimate[p] - mean).powi(2)).sum::<f64>();
                let error = (squares / (count - 1.0) / count).sqrt();
                assert!((mean - expected).abs() < 4.0 * error, "{steps}: {mean} +- {error}, not {expected}");
                assert!(error < 0.2 * expected.abs(), "{steps}: {error} {expected}");
            }
        }
    }

    #[test]
    fn the_first_step_of_an_inner_problem_has_no_noise() {
        let estimates = estimates(5, 1, 1);
        let expected = gradient(1);
        assert!(estimates.iter().all(|estimate| (0..2).all(|p| (estimate[p] - expected[p]).abs() < 1e-6)));
    }

    #[test]
    fn signs_are_of_either_kind_alike() {
        let sum: f64 = (0..1_000).flat_map(|replica| signs([1, 2], 3, replica, 3)).sum();
        // Four standard deviations of 3,000 signs.
        assert!(sum.abs() < 220.0, "{sum}");
    }
}
