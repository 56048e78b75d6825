//! The outer objective at given points: whole inner problems, unperturbed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fourfold_shaders::inner_problem::{self, Evaluation, EvaluationProblem, InnerProblem};
use fourfold_shaders::{Data, Element};

use super::{Error, GraphProblem, Inner, Population, PopulationPlan, inner};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{self, BufferView, Gpu};
use crate::rollout::signature::check_kernel;

/// Settings of an evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvaluatorSettings {
    /// Points that are evaluated side by side; more are evaluated one lot after the other.
    pub points: usize,
    /// Inner problems of each point, over which the objective is averaged.
    pub episodes: usize,
    /// Steps of an inner problem; `None` for its horizon.
    pub steps: Option<usize>,
    /// The key of the random numbers: all points see the same.
    pub key: u32,
}

impl EvaluatorSettings {
    /// One inner problem up to its horizon, at `points` points at a time.
    pub fn new(points: usize, key: u32) -> Self {
        Self { points, episodes: 1, steps: None, key }
    }

    fn steps(&self, inner: &Inner<'_>) -> Result<usize, Error> {
        let Self { points, episodes, steps, .. } = *self;
        let Some(steps) = steps.or(inner.horizon()) else {
            return Error::settings(format!("{} never ends: its evaluation needs a number of steps", inner.name()));
        };
        if [points, episodes, steps].contains(&0) || points.saturating_mul(episodes) > 1 << 28 || steps > 1 << 30 {
            return Error::settings(format!(
                "{points} points with {episodes} inner problems of {steps} steps each: there must be between 1 and 2^28, of \
                 at most 2^30 steps"
            ));
        }
        Ok(steps)
    }
}

/// Inner problems from start to end, at some points at a time.
#[derive(Debug)]
pub struct Evaluator {
    settings: EvaluatorSettings,
    parameters: usize,
    steps: usize,
    members: Members,
}

#[derive(Debug)]
enum Members {
    Kernel(Kernel),
    Population(Box<Population>),
}

/// The program of a problem in WGSL.
#[derive(Debug)]
struct Kernel {
    file: String,
    program: Program,
    seed: BufferId,
    points: BufferId,
    /// (2, points, episodes): the sums of all losses, and the last losses.
    losses: BufferId,
    evaluate: RecordingId,
}

/// The objective at a point, averaged over the episodes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Evaluated {
    /// The sum of the losses of all steps.
    pub sum: f64,
    /// The loss of the last step.
    pub last: f64,
}

impl Evaluator {
    /// Creates an evaluator; neither submits nor polls.
    ///
    /// # Errors
    /// Sizes of zero, a problem that never ends without a number of steps, invalid WGSL, an invalid graph, or out of
    /// memory.
    pub fn new<'a>(gpu: &Gpu, inner: impl Into<Inner<'a>>, settings: &EvaluatorSettings) -> Result<Self, Error> {
        Self::sharing(gpu, inner.into(), settings, BTreeMap::new())
    }

    /// As [`new`](Self::new), with some shared tensors of a graph that are on the GPU already.
    pub(super) fn sharing(
        gpu: &Gpu,
        inner: Inner<'_>,
        settings: &EvaluatorSettings,
        shared: BTreeMap<String, BufferView>,
    ) -> Result<Self, Error> {
        inner.check()?;
        let (steps, parameters) = (settings.steps(&inner)?, inner.parameters());
        let members = match inner {
            Inner::Wgsl(problem) => Members::Kernel(Kernel::new(gpu, problem, settings, steps)?),
            Inner::Graph(problem) => Members::Population(Box::new(population(gpu, problem, settings, steps, shared)?)),
        };
        Ok(Self { settings: *settings, parameters, steps, members })
    }

    /// Sets the key of the random numbers for the evaluations from now on.
    ///
    /// # Errors
    /// The device was lost.
    pub fn set_key(&mut self, key: u32) -> Result<(), Error> {
        match &mut self.members {
            Members::Kernel(kernel) => kernel.program.write(kernel.seed, &[key, 0])?,
            Members::Population(population) => population.set_key(key),
        }
        self.settings.key = key;
        Ok(())
    }

    /// (points, parameters): the points of one lot, to be written before it is evaluated.
    pub fn points(&self) -> &BufferView {
        match &self.members {
            Members::Kernel(kernel) => kernel.program.view(kernel.points),
            Members::Population(population) => population.theta(),
        }
    }
}

