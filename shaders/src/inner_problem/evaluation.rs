//! Whole inner problems at given outer parameters: `evaluation.wgsl` with an inner problem, and its twin.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::{InnerProblem, composition};
use crate::rollout::unroll::EpisodeRandom;
use crate::{Binding, Call, Data, Error, Kernel, Operand, Sequence, Sizes, Target, Tolerance, product};

/// Rows of the counters of a slot.
const COUNTERS: usize = 2;

/// An inner problem to evaluate.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The inner problem that is run to its end.
    pub problem: Arc<dyn InnerProblem>,
}

impl Evaluation {
    /// The most steps that a dispatch on this target may take; 0 where it cannot take one.
    pub fn most_steps(&self, target: &Target) -> usize {
        self.passes().most_steps(target)
    }

    fn passes(&self) -> composition::Passes {
        composition::Passes { step: self.problem.iterations(), once: product(&[2, self.problem.states()]) }
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let parts = [&*self.problem.source(), wgsl!("evaluation.wgsl")];
        composition::wgsl(&*self.problem, "at given outer parameters", &bindings(), &parts)
    }

    /// The kernel, by the name `evaluation.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let name = composition::name("evaluation", &*self.problem);
        Kernel::composed::<Uniform>(name, self.wgsl(), "evaluate", bindings(), passes, twin, tolerance)
    }
}

fn bindings() -> Vec<Binding> {
    vec![
        Binding::read("seed", "(2): key, and a number that is not read").u32(),
        Binding::read("points", "(points, parameters)"),
        Binding::read("data", "(numbers of the problem)"),
        Binding::update("saved", "(states, points * episodes)"),
        Binding::update("counters", "(2, points * episodes): steps, over").u32(),
        Binding::update("losses", "(2, points, episodes): the sum of all losses, and the last"),
    ]
}

/// The steps, and what comes before and behind them.
fn passes(call: &Call) -> u64 {
    let Uniform { steps, .. } = call.uniform();
    call.context_of::<Evaluation>().map_or(0, |evaluation| evaluation.passes().of(steps))
}

/// The uniform block of `evaluation.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub fresh: u32,
    pub points: u32,
    pub episodes: u32,
    pub horizon: u32,
    pub stream: u32,
}

/// One dispatch: up to `steps` steps of `episodes` inner problems at each of `points` points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Vectors of outer parameters that are evaluated.
    pub points: usize,
    /// Inner problems at each point.
    pub episodes: usize,
    /// Steps after which an inner problem is over.
    pub horizon: usize,
    /// Steps of this dispatch, at most.
    pub steps: usize,
    /// True if the inner problems start anew: no buffer need be set before.
    pub fresh: bool,
    /// The place that draws the starts; the next one draws the steps.
    pub stream: u32,
}

impl Problem {
    /// Returns the inner problems that run side by side: `points * episodes`, `usize::MAX` where they are more.
    pub fn slots(&self) -> usize {
        product(&[self.points, self.episodes])
    }

    /// Returns the dispatch of a kernel that [`Evaluation::kernel`] made, with the operands `seed` (`u32`, 2),
    /// `points`, `data`, `saved`, `counters` (`u32`), `losses`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, evaluation: &Evaluation, kernel: Arc<Kernel>, target: &Target) -> Result<Sequence, Error> {
        composition::check(&*evaluation.problem)?;
        self.check()?.sequence(self.call(evaluation, kernel, target))
    }

    fn check(&self) -> Result<Sizes, Error> {
        Sizes("evaluation")
            .tensor(&[("points", self.points), ("episodes", self.episodes)])?
            .positive(&[("horizon", self.horizon), ("steps", self.steps)])
    }

    pub(crate) fn call(&self, evaluation: &Evaluation, kernel: Arc<Kernel>, target: &Target) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            fresh: self.fresh.into(),
            points: self.points as u32,
            episodes: self.episodes as u32,
            horizon: self.horizon as u32,
            stream: self.stream,
        };
        let problem = &*evaluation.problem;
        let slots = self.slots();
        let lengths = [
            2,
            product(&[self.points, problem.parameters()]),
            composition::data(problem).len(),
            product(&[problem.states(), slots]),
            product(&[COUNTERS, slots]),
            product(&[2, slots]),
        ];
        composition::call((kernel, evaluation.wgsl()), &*evaluation.problem, &uniform, slots, lengths, target)
            .with_context(Arc::new(evaluation.clone()))
    }
}

/// The twin.
fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let problem = &*call.context_of::<Evaluation>().expect("the call of an evaluation carries its problem").problem;
    let uniform: Uniform = call.uniform();
    let [seed, points, _, saved, counters, losses] = operands else { unreachable!("six operands") };
    let key = seed.u32()[0];
    let points: Vec<f64> = points.f32().iter().map(|&number| f64::from(number)).collect();
    let (saved, counters, losses) = (saved.f32(), counters.u32(), losses.f32());
    let slots = (uniform.points * uniform.episodes) as usize;
    for slot in 0..slots {
        let parameters = &points[slot / uniform.episodes as usize * problem.parameters()..][..problem.parameters()];
        let episode = slot as u32 % uniform.episodes;
        let fresh = uniform.fresh == 1;
        let (mut time, mut over) = if fresh { (0, 0) } else { (counters[slot], counters[slots + slot]) };
        let [mut sum, mut last] = [losses[slot], losses[slots + slot]].map(|x| if fresh { 0.0 } else { f64::from(x) });
        let mut state: Vec<f64> = (0..problem.states()).map(|row| f64::from(saved[row * slots + slot])).collect();
        if fresh {
            state.fill(0.0);
        }
        for _ in 0..uniform.steps {
            if over == 1 {
                break;
            }
            if time == 0 {
                problem.reset(&mut EpisodeRandom::new(key, uniform.stream, episode, 0), &mut state);
            }
            let mut random = EpisodeRandom::new(key, uniform.stream + 1, episode, time);
            let loss = problem.step(&mut state, parameters, time, &mut random);
            sum += loss.value;
            last = loss.value;
            time += 1;
            over = u32::from(loss.done || time >= uniform.horizon);
        }
        for (row, number) in state.into_iter().enumerate() {
            saved[row * slots + slot] = number as f32;
        }
        (counters[slot], counters[slots + slot]) = (time, over);
        (losses[slot], losses[slots + slot]) = (sum as f32, last as f32);
    }
}

/// As that of a truncation: a step errs by the rounding of the problem, and the next one magnifies what it finds.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    const COUNTERS_BINDING: usize = 4;
    if binding == COUNTERS_BINDING {
        return Tolerance::Exact;
    }
    let problem = &*call.context_of::<Evaluation>().expect("the call of an evaluation carries its problem").problem;
    let uniform: Uniform = call.uniform();
    let mut after = operands.to_vec();
    call.run_twin(&mut after.iter_mut().map(Data::operand).collect::<Vec<_>>());
    let numbers = operands[3].f32().iter().chain(after[3].f32()).chain(after[5].f32());
    let scale = numbers.filter(|x| x.is_finite()).fold(1.0_f64, |a, &b| a.max(f64::from(b).abs()));
    let growth = problem.growth().powi(uniform.steps.saturating_sub(1) as i32);
    let unit = problem.rounding() * growth * f64::from(uniform.steps) * Tolerance::EPSILON;
    Tolerance::Within { relative: unit, absolute: unit * scale }
}
