//! Whole iterations of an outer loop over a small population, in one workgroup: `outer_iterations.wgsl` with an inner
//! problem, and its twin.

mod twin;

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::unrolled::{NEVER, SHARES};
use super::{COUNTERS, InnerProblem, ParameterStorage, Truncation, TruncationProblem, composition};
use crate::evolution::persistent_gradient;
use crate::optimiser::adamw;
use crate::{Binding, Call, Error, Kernel, Sequence, Sizes, Target, packed, product};

/// Terms of the gradient in the memory of the workgroup: they and theta fit WebGPU's 16 KiB.
const TERMS: usize = 960;

/// Bytes of the memory of the workgroup.
const MEMORY: u32 = 16 << 10;

/// Outer parameters at most, which invocations keep to themselves.
const MOST_PARAMETERS: usize = 64;

/// Iterations of a dispatch at most. More gain nothing: a dispatch costs some fifty microseconds, an iteration ten.
const MOST_ITERATIONS: usize = 256;

/// Inner steps of a dispatch at most, of some microseconds each on a slow GPU.
const MOST_STEPS: usize = 1 << 14;

/// Passes through the loops of a step, of both particles of eight pairs and over all steps of an unroll, up to which one
/// core of a software driver does an iteration in less time than several cores take for five dispatches. The toy
/// regression with 512 particles has 2,560 and takes some 70 microseconds, the dispatches alone take 200.
const SOFTWARE_WORK: usize = 8_192;

/// The operands that are compared bit by bit.
const SEED: usize = 0;
const COUNTERS_BINDING: usize = 5;

/// An inner problem whose outer iterations one workgroup runs.
#[derive(Debug, Clone)]
pub struct OuterIterations {
    /// The inner problem that is unrolled.
    pub problem: Arc<dyn InnerProblem>,
}

impl OuterIterations {
    /// Pairs of a population at most: invocations of a workgroup.
    pub const MOST_PAIRS: usize = 256;

    /// Returns true if a population is so small that one workgroup runs its iterations faster than a dispatch for each
    /// kernel would.
    pub fn suits(&self, unroll: &TruncationProblem, target: &Target) -> bool {
        let (pairs, parameters) = (unroll.pairs, self.problem.parameters());
        let threads = workgroup(pairs, parameters, target);
        let vectors = pairs.div_ceil(8);
        let work = product(&[unroll.truncation, 2, self.problem.iterations(), vectors]);
        (1..=Self::MOST_PAIRS).contains(&pairs)
            && (1..=MOST_PARAMETERS).contains(&parameters)
            && threads <= target.workgroup_invocations as usize
            && MEMORY <= target.workgroup_memory
            && !unroll.shared_state
            && (!target.software || work <= SOFTWARE_WORK)
            && self.most_iterations(unroll, target) > 0
    }

    /// The most iterations that a dispatch on this target may hold; 0 where it cannot hold one.
    pub fn most_iterations(&self, unroll: &TruncationProblem, target: &Target) -> usize {
        let fitting = match target.loop_passes() {
            None => usize::MAX,
            Some(limit) => {
                let (once, each) = self.passes(unroll.pairs, unroll.truncation);
                (limit as usize).saturating_sub(once) / each
            }
        };
        fitting.min(MOST_ITERATIONS).min((MOST_STEPS / unroll.truncation.max(1)).max(1))
    }

    /// Passes through loops: of all iterations besides, and of each.
    fn passes(&self, pairs: usize, truncation: usize) -> (usize, usize) {
        let (states, parameters) = (self.problem.states(), self.problem.parameters());
        let blocks = parameters.div_ceil(2);
        let rounds = blocks.div_ceil(round(pairs, blocks));
        let steps =
            composition::Passes { step: product(&[2, self.problem.iterations()]), once: 0 }.of(truncation as u32);
        let sums = product(&[rounds, blocks + pairs + 3]);
        let each = [steps as usize, blocks + parameters + 8, sums, pairs + 4];
        (2 * (states + blocks) + 8, each.into_iter().fold(0, usize::saturating_add))
    }

