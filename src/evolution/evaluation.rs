//! The outer objective at given points: whole inner problems, unperturbed.

use std::sync::Arc;

use fourfold_shaders::inner_problem::{self, Evaluation, EvaluationProblem, InnerProblem};
use fourfold_shaders::{Data, Element};

use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::Error;

/// Inner problems from start to end at `points` points at a time.
#[derive(Debug)]
pub struct Evaluator {
    gpu: Gpu,
    parameters: usize,
    points: usize,
    episodes: usize,
    given: BufferView,
    losses: BufferView,
    recording: Recording,
}

/// What an inner problem came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluated {
    /// The sum of the losses of all steps.
    pub sum: f32,
    /// The loss of the last step.
    pub last: f32,
}

impl Evaluator {
    /// Room for `points` points, with `episodes` inner problems of each, which last for the problem's horizon or, where
    /// it never ends, for `steps` steps. Number e of the episodes draws the same random numbers at all points, by `key`.
    /// Neither submits nor polls.
    ///
    /// # Errors
    /// A WGSL file that lacks a function, sizes of zero, or no memory.
    pub fn new(
        gpu: &Gpu,
        problem: Arc<dyn InnerProblem>,
        [points, episodes, steps]: [usize; 3],
        key: u32,
    ) -> Result<Self, Error> {
        crate::rollout::check::check_problem(&*problem)?;
        let horizon = problem.horizon().unwrap_or(steps);
        if [points, episodes, horizon].contains(&0) || points.saturating_mul(episodes) > 1 << 28 {
            let message = format!(
                "{points} points with {episodes} inner problems of {horizon} steps each: there must be between 1 and 2^28"
            );
            return Err(Error::Settings { message });
        }
        let evaluation = Evaluation { problem };
        crate::rollout::check::check_whole(evaluation.problem.file(), &evaluation.wgsl())?;
        let (target, problem) = (gpu.target(), &*evaluation.problem);
        let most = evaluation.most_steps(&target).min(horizon);
        if most == 0 {
            return Err(Error::too_many_passes(problem.file()));
        }
        const STREAM: u32 = 16;
        let sizes = EvaluationProblem { points, episodes, horizon, steps: most, fresh: true, stream: STREAM };
        let kernel = evaluation.kernel();
        let first = sizes.call(&evaluation, kernel.clone(), &target);
        let next = EvaluationProblem { fresh: false, ..sizes }.call(&evaluation, kernel, &target);
        let given = gpu.zeros("points", first.lengths[1])?;
        let losses = gpu.uninitialised("losses", first.lengths[5])?;
        let views = [
            gpu.upload("seed", &Data::U32(vec![key, 0]))?,
            given.clone(),
            gpu.upload("data", &Data::F32(inner_problem::data(problem).to_vec()))?,
            gpu.uninitialised("saved", first.lengths[3])?,
            gpu.uninitialised("counters", first.lengths[4])?,
            losses.clone(),
        ];
        let launches: Vec<_> =
            (0..horizon.div_ceil(most)).map(|i| Launch::new(if i == 0 { &first } else { &next }, &views)).collect();
        let recording = gpu.prepare(&launches)?;
        let parameters = problem.parameters();
        Ok(Self { gpu: gpu.clone(), parameters, points, episodes, given, losses, recording })
    }

    /// (points, parameters): where the points lie.
    pub fn points(&self) -> &BufferView {
        &self.given
    }

    /// (2, points, episodes): the sums of all losses, and the last losses.
    pub fn losses(&self) -> &BufferView {
        &self.losses
    }

    /// Records all inner problems, from start to end. The caller submits.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.recording.record(pass);
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Evaluator {
    /// Waits for the objective at any number of points, each the mean over the episodes.
    ///
    /// # Errors
    /// Numbers that are no whole points, or the loss of the device.
    pub fn run(&self, points: &[f32]) -> Result<Vec<Evaluated>, Error> {
        if !points.len().is_multiple_of(self.parameters) {
            let message =
                format!("{} numbers are no whole points of {} parameters each", points.len(), self.parameters);
            return Err(Error::Settings { message });
        }
        let mut objectives = Vec::with_capacity(points.len() / self.parameters);
        for points in points.chunks(self.points * self.parameters) {
            // Points that are left over are evaluated as they were before, and thrown away.
            self.gpu.queue().write_buffer(&self.given.buffer, self.given.offset, bytemuck::cast_slice(points));
            for dispatch in 0..self.recording.len() {
                let label = wgpu::CommandEncoderDescriptor { label: Some("evaluation") };
                let mut encoder = self.gpu.device().create_command_encoder(&label);
                {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    self.recording.record_range(&mut pass, dispatch..dispatch + 1);
                }
                self.gpu.queue().submit([encoder.finish()]);
            }
            let losses = self.gpu.submit_readback(&[(self.losses.clone(), Element::F32)])?.wait()?;
            let (sums, lasts) = losses[0].f32().split_at(self.points * self.episodes);
            let mean = |losses: &[f32]| {
                let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
                (sum / self.episodes as f64) as f32
            };
            let each = sums.chunks(self.episodes).zip(lasts.chunks(self.episodes));
            let present = each.take(points.len() / self.parameters);
            objectives.extend(present.map(|(sums, lasts)| Evaluated { sum: mean(sums), last: mean(lasts) }));
        }
        Ok(objectives)
    }
}