fn population(
    gpu: &Gpu,
    problem: &dyn GraphProblem,
    settings: &EvaluatorSettings,
    steps: usize,
    shared: BTreeMap<String, BufferView>,
) -> Result<Population, Error> {
    let plan = PopulationPlan::new(problem, settings.points, steps, &gpu.target())?;
    Population::on_plan(gpu, problem, &plan, settings.key, shared)
}

impl Kernel {
    fn new(
        gpu: &Gpu,
        problem: Arc<dyn InnerProblem>,
        settings: &EvaluatorSettings,
        horizon: usize,
    ) -> Result<Self, Error> {
        inner::check_wgsl(&*problem)?;
        let evaluation = Evaluation { problem };
        let (target, problem) = (gpu.target(), &*evaluation.problem);
        check_kernel(problem.file(), &evaluation.wgsl())?;
        let steps = inner::dispatch_steps(problem, evaluation.most_steps(&target), horizon)?;
        const STREAM: u32 = 16;
        let EvaluatorSettings { points, episodes, key, .. } = *settings;
        let sizes = EvaluationProblem { points, episodes, horizon, steps, fresh: true, stream: STREAM };
        let kernel = evaluation.kernel();
        let first = sizes.sequence(&evaluation, kernel.clone(), &target).map_err(gpu::Error::from)?;
        let next = EvaluationProblem { fresh: false, ..sizes }.sequence(&evaluation, kernel, &target);
        let lengths = first.steps[0].call.lengths.clone();

        let mut plan = ProgramPlan::default();
        let seed = plan.buffer(Allocation::values("seed", Data::U32(vec![key, 0])));
        let points = plan.buffer(Allocation::f32("points", lengths[1]).zeros());
        let data = Allocation::values("data", Data::F32(inner_problem::data(problem).to_vec()));
        let losses = Allocation::f32("losses", lengths[5]);
        let others = [data, Allocation::f32("saved", lengths[3]), Allocation::u32("counters", lengths[4]), losses];
        let [data, saved, counters, losses] = others.map(|allocation| plan.buffer(allocation));
        let evaluate = plan.recording();
        for dispatch in 0..horizon.div_ceil(steps) {
            let call = if dispatch == 0 { Ok(&first) } else { next.as_ref() };
            plan.sequence(
                evaluate,
                call.cloned().map_err(Clone::clone),
                &[seed, points, data, saved, counters, losses],
            );
        }
        let program = Program::new(gpu, "evaluation", plan, &[])?;
        Ok(Self { file: problem.file().to_owned(), program, seed, points, losses, evaluate })
    }
}

impl Evaluator {
    /// Waits for the objective at any number of points, (points, parameters).
    ///
    /// # Errors
    /// A number of values that is not a multiple of the parameters, or the device was lost.
    pub async fn run_async(&self, theta: &[f32]) -> Result<Vec<Evaluated>, Error> {
        self.run_reporting_async(theta, |_| ()).await
    }

    /// As [`run_async`](Self::run_async); calls `report` with the number of points that are done.
    ///
    /// # Errors
    /// As [`run_async`](Self::run_async).
    pub async fn run_reporting_async(&self, theta: &[f32], report: impl FnMut(usize)) -> Result<Vec<Evaluated>, Error> {
        let evaluate = async |present| match &self.members {
            Members::Kernel(kernel) => kernel.run(&self.settings).await,
            Members::Population(members) => {
                let curves = self.mean_curves(members, present).await?;
                let last = |losses: &Vec<f64>| losses.last().copied().unwrap_or(f64::NAN);
                Ok(curves.iter().map(|losses| Evaluated { sum: losses.iter().sum(), last: last(losses) }).collect())
            }
        };
        self.lots(theta, report, evaluate).await
    }

    /// Waits for the loss after each step, for each of any number of points; calls `report` with the number of points
    /// that are done.
    ///
    /// # Errors
    /// As [`run_async`](Self::run_async); and a problem in WGSL, whose kernel sums the losses.
    pub async fn curves_async(&self, theta: &[f32], report: impl FnMut(usize)) -> Result<Vec<Vec<f64>>, Error> {
        let evaluate = async |present| match &self.members {
            Members::Kernel(kernel) => {
                Error::settings(format!("{}: curves of losses need a problem that is a graph", kernel.file))
            }
            Members::Population(members) => self.mean_curves(members, present).await,
        };
        self.lots(theta, report, evaluate).await
    }