    fn truncation(&self) -> Truncation {
        Truncation { problem: self.problem.clone(), storage: ParameterStorage::Private, analytic: false }
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let parts = [
            &*self.problem.source(),
            wgsl!("unrolled.wgsl"),
            wgsl!("pair.wgsl"),
            wgsl!("outer_iterations.wgsl"),
            wgsl!("perturbation.wgsl"),
            wgsl!("parameters_private.wgsl"),
            wgsl!("../optimiser/bias_correction.wgsl"),
        ];
        composition::wgsl(&*self.problem, "whole outer iterations", &Self::bindings(), &parts)
    }

    fn bindings() -> Vec<Binding> {
        vec![
            Binding::update("seed", "(65): key, unroll; the step from 64 on").u32(),
            Binding::update("theta", "(parameters)"),
            Binding::update("gradient", "(parameters)"),
            Binding::read("data", "(numbers of the problem)"),
            Binding::update("saved", "(2 states + 5, pairs), then the shares (6, pairs)"),
            Binding::update("counters", "(6, pairs)").u32(),
            Binding::update("accumulators", "(pairs, parameters rounded up to even), then the means of the shares (6)"),
            Binding::update("outer", "rate, ring of theta, ring of means, moments: each from a multiple of 64 on"),
        ]
    }

    /// The kernel, by the name `outer_iterations.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let name = composition::name("outer_iterations", &*self.problem);
        let bindings = Self::bindings();
        Kernel::composed::<Uniform>(name, self.wgsl(), "iterate", bindings, passes, twin::twin, twin::tolerance)
    }
}

/// Pairs of parameters whose terms fit the memory of the workgroup together.
fn round(pairs: usize, blocks: usize) -> usize {
    (TERMS / pairs.max(1)).clamp(1, blocks.max(1))
}

/// Invocations of the workgroup: one for each pair of particles and each pair of parameters, and those of the means.
fn workgroup(pairs: usize, parameters: usize, target: &Target) -> usize {
    let lanes = if target.software { 8 } else { 64 };
    pairs.max(parameters.div_ceil(2)).next_multiple_of(lanes)
}

fn passes(call: &Call) -> u64 {
    let uniform: Uniform = call.uniform();
    call.context_of::<Context>().map_or(0, |context| {
        let (once, each) = context.iterations.passes(uniform.pairs as usize, uniform.truncation as usize);
        once as u64 + u64::from(uniform.iterations) * each as u64
    })
}

/// A call as its twin takes it.
#[derive(Debug, Clone)]
struct Context {
    iterations: OuterIterations,
    problem: Problem,
}

/// The uniform block of `outer_iterations.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
struct Uniform {
    iterations: u32,
    remembered: u32,
    truncation: u32,
    pairs: u32,
    chunks: u32,
    horizon: u32,
    interval: u32,
    common_random_numbers: u32,
    stream: u32,
    objective: u32,
    staggered: u32,
    slice: u32,
    round: u32,
    ring: u32,
    shares_at: u32,
    means_at: u32,
    centers_at: u32,
    metrics_at: u32,
    first_moment_at: u32,
    second_moment_at: u32,
    sigma: f32,
    scale: f32,
    clip: f32,
    weight_decay: f32,
    epsilon: f32,
    beta2: f32,
    complement1: f32,
    complement2: f32,
    log_beta1: f32,
    log_beta2: f32,
}

/// One dispatch of `iterations` iterations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// A whole unroll, of particles that have a state of their own.
    pub unroll: TruncationProblem,
    /// Adam; plain gradient descent where there is none.
    pub adam: Option<adamw::Problem>,
    /// Clips each number of the gradient to plus and minus this.
    pub clip: Option<f32>,
    /// Iterations of the dispatch.
    pub iterations: usize,
    /// Iterations that the rings hold.
    pub ring: usize,
    /// True if theta and metrics of these iterations go into the rings, and gradient, shares and means are stored.
    pub remembered: bool,
}

