//! Gradients of inner problems that have a derivative, in forward mode: what persistent evolution strategies are compared
//! with.

use std::sync::Arc;

use fourfold_shaders::inner_problem::{
    self, Directions, InnerProblem, Objective, SHARES, TANGENT_COUNTERS, TangentProblem, Tangents, UORO_COUNTERS, Uoro,
    UoroProblem,
};
use fourfold_shaders::reduction::reduce::{self, Reduction};
use fourfold_shaders::{Call, Element, Target, evolution::persistent_gradient};

use super::buffers::{Buffers, DATA};
use super::estimator::{Estimator, Particles};
use super::outer::{Kept, Outer, Source};
use super::pair_gradient::{COLUMNS, PairGradient, means};
use super::truncation::check_steps;
use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::{Allocation, Error};

/// How the derivative of an unroll's losses is taken.
///
/// | method | bias | variance | tangents |
/// |---|---|---|---|
/// | truncated backpropagation | that of the truncation | none | one for each outer parameter |
/// | real-time recurrent learning | none | none | one for each outer parameter |
/// | unbiased online recurrent optimisation | none | grows with the numbers in the state | one more than outer parameters |
/// | random directions | as its estimator | grows with the outer parameters | one for each direction |
///
/// Without bias means: at parameters that do not move. All of them descend the objective itself, cliffs included, where
/// evolution strategies descend a smoothed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TangentMethod {
    /// Truncated backpropagation through time: the gradient of the losses of each unroll by what the parameters do within
    /// it. Taken forward, as one tangent for each parameter.
    Tbptt,
    /// Real-time recurrent learning (Williams and Zipser 1989): the derivative of the state is carried from unroll to
    /// unroll. The paper updates after every step: a truncation of 1.
    Rtrl,
    /// Unbiased online recurrent optimisation (Tallec and Ollivier 2017), the mean of `replicas` independent estimates.
    /// The paper updates after every step: a truncation of 1.
    Uoro { replicas: usize },
    /// DODGE (Silver et al. 2022): derivatives along `directions` random directions, averaged. The limit of an
    /// evolution strategy for small perturbations, which the estimator says how to draw and to sum: with
    /// [`Estimator::NRES`] a direction lasts for an inner problem, with [`Estimator::TRUNCATED_ES`] tangents start at zero
    /// in each unroll and have the bias of truncated backpropagation.
    Dodge { estimator: Estimator, directions: usize },
}

/// How an outer gradient is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TangentSettings {
    pub method: TangentMethod,
    pub objective: Objective,
    /// Steps of an unroll, K.
    pub truncation: usize,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next two are taken too.
    pub stream: u32,
}

impl TangentSettings {
    /// Unrolls of `truncation` steps, the losses of all of them being added.
    pub fn new(method: TangentMethod, truncation: usize) -> Self {
        Self { method, objective: Objective::Sum, truncation, stream: 0 }
    }
}

/// What a gradient in forward mode takes, as pure data.
#[derive(Debug, Clone)]
pub struct TangentPlan {
    pub settings: TangentSettings,
    problem: Arc<dyn InnerProblem>,
    /// Dispatches of one unroll, each of so many steps but the last, which may have fewer.
    pub steps: usize,
    /// All buffers beyond those of the outer loop. Accumulators may lie in several.
    pub buffers: Vec<Allocation>,
}

const SAVED: &str = "saved";
const COUNTERS: &str = "counters";
const SHARE_ROWS: &str = "shares";
const ESTIMATES: &str = "estimates";
const LOSSES: &str = "losses";
const SUMS: &str = "sums";
const METRICS: &str = "metrics";
const ACCUMULATORS: &str = "accumulators";

