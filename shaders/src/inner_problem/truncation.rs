//! A truncation of the unroll of a population: `truncation.wgsl` with an inner problem, and its twin.

mod twin;

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::unrolled::{NEVER, Objective, SHARES};
use super::{InnerProblem, composition};
use crate::{Binding, Call, Error, Kernel, Sequence, Sizes, Target, product, sum};

/// Places of random numbers that a truncation takes, from its `stream` on: perturbations, starts, steps.
pub const STREAMS: u32 = 3;

/// Rows of the counters of a pair. The first says in which unroll its perturbation was drawn.
pub const COUNTERS: usize = 6;

/// Numbers that are saved of a pair beyond the states of both particles.
const SUMS: usize = 5;

/// The places of saved states and counters among the operands.
pub(super) const SAVED_BINDING: usize = 3;
pub(super) const COUNTERS_BINDING: usize = 4;

/// The memory that holds the perturbations of the pairs during a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterStorage {
    /// Each invocation keeps its own: few parameters.
    Private,
    /// In a buffer (parameters rounded up to even, pairs).
    Stored,
    /// Nowhere: they are drawn at each use.
    Streamed,
}

/// An inner problem to unroll, and how its parameters are perturbed.
#[derive(Debug, Clone)]
pub struct Truncation {
    /// The inner problem that is unrolled.
    pub problem: Arc<dyn InnerProblem>,
    /// The memory that holds the perturbed parameters of an invocation.
    pub storage: ParameterStorage,
    /// True if the gradient of the unperturbed losses is known: PES + Analytic.
    pub analytic: bool,
}

impl Truncation {
    /// Chooses the storage that suits a target, for a population of `pairs` pairs.
    pub fn new(problem: Arc<dyn InnerProblem>, pairs: usize, analytic: bool) -> Self {
        // Private arrays of more compile for seconds on software drivers, which fill them with zeros one by one.
        const FEW: usize = 64;
        /// WebGPU's default limit of a binding, 128 MiB, in numbers.
        const BINDING: usize = 1 << 25;
        let storage = match problem.parameters() {
            ..=FEW => ParameterStorage::Private,
            parameters if product(&[2, parameters.div_ceil(2), pairs]) <= BINDING => ParameterStorage::Stored,
            _ => ParameterStorage::Streamed,
        };
        Self { problem, storage, analytic }
    }

    /// Numbers that are saved of a pair between dispatches.
    pub fn saved(&self) -> usize {
        sum(&[product(&[2, self.problem.states()]), SUMS])
    }

    /// Elements of the buffer of perturbations, where there is one.
    pub fn perturbations(&self, pairs: usize) -> Option<usize> {
        (self.storage == ParameterStorage::Stored).then(|| product(&[2, self.problem.parameters().div_ceil(2), pairs]))
    }

    /// The most steps that a dispatch on this target may take; 0 where it cannot take one.
    pub fn most_steps(&self, target: &Target) -> usize {
        self.passes().most_steps(target)
    }

    fn passes(&self) -> composition::Passes {
        composition::Passes {
            step: product(&[2, self.problem.iterations()]),
            once: product(&[2, sum(&[self.problem.parameters(), self.saved()])]),
        }
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let kept = match self.storage {
            ParameterStorage::Private => wgsl!("parameters_private.wgsl"),
            ParameterStorage::Stored => wgsl!("parameters_stored.wgsl"),
            ParameterStorage::Streamed => wgsl!("parameters_streamed.wgsl"),
        };
        let analysis = if self.analytic { wgsl!("analysis_on.wgsl") } else { wgsl!("analysis_off.wgsl") };
        let source = self.problem.source();
        let unrolled = [wgsl!("unrolled.wgsl"), wgsl!("pair.wgsl"), wgsl!("truncation.wgsl")];
        let [shared, pair, kernel] = unrolled;
        let parts = [&*source, shared, pair, kernel, wgsl!("perturbation.wgsl"), kept, analysis];
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
        if self.storage == ParameterStorage::Stored {
            bindings.push(Binding::update("perturbations", "(parameters rounded up to even, pairs)"));
        }
        if self.analytic {
            bindings.push(Binding::read("analytic", "(parameters)"));
        }
        bindings
    }

    /// The kernel, by the name `truncation.PROBLEM`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let name = composition::name("truncation", &*self.problem);
        Kernel::composed::<Uniform>(name, self.wgsl(), "advance", self.bindings(), passes, twin::twin, twin::tolerance)
    }
}

/// The steps, and what comes before and behind them.
fn passes(call: &Call) -> u64 {
    let Uniform { steps, .. } = call.uniform();
    call.context_of::<Truncation>().map_or(0, |truncation| truncation.passes().of(steps))
}

/// The uniform block of `truncation.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub first: u32,
    pub truncation: u32,
    pub pairs: u32,
    pub chunks: u32,
    pub horizon: u32,
    pub interval: u32,
    pub shared_state: u32,
    pub common_random_numbers: u32,
    pub stream: u32,
    pub objective: u32,
    pub staggered: u32,
    pub sigma: f32,
    pub first_pair: u32,
    pub present: u32,
}

