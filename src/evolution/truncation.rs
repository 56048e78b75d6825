//! Persistent evolution strategies and their kin on inner problems given in WGSL.

use std::sync::Arc;

use fourfold_shaders::inner_problem::{
    self, COUNTERS, InnerProblem, Keeping, Objective, SHARES, Truncation, TruncationProblem,
};
use fourfold_shaders::{Element, Target, evolution::persistent_gradient};

use super::buffers::{Buffers, DATA};
use super::estimator::{Estimator, Particles};
use super::outer::{Kept, Outer, Source};
use super::pair_gradient::{COLUMNS, PairGradient, means};
use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::{Allocation, Error};

/// How an outer gradient is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruncationSettings {
    pub estimator: Estimator,
    pub objective: Objective,
    /// An even number: antithetic pairs.
    pub particles: usize,
    /// Steps of an unroll, K.
    pub truncation: usize,
    /// The standard deviation of the perturbations.
    pub sigma: f32,
    /// Chunks of particles that are each at an inner time of their own: a divisor of the pairs.
    pub chunks: usize,
    /// Whether the chunks start at different inner times, the first inner problem of chunk c having `(c + 1) / chunks` of
    /// the steps. Otherwise they are in lockstep.
    pub staggered: bool,
    /// Whether all pairs of a chunk draw the same random numbers: common random numbers are what makes the difference
    /// between particles show theta alone. (The particles of a pair always draw the same.)
    pub alike: bool,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next two are taken too.
    pub stream: u32,
}

impl TruncationSettings {
    /// `particles` particles in lockstep, unrolled `truncation` steps at a time, the losses of all steps being added.
    pub fn new(estimator: Estimator, particles: usize, truncation: usize, sigma: f32) -> Self {
        Self {
            estimator,
            objective: Objective::Sum,
            particles,
            truncation,
            sigma,
            chunks: 1,
            staggered: false,
            alike: true,
            stream: 0,
        }
    }

    /// Whether the settings make sense for a problem of this name, with so many outer parameters and steps.
    pub(super) fn check(&self, problem: &str, parameters: usize, horizon: Option<usize>) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::Settings { message });
        let Self { particles, truncation, sigma, chunks, .. } = *self;
        if particles == 0 || !particles.is_multiple_of(2) || particles > 1 << 30 {
            return refuse(format!("antithetic particles come in twos, up to 2^30, but there are {particles}"));
        }
        let pairs = particles / 2;
        if !(sigma > 0.0 && sigma.is_finite()) {
            return refuse(format!("the standard deviation sigma must be finite and above 0 but is {sigma}"));
        }
        if chunks == 0 || !pairs.is_multiple_of(chunks) {
            return refuse(format!("{pairs} antithetic pairs do not fall into {chunks} equal chunks"));
        }
        self.estimator.check()?;
        check_steps(problem, truncation, horizon)?;
        if horizon.is_none() && (self.staggered || self.objective == Objective::Final) {
            return refuse(format!(
                "{problem} never ends: it has no final loss, and chunks cannot start at different times of it"
            ));
        }
        if pairs as u64 * parameters.div_ceil(2) as u64 > 1 << 32 {
            return refuse(format!(
                "{pairs} perturbations of {parameters} parameters are more than can be drawn (2^33)"
            ));
        }
        Ok(())
    }
}

/// Whether an unroll and a whole inner problem have steps, and not too many to count.
pub(super) fn check_steps(problem: &str, truncation: usize, horizon: Option<usize>) -> Result<(), Error> {
    const MOST: usize = 1 << 30;
    let refuse = |message: String| Err(Error::Settings { message });
    if truncation == 0 || truncation > MOST {
        return refuse(format!("a truncation has between 1 and 2^30 steps, not {truncation}"));
    }
    match horizon {
        Some(horizon) if horizon == 0 || horizon > MOST => {
            refuse(format!("{problem}: its horizon must be between 1 and 2^30, not {horizon}"))
        }
        _ => Ok(()),
    }
}