/// Lengths of the tensors that share a buffer, see [`packed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `seed` and `step`.
    pub seed: Vec<usize>,
    /// `saved` and `shares`.
    pub saved: Vec<usize>,
    /// `accumulators` and the means of the shares.
    pub accumulators: Vec<usize>,
    /// `rate`, the ring of theta, the ring of the means, and Adam's moments.
    pub outer: Vec<usize>,
}

impl Problem {
    /// The lengths of the tensors that share a buffer.
    pub fn places(&self, iterations: &OuterIterations) -> Places {
        let (pairs, parameters) = (self.unroll.pairs, iterations.problem.parameters());
        let padded = product(&[2, parameters.div_ceil(2)]);
        let mut outer = vec![1, product(&[self.ring, parameters]), product(&[self.ring, SHARES])];
        if self.adam.is_some() {
            outer.extend([parameters; 2]);
        }
        Places {
            seed: vec![2, 1],
            saved: vec![product(&[iterations.truncation().saved(), pairs]), product(&[SHARES, pairs])],
            accumulators: vec![product(&[pairs, padded]), SHARES],
            outer,
        }
    }

    fn gradient(&self, iterations: &OuterIterations) -> persistent_gradient::Problem {
        let TruncationProblem { pairs, stream, sigma, .. } = self.unroll;
        let parameters = iterations.problem.parameters();
        persistent_gradient::Problem { parameters, pairs, stream, sigma, accumulated: true }
    }

    fn check(&self, iterations: &OuterIterations, target: &Target) -> Result<Sizes, Error> {
        let TruncationProblem { pairs, shared_state, truncation, first, steps, .. } = self.unroll;
        let parameters = iterations.problem.parameters();
        self.unroll.check()?;
        self.gradient(iterations).sequence(target)?;
        if let Some(adam) = &self.adam {
            adam.sequence(target)?;
        }
        let most = iterations.most_iterations(&self.unroll, target);
        let most_pairs = OuterIterations::MOST_PAIRS;
        Sizes("outer_iterations")
            .tensor(&[("ring", self.ring), ("parameters", parameters)])?
            .tensor(&[("ring", self.ring), ("shares", SHARES)])?
            .expect("pairs", pairs <= most_pairs, format_args!("at most {most_pairs}"), pairs)?
            .expect("parameters", parameters <= MOST_PARAMETERS, format_args!("at most {MOST_PARAMETERS}"), parameters)?
            .expect("steps", first == 0 && steps == truncation, "those of the whole unroll", steps)?
            .expect("shared_state", !shared_state, "false", shared_state)?
            .expect("clip", self.clip.is_none_or(|clip| clip > 0.0), "above 0", self.clip.unwrap_or(0.0))?
            .expect("iterations", (1..=most).contains(&self.iterations), format_args!("1 to {most}"), self.iterations)
    }