/// One dispatch: `steps` steps from step `first` on of an unroll of `truncation` steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Antithetic pairs of particles.
    pub pairs: usize,
    /// The first pair of those that this dispatch advances: all others stay as they are.
    pub first_pair: usize,
    /// Pairs that this dispatch advances.
    pub present: usize,
    /// A divisor of `pairs`.
    pub chunks: usize,
    /// Steps of the whole unroll.
    pub truncation: usize,
    /// Steps after which the inner problem starts again; `None` where it never does.
    pub horizon: Option<usize>,
    /// Steps of the unroll before this dispatch.
    pub first: usize,
    /// Steps of this dispatch; `first + steps` is at most `truncation`.
    pub steps: usize,
    /// Unrolls that a perturbation lasts, if no inner problem starts within them; `None` where only a start renews it.
    pub interval: Option<usize>,
    /// True if particles start each unroll from the state of an unperturbed one.
    pub shared_state: bool,
    /// True if all pairs of a chunk draw the same random numbers.
    pub common_random_numbers: bool,
    /// The loss that counts: of every step or of the last.
    pub objective: Objective,
    /// True if the first inner problem of chunk c has only `(c + 1) / chunks` of the steps.
    pub staggered: bool,
    /// The standard deviation of the perturbations, above 0.
    pub sigma: f32,
    /// The place that draws; the next [`STREAMS`]` - 1` are taken too.
    pub stream: u32,
}

impl Problem {
    /// Columns of the saved state: pairs, then two for the unperturbed particle of each chunk where state is shared.
    pub fn columns(&self) -> usize {
        self.pairs.saturating_add(if self.shared_state { self.chunks.saturating_mul(2) } else { 0 })
    }

    /// Returns the dispatch of a kernel that [`Truncation::kernel`] made, with the operands `seed` (`u32`, 2),
    /// `center`, `data`, `saved`, `counters` (`u32`), `shares`, then
    /// `perturbations` and `analytic` where there are such. Before the first unroll, `saved` and `counters` are zero.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, truncation: &Truncation, kernel: Arc<Kernel>, target: &Target) -> Result<Sequence, Error> {
        composition::check(&*truncation.problem)?;
        self.check()?.sequence(self.call(truncation, kernel, target))
    }

    pub(super) fn check(&self) -> Result<Sizes, Error> {
        let Self { pairs, chunks, .. } = *self;
        Sizes("truncation")
            .positive(&[("pairs", pairs), ("chunks", chunks), ("horizon", self.horizon.unwrap_or(1))])?
            .positive(&[("interval", self.interval.unwrap_or(1))])?
            .expect("chunks", pairs.is_multiple_of(chunks), format_args!("a divisor of the {pairs} pairs"), chunks)?
            .positive(&[("present", self.present)])?
            .expect(
                "present",
                self.first_pair.saturating_add(self.present) <= pairs,
                format_args!("at most the {pairs} pairs, from pair {} on", self.first_pair),
                self.present,
            )?
            .unroll(self.first, self.steps, self.truncation)?
            .above_zero("sigma", self.sigma)
    }

    pub(crate) fn call(&self, truncation: &Truncation, kernel: Arc<Kernel>, target: &Target) -> Call {
        let uniform = Uniform {
            steps: self.steps as u32,
            first: self.first as u32,
            truncation: self.truncation as u32,
            pairs: self.pairs as u32,
            chunks: self.chunks as u32,
            horizon: self.horizon.map_or(NEVER, |horizon| horizon as u32),
            interval: self.interval.map_or(NEVER, |interval| interval as u32),
            shared_state: self.shared_state.into(),
            common_random_numbers: self.common_random_numbers.into(),
            stream: self.stream,
            objective: self.objective.number(),
            staggered: self.staggered.into(),
            sigma: self.sigma,
            first_pair: self.first_pair as u32,
            present: self.present as u32,
        };
        let parameters = truncation.problem.parameters();
        let columns = self.columns();
        let mut lengths = vec![
            2,
            parameters,
            composition::data(&*truncation.problem).len(),
            product(&[truncation.saved(), columns]),
            product(&[COUNTERS, columns]),
            product(&[SHARES, self.pairs]),
        ];
        lengths.extend(truncation.perturbations(self.pairs));
        if truncation.analytic {
            lengths.push(parameters);
        }
        let particles = self.present + if self.shared_state { self.chunks } else { 0 };
        composition::call((kernel, truncation.wgsl()), &*truncation.problem, &uniform, particles, lengths, target)
            .with_context(Arc::new(truncation.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::Data;
    use crate::inner_problem::Loss;
    use crate::random::threefry::normal_pair;
    use crate::rollout::unroll::EpisodeRandom;

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
        first_pair: 0,
        present: 1,
        chunks: 1,
        truncation: 4,
        horizon: Some(10),
        first: 0,
        steps: 4,
        interval: Some(1),
        shared_state: false,
        common_random_numbers: true,
        objective: Objective::Sum,
        staggered: false,
        sigma: 0.5,
        stream: 0,
    };

    /// The shares of unroll after unroll, in units of L+ - L- of a step whose loss is theta.
    fn unrolls(problem: Problem, count: u32) -> Vec<[f64; 4]> {
        let truncation =
            Truncation { problem: Arc::new(Ramp { horizon: 10 }), storage: ParameterStorage::Private, analytic: false };
        let call = problem.call(&truncation, truncation.kernel(), &Target::default());
        let data = |index: usize| Data::F32(vec![0.0; call.lengths[index]]);
        let mut operands =
            [Data::U32(vec![3, 0]), data(1), data(2), data(3), Data::U32(vec![0; call.lengths[4]]), data(5)];
        (0..count)
            .map(|unroll| {
                operands[0] = Data::U32(vec![3, unroll]);
                call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
                // L+ - L- = 2 sigma n times the sum of the steps' numbers.
                let n = normal_pair([3, operands[4].u32()[0]], 0, 0)[0];
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