/// What the estimate of a gradient takes, as pure data.
#[derive(Debug, Clone)]
pub struct TruncationPlan {
    pub settings: TruncationSettings,
    /// The inner problem, and where the kernel keeps perturbations.
    pub truncation: Truncation,
    /// Dispatches of one unroll, each of so many steps but the last, which may have fewer.
    pub steps: usize,
    /// All buffers beyond those of the outer loop. Accumulators may lie in several.
    pub buffers: Vec<Allocation>,
}

const SAVED: &str = "saved";
const UNROLL_COUNTERS: &str = "counters";
const UNROLL_SHARES: &str = "shares";
const PERTURBATIONS: &str = "perturbations";
const ACCUMULATORS: &str = "accumulators";
const SUMS: &str = "sums";
const METRICS: &str = "metrics";

impl TruncationPlan {
    /// The plan for an inner problem.
    ///
    /// # Errors
    /// A WGSL file that lacks a function or has it with the wrong sizes, or settings that make no sense.
    pub fn new(problem: Arc<dyn InnerProblem>, settings: TruncationSettings, target: &Target) -> Result<Self, Error> {
        Self::with_analysis(problem, settings, false, target)
    }

    /// As [`new`](Self::new); `analytic` where the gradient of the unperturbed losses is known (PES + Analytic).
    pub(super) fn with_analysis(
        problem: Arc<dyn InnerProblem>,
        settings: TruncationSettings,
        analytic: bool,
        target: &Target,
    ) -> Result<Self, Error> {
        crate::rollout::check::check_problem(&*problem)?;
        settings.check(problem.file(), problem.parameters(), problem.horizon())?;
        let (pairs, length) = (settings.particles / 2, settings.truncation);
        let truncation = Truncation::new(problem, pairs, analytic);
        crate::rollout::check::check_whole(truncation.problem.file(), &truncation.wgsl())?;
        let most = truncation.most_steps(target);
        if most == 0 {
            return Err(Error::too_many_passes(truncation.problem.file()));
        }
        let mut plan = Self { settings, truncation, steps: length.min(most), buffers: Vec::new() };
        let columns = plan.problem(0).columns();
        let f32 = |name, length| Allocation { name, element: Element::F32, length };
        plan.buffers = vec![
            f32(SAVED, plan.truncation.saved() * columns),
            Allocation { name: UNROLL_COUNTERS, element: Element::U32, length: COUNTERS * columns },
            f32(UNROLL_SHARES, SHARES * pairs),
            f32(DATA, inner_problem::data(&*plan.truncation.problem).len()),
            f32(SUMS, plan.gradient().sums(target)),
            f32(METRICS, SHARES),
        ];
        plan.buffers.extend(plan.truncation.perturbations(pairs).map(|length| f32(PERTURBATIONS, length)));
        plan.buffers.extend(plan.gradient().accumulators().into_iter().map(|length| f32(ACCUMULATORS, length)));
        Ok(plan)
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Allocation::bytes).sum()
    }

    /// Inner steps of one iteration, those of unperturbed particles included.
    pub fn inner_steps(&self) -> usize {
        let shared = self.settings.estimator.particles == Particles::Shared;
        (self.settings.particles + if shared { self.settings.chunks } else { 0 }) * self.settings.truncation
    }

    /// The dispatch that starts with step `first` of the unroll.
    fn problem(&self, first: usize) -> TruncationProblem {
        let TruncationSettings { estimator, objective, particles, truncation, sigma, chunks, staggered, alike, stream } =
            self.settings;
        TruncationProblem {
            pairs: particles / 2,
            chunks,
            truncation,
            horizon: self.truncation.problem.horizon(),
            first,
            steps: self.steps.min(truncation - first),
            interval: estimator.interval(),
            shared_state: estimator.particles == Particles::Shared,
            alike,
            objective,
            staggered,
            sigma,
            stream,
        }
    }

    fn gradient(&self) -> persistent_gradient::Problem {
        persistent_gradient::Problem {
            parameters: self.truncation.problem.parameters(),
            pairs: self.settings.particles / 2,
            stream: self.settings.stream,
            sigma: self.settings.sigma,
            accumulated: self.settings.estimator.particles == Particles::Own,
        }
    }
}