    /// Returns the dispatch of a kernel that [`OuterIterations::kernel`] made, with the operands `seed` (`u32`), `theta`,
    /// `gradient`, `data`, `saved`, `counters` (`u32`), `accumulators` and `outer`, whose parts are those of
    /// [`places`](Self::places).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(
        &self,
        iterations: &OuterIterations,
        kernel: Arc<Kernel>,
        target: &Target,
    ) -> Result<Sequence, Error> {
        composition::check(&*iterations.problem)?;
        self.check(iterations, target)?.sequence(self.call(iterations, kernel, target))
    }

    pub(super) fn call(&self, iterations: &OuterIterations, kernel: Arc<Kernel>, target: &Target) -> Call {
        let Self { unroll, .. } = *self;
        let problem = &*iterations.problem;
        let (pairs, parameters) = (unroll.pairs, problem.parameters());
        let gradient = self.gradient(iterations);
        let places = self.places(iterations);
        let [seed, saved, accumulators, outer] =
            [&places.seed, &places.saved, &places.accumulators, &places.outer].map(|lengths| packed(lengths));
        let at = |places: &[usize], index: usize| places.get(index).map_or(0, |&place| place as u32);
        let adam = self.adam.map(|adam| adam.uniform());
        let own = Uniform {
            iterations: self.iterations as u32,
            remembered: self.remembered.into(),
            truncation: unroll.truncation as u32,
            pairs: pairs as u32,
            chunks: unroll.chunks as u32,
            horizon: unroll.horizon.map_or(NEVER, |horizon| horizon as u32),
            interval: unroll.interval.map_or(NEVER, |interval| interval as u32),
            common_random_numbers: unroll.common_random_numbers.into(),
            stream: unroll.stream,
            objective: unroll.objective.number(),
            staggered: unroll.staggered.into(),
            slice: gradient.slice(target),
            round: round(pairs, parameters.div_ceil(2)) as u32,
            ring: self.ring as u32,
            shares_at: at(&saved.0, 1),
            means_at: at(&accumulators.0, 1),
            centers_at: at(&outer.0, 1),
            metrics_at: at(&outer.0, 2),
            first_moment_at: at(&outer.0, 3),
            second_moment_at: at(&outer.0, 4),
            sigma: unroll.sigma,
            scale: gradient.scale() as f32,
            clip: self.clip.unwrap_or(0.0),
            ..Uniform::default()
        };
        let uniform = adam.map_or(own, |adam| Uniform {
            weight_decay: if adam.decayed > 0 { adam.weight_decay } else { 0.0 },
            epsilon: adam.epsilon,
            beta2: adam.beta2,
            complement1: adam.complement1,
            complement2: adam.complement2,
            log_beta1: adam.log_beta1,
            log_beta2: adam.log_beta2,
            ..own
        });
        let lengths = vec![
            seed.1,
            parameters,
            parameters,
            composition::data(problem).len(),
            saved.1,
            product(&[COUNTERS, pairs]),
            accumulators.1,
            outer.1,
        ];
        let invocations = workgroup(pairs, parameters, target);
        composition::call_of_workgroups((kernel, iterations.wgsl()), problem, &uniform, (1, invocations), lengths)
            .with_constant("ADAM", u8::from(self.adam.is_some()))
            .with_context(Arc::new(Context { iterations: iterations.clone(), problem: *self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::Objective;
    use crate::inner_problem::problems::{CharacterLstm, ToyRegression};

    const SOFTWARE: Target = Target {
        subgroups: None,
        software: true,
        workgroup_memory: 16 << 10,
        workgroup_invocations: 256,
        choices: crate::Choices::NONE,
    };

    fn unroll(particles: usize, truncation: usize) -> TruncationProblem {
        TruncationProblem {
            pairs: particles / 2,
            first_pair: 0,
            present: particles / 2,
            chunks: 1,
            truncation,
            horizon: Some(100),
            first: 0,
            steps: truncation,
            interval: Some(1),
            shared_state: false,
            common_random_numbers: true,
            objective: Objective::Sum,
            staggered: false,
            sigma: 0.3,
            stream: 0,
        }
    }

    #[test]
    fn some_hundred_particles_of_few_parameters_fit_one_workgroup() {
        let toy = OuterIterations { problem: Arc::new(ToyRegression::default()) };
        for target in [Target::default(), SOFTWARE] {
            assert!([2, 100, 512].iter().all(|&particles| toy.suits(&unroll(particles, 10), &target)));
            assert!(!toy.suits(&unroll(514, 10), &target));
            assert!(!toy.suits(&TruncationProblem { shared_state: true, ..unroll(100, 10) }, &target));
        }
        let wide = OuterIterations { problem: Arc::new(CharacterLstm::repeat(0, 9, 50)) };
        assert!(!wide.suits(&unroll(2, 1), &Target::default()));
    }

    #[test]
    fn a_software_driver_takes_as_many_iterations_as_its_loops_allow() {
        let toy = OuterIterations { problem: Arc::new(ToyRegression::default()) };
        assert_eq!(toy.most_iterations(&unroll(100, 10), &Target::default()), 256);
        let most = toy.most_iterations(&unroll(100, 10), &SOFTWARE);
        assert!((100..256).contains(&most), "{most}");
        // Long unrolls are better cut into dispatches over all cores.
        assert!(!toy.suits(&unroll(512, 100), &SOFTWARE));
    }
}