impl TangentPlan {
    /// The plan for an inner problem.
    ///
    /// # Errors
    /// A problem without a derivative, a WGSL file that lacks a function or has it with the wrong sizes, or settings that
    /// make no sense.
    pub fn new(problem: Arc<dyn InnerProblem>, settings: TangentSettings, target: &Target) -> Result<Self, Error> {
        crate::rollout::check::check_problem(&*problem)?;
        let refuse = |message: String| Err(Error::Settings { message });
        let (file, TangentSettings { method, truncation, .. }) = (problem.file(), settings);
        if problem.tangent_source().is_none() {
            return refuse(format!("{file} has no derivative: only evolution strategies can estimate its gradient"));
        }
        check_steps(file, truncation, problem.horizon())?;
        if problem.horizon().is_none() && settings.objective == Objective::Final {
            return refuse(format!("{file} never ends: it has no final loss"));
        }
        let parameters = problem.parameters();
        if let TangentMethod::Uoro { replicas: lanes } | TangentMethod::Dodge { directions: lanes, .. } = method {
            // What each draws, in twos: parameters, or signs for the state.
            let blocks = parameters.max(problem.states()).div_ceil(2) as u64;
            if lanes == 0 || lanes > 1 << 30 || lanes as u64 * blocks > 1 << 32 {
                return refuse(format!(
                    "{lanes} random directions of {file}: there must be one at least, and at most 2^33 numbers to draw"
                ));
            }
        }
        if let TangentMethod::Dodge { estimator, .. } = method {
            estimator.check()?;
        }
        let mut plan = Self { settings, problem, steps: 0, buffers: Vec::new() };
        let kernel = plan.tangents().map_or_else(|| plan.uoro().wgsl(), |tangents| tangents.wgsl());
        crate::rollout::check::check_whole(plan.problem.file(), &kernel)?;
        let most = match plan.tangents() {
            Some(tangents) => tangents.most_steps(target),
            None => plan.uoro().most_steps(target),
        };
        if most == 0 {
            return Err(Error::too_many_passes(plan.problem.file()));
        }
        plan.steps = truncation.min(most);
        let lanes = plan.lanes();
        let f32 = |name, length| Allocation { name, element: Element::F32, length };
        let u32 = |name, length| Allocation { name, element: Element::U32, length };
        plan.buffers = vec![f32(DATA, inner_problem::data(&*plan.problem).len())];
        match plan.tangents() {
            Some(tangents) => plan.buffers.extend([
                f32(SAVED, tangents.saved() * lanes),
                u32(COUNTERS, TANGENT_COUNTERS * lanes),
                f32(SHARE_ROWS, SHARES * lanes),
                f32(METRICS, SHARES),
            ]),
            None => plan.buffers.extend([
                f32(SAVED, plan.uoro().saved() * lanes),
                u32(COUNTERS, UORO_COUNTERS * lanes),
                f32(ESTIMATES, parameters * lanes),
                f32(LOSSES, lanes),
                f32(METRICS, 1),
            ]),
        }
        if let Some(gradient) = plan.directional_gradient() {
            plan.buffers.push(f32(SUMS, gradient.sums(target)));
            plan.buffers.extend(gradient.accumulators().into_iter().map(|length| f32(ACCUMULATORS, length)));
        }
        Ok(plan)
    }

    /// The inner problem.
    pub fn problem(&self) -> &Arc<dyn InnerProblem> {
        &self.problem
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Allocation::bytes).sum()
    }

    /// Inner steps of one iteration, each with its derivative along one direction.
    pub fn inner_steps(&self) -> usize {
        let each = if self.tangents().is_some() { 1 } else { self.problem.parameters() + 1 };
        self.lanes() * each * self.settings.truncation
    }

    /// Invocations: directions or replicas.
    fn lanes(&self) -> usize {
        match self.settings.method {
            TangentMethod::Tbptt | TangentMethod::Rtrl => self.problem.parameters(),
            TangentMethod::Uoro { replicas } => replicas,
            TangentMethod::Dodge { directions, .. } => directions,
        }
    }

    /// What is differentiated along directions, if it is.
    fn tangents(&self) -> Option<Tangents> {
        let directions = match self.settings.method {
            TangentMethod::Tbptt | TangentMethod::Rtrl => Directions::Axes,
            TangentMethod::Dodge { .. } => Directions::Drawn,
            TangentMethod::Uoro { .. } => return None,
        };
        Some(Tangents { problem: self.problem.clone(), directions })
    }

    fn uoro(&self) -> Uoro {
        Uoro { problem: self.problem.clone() }
    }

    /// The dispatches of one unroll.
    fn calls(&self, target: &Target) -> Vec<Call> {
        let TangentSettings { method, objective, truncation, stream } = self.settings;
        let firsts = (0..truncation).step_by(self.steps).map(|first| (first, self.steps.min(truncation - first)));
        let horizon = self.problem.horizon();
        let Some(tangents) = self.tangents() else {
            let (uoro, replicas) = (self.uoro(), self.lanes());
            let kernel = uoro.kernel();
            let call = |(first, steps)| {
                UoroProblem { replicas, truncation, horizon, first, steps, objective, stream }.call(
                    &uoro,
                    kernel.clone(),
                    target,
                )
            };
            return firsts.map(call).collect();
        };
        let (interval, carried) = match method {
            TangentMethod::Dodge { estimator, .. } => (estimator.interval(), estimator.particles == Particles::Own),
            method => (None, method == TangentMethod::Rtrl),
        };
        let kernel = tangents.kernel();
        let directions = self.lanes();
        let call =
            |(first, steps)| {
                TangentProblem { directions, truncation, horizon, first, steps, interval, carried, objective, stream }
                    .call(&tangents, kernel.clone(), target)
            };
        firsts.map(call).collect()
    }

    /// The sum of what directions have seen, if they are drawn. With one half for sigma the factor is that of a mean.
    fn directional_gradient(&self) -> Option<persistent_gradient::Problem> {
        let TangentMethod::Dodge { estimator, directions } = self.settings.method else { return None };
        Some(persistent_gradient::Problem {
            parameters: self.problem.parameters(),
            pairs: directions,
            stream: self.settings.stream,
            sigma: 0.5,
            accumulated: estimator.particles == Particles::Own,
        })
    }
}