/// An estimate of the gradient of an inner problem in WGSL, on a device.
#[derive(Debug)]
pub struct TruncatedUnroll {
    plan: TruncationPlan,
    buffers: Buffers,
    estimate: Recording,
    metrics: Recording,
}

impl TruncatedUnroll {
    /// Creates the plan's buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Another number of outer parameters than the problem has, no memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: TruncationPlan, outer: &Outer) -> Result<Self, Error> {
        Self::with_analysis(gpu, plan, outer, None)
    }

    /// As [`new`](Self::new), with the gradient of the unperturbed losses.
    pub(super) fn with_analysis(
        gpu: &Gpu,
        plan: TruncationPlan,
        outer: &Outer,
        analytic: Option<&BufferView>,
    ) -> Result<Self, Error> {
        let problem = &*plan.truncation.problem;
        outer.check(problem.file(), problem.parameters())?;
        let buffers = Buffers::new(gpu, &plan.buffers, inner_problem::data(problem))?;
        let mut built = Self { plan, buffers, estimate: Recording::default(), metrics: Recording::default() };
        [built.estimate, built.metrics] = built.prepare(gpu, outer, analytic)?;
        Ok(built)
    }

    fn prepare(&self, gpu: &Gpu, outer: &Outer, analytic: Option<&BufferView>) -> Result<[Recording; 2], Error> {
        let (plan, target) = (&self.plan, gpu.target());
        let kernel = plan.truncation.kernel();
        let mut views = vec![outer.seed.clone(), outer.center.clone(), self.buffers.view(DATA)];
        views.extend([SAVED, UNROLL_COUNTERS, UNROLL_SHARES].map(|name| self.buffers.view(name)));
        if plan.truncation.keeping == Keeping::Stored {
            views.push(self.buffers.view(PERTURBATIONS));
        }
        views.extend(analytic.cloned());
        let firsts = (0..plan.settings.truncation).step_by(plan.steps);
        let calls: Vec<_> =
            firsts.map(|first| plan.problem(first).call(&plan.truncation, kernel.clone(), &target)).collect();
        let unrolls: Vec<_> = calls.iter().map(|call| Launch::new(call, &views)).collect();
        let unroll = gpu.prepare(&unrolls)?;

        let pairs = plan.settings.particles / 2;
        let (shares, accumulators) = (self.buffers.view(UNROLL_SHARES), self.accumulators());
        let gradient = PairGradient {
            shares: &shares,
            drawn: &self.buffers.view(UNROLL_COUNTERS).part(0, pairs),
            seed: &outer.seed,
            accumulators: &accumulators,
            sums: &self.buffers.view(SUMS),
            gradient: &outer.gradient,
        };
        let gradient = gradient.prepare(gpu, &plan.gradient())?;
        let metrics = means(gpu, pairs, &shares, &self.buffers.view(METRICS))?;
        Ok([unroll.then(gradient), metrics])
    }

    pub fn plan(&self) -> &TruncationPlan {
        &self.plan
    }

    /// (6, pairs): a, b, keep, add and both losses of each pair in the last unroll, see
    /// [`persistent_gradient`](fourfold_shaders::evolution::persistent_gradient).
    pub fn shares(&self) -> BufferView {
        self.buffers.view(UNROLL_SHARES)
    }

    /// (pairs, parameters rounded up to even), perhaps in several buffers: what each pair has been perturbed by since its
    /// inner problem started, in units of sigma.
    pub fn accumulators(&self) -> Vec<BufferView> {
        self.buffers.views(ACCUMULATORS).collect()
    }

    /// `u32` (6, columns), of which the first row says in which iteration the perturbation of a pair was drawn.
    pub fn counters(&self) -> BufferView {
        self.buffers.view(UNROLL_COUNTERS)
    }
}

impl Source for TruncatedUnroll {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.estimate.record(pass);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.metrics.record(pass);
    }

    fn kept(&self) -> Vec<Kept> {
        self.buffers.kept("unroll", &[SAVED, UNROLL_COUNTERS, PERTURBATIONS, ACCUMULATORS])
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.buffers.view(METRICS))
    }

    /// Means over the pairs; the mean loss of a particle is that of the last two.
    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn bytes(&self) -> u64 {
        self.plan.bytes()
    }
}