    /// Evaluates one lot of points after the other.
    async fn lots<T>(
        &self,
        theta: &[f32],
        mut report: impl FnMut(usize),
        evaluate: impl AsyncFn(usize) -> Result<Vec<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        let parameters = self.parameters;
        if !theta.len().is_multiple_of(parameters) {
            return Error::settings(format!(
                "points have {parameters} numbers each, but {} numbers were given",
                theta.len()
            ));
        }
        let mut results = Vec::with_capacity(theta.len() / parameters);
        for points in theta.chunks(self.settings.points * parameters) {
            // The last point is repeated where there are too few.
            let mut rows = points.to_vec();
            while rows.len() < self.settings.points * parameters {
                rows.extend_from_within(rows.len() - parameters..);
            }
            let present = points.len() / parameters;
            self.gpu().write("points", self.points(), &rows)?;
            results.extend(evaluate(present).await?.into_iter().take(present));
            report(results.len());
        }
        Ok(results)
    }

    fn gpu(&self) -> &Gpu {
        match &self.members {
            Members::Kernel(kernel) => kernel.program.gpu(),
            Members::Population(population) => population.gpu(),
        }
    }

    /// The mean losses after each step of the first points.
    async fn mean_curves(&self, members: &Population, present: usize) -> Result<Vec<Vec<f64>>, Error> {
        let mut means = vec![vec![0.0; self.steps]; present];
        members.rewind()?;
        for _ in 0..self.settings.episodes {
            let losses = self.episode(members).await?;
            for (point, mean) in means.iter_mut().enumerate() {
                for (step, mean) in mean.iter_mut().enumerate() {
                    let loss = losses.f32()[step * members.size() + point];
                    *mean += f64::from(loss) / self.settings.episodes as f64;
                }
            }
        }
        Ok(means)
    }

    /// (steps, members): the losses of one inner problem.
    async fn episode(&self, members: &Population) -> Result<Data, Error> {
        /// Steps of a submission: a command buffer holds all that it records.
        const SUBMISSION: usize = 50;
        for first in (0..self.steps).step_by(SUBMISSION) {
            members.gpu().submit_pass("evaluation", |pass| {
                if first == 0 {
                    members.record_reset(pass);
                }
                (first..self.steps.min(first + SUBMISSION)).for_each(|_| members.record_step(pass));
            })?;
        }
        let mut values = members.gpu().submit_readback(&[(members.losses().clone(), Element::F32)])?.await?;
        Ok(values.pop().unwrap_or_else(|| unreachable!("a tensor for each view")))
    }
}

impl Kernel {
    async fn run(&self, settings: &EvaluatorSettings) -> Result<Vec<Evaluated>, Error> {
        let EvaluatorSettings { points, episodes, .. } = *settings;
        self.program.submit(self.evaluate)?;
        let [losses] = self.program.read_async([self.losses]).await?;
        let (sums, lasts) = losses.f32().split_at(points * episodes);
        // Means are rounded to f32, as the losses themselves are.
        let mean = |losses: &[f32]| {
            let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
            f64::from((sum / episodes as f64) as f32)
        };
        let each = sums.chunks(episodes).zip(lasts.chunks(episodes));
        Ok(each.map(|(sums, lasts)| Evaluated { sum: mean(sums), last: mean(lasts) }).collect())
    }
}

/// The blocking forms.
#[cfg(not(target_arch = "wasm32"))]
impl Evaluator {
    /// Blocks, as [`Evaluator::run_async`].
    ///
    /// # Errors
    /// As [`Evaluator::run_async`].
    pub fn run(&self, theta: &[f32]) -> Result<Vec<Evaluated>, Error> {
        self.gpu().block_on(self.run_async(theta))
    }

    /// Blocks, as [`Evaluator::run_reporting_async`].
    ///
    /// # Errors
    /// As [`Evaluator::run_async`].
    pub fn run_reporting(&self, theta: &[f32], report: impl FnMut(usize)) -> Result<Vec<Evaluated>, Error> {
        self.gpu().block_on(self.run_reporting_async(theta, report))
    }

    /// Blocks, as [`Evaluator::curves_async`].
    ///
    /// # Errors
    /// As [`Evaluator::curves_async`].
    pub fn curves(&self, theta: &[f32], report: impl FnMut(usize)) -> Result<Vec<Vec<f64>>, Error> {
        self.gpu().block_on(self.curves_async(theta, report))
    }
}