/// The gradient of an inner problem in forward mode, on a device.
#[derive(Debug)]
pub struct TangentUnroll {
    plan: TangentPlan,
    buffers: Buffers,
    gradient: Recording,
    metrics: Recording,
}

impl TangentUnroll {
    /// Creates the plan's buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Another number of outer parameters than the problem has, no memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: TangentPlan, outer: &Outer) -> Result<Self, Error> {
        let problem = &*plan.problem;
        outer.check(problem.file(), problem.parameters())?;
        let buffers = Buffers::new(gpu, &plan.buffers, inner_problem::data(problem))?;
        let mut built = Self { plan, buffers, gradient: Recording::default(), metrics: Recording::default() };
        [built.gradient, built.metrics] = built.prepare(gpu, outer)?;
        Ok(built)
    }

    fn prepare(&self, gpu: &Gpu, outer: &Outer) -> Result<[Recording; 2], Error> {
        let (plan, target) = (&self.plan, gpu.target());
        let (parameters, lanes) = (plan.problem.parameters(), plan.lanes());
        let results: &[&str] = if plan.tangents().is_some() { &[SHARE_ROWS] } else { &[ESTIMATES, LOSSES] };
        let mut views = vec![outer.seed.clone(), outer.center.clone()];
        views.extend([DATA, SAVED, COUNTERS].iter().chain(results).map(|name| self.buffers.view(name)));
        let calls = plan.calls(&target);
        let unroll = gpu.prepare(&calls.iter().map(|call| Launch::new(call, &views)).collect::<Vec<_>>())?;

        let mean = |rows: usize, columns: usize, from: BufferView, to: BufferView| {
            let mean = reduce::Problem { reduction: Reduction::Mean, outer: rows, axis: columns, inner: 1 };
            gpu.prepare_sequence(&mean.sequence(&target), &[from, to])
        };
        let gradient = match plan.directional_gradient() {
            Some(directional) => self.directional(gpu, &directional, outer)?,
            // One number to a row: along axes, the shares begin with the gradient.
            None if plan.tangents().is_some() => {
                mean(parameters, 1, self.buffers.view(SHARE_ROWS).part(0, parameters), outer.gradient.clone())?
            }
            None => mean(parameters, lanes, self.buffers.view(ESTIMATES), outer.gradient.clone())?,
        };
        let metrics = match plan.tangents() {
            Some(_) => means(gpu, lanes, &self.buffers.view(SHARE_ROWS), &self.buffers.view(METRICS))?,
            None => mean(1, lanes, self.buffers.view(LOSSES), self.buffers.view(METRICS))?,
        };
        Ok([unroll.then(gradient), metrics])
    }

    /// The mean of what the directions have seen.
    fn directional(
        &self,
        gpu: &Gpu,
        problem: &persistent_gradient::Problem,
        outer: &Outer,
    ) -> Result<Recording, Error> {
        let accumulators: Vec<_> = self.buffers.views(ACCUMULATORS).collect();
        let gradient = PairGradient {
            shares: &self.buffers.view(SHARE_ROWS),
            drawn: &self.buffers.view(COUNTERS).part(0, problem.pairs),
            seed: &outer.seed,
            accumulators: &accumulators,
            sums: &self.buffers.view(SUMS),
            gradient: &outer.gradient,
        };
        gradient.prepare(gpu, problem)
    }

    pub fn plan(&self) -> &TangentPlan {
        &self.plan
    }
}

impl Source for TangentUnroll {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.gradient.record(pass);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.metrics.record(pass);
    }

    fn kept(&self) -> Vec<Kept> {
        self.buffers.kept("tangent", &[SAVED, COUNTERS, ACCUMULATORS])
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.buffers.view(METRICS))
    }

    /// Means over directions, whose losses are all alike, as those of [`TruncatedUnroll`](super::TruncatedUnroll); of
    /// UORO the loss alone.
    fn columns(&self) -> &'static [&'static str] {
        match self.plan.settings.method {
            TangentMethod::Uoro { .. } => &["loss"],
            _ => COLUMNS,
        }
    }

    fn bytes(&self) -> u64 {
        self.plan.bytes()
    }
}
