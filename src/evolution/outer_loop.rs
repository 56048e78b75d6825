//! The outer loop: outer parameters that go downhill along the gradient of a source, iteration after iteration on the GPU.

#[cfg(not(target_arch = "wasm32"))]
mod blocking;

use fourfold_shaders::elementwise::{Binary, binary};
use fourfold_shaders::{Data, Element, optimiser::adamw, optimiser::advance_step, optimiser::ring, optimiser::sgd};

use super::small_population::{LoopIds, Together};
use super::{Error, OuterTensors, Source, Tell, part};
use crate::data::Checkpoint;
use crate::gpu::program::{Allocation, BufferId, CheckpointTensor, Program, ProgramPlan, RecordingId};
use crate::gpu::{self, BufferView, Gpu, Ticket};

/// The update of theta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Descent {
    /// `theta -= rate * g`
    Sgd,
    /// Adam (Kingma & Ba 2015), with decoupled weight decay.
    Adam {
        /// Decay of the mean gradient.
        beta1: f64,
        /// Decay of the mean squared gradient.
        beta2: f64,
        /// Added to the root of the mean squared gradient.
        epsilon: f32,
        /// The share of theta that decays in an iteration, in units of the rate.
        weight_decay: f32,
    },
}

impl Descent {
    /// Adam with `beta2` 0.999, `epsilon` 1e-8 and no weight decay.
    pub const fn adam(beta1: f64) -> Self {
        Self::Adam { beta1, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// Adam's step of so many parameters, where it is Adam.
    fn adam_of(self, count: usize) -> Option<adamw::Problem> {
        match self {
            Self::Sgd => None,
            Self::Adam { beta1, beta2, epsilon, weight_decay } => {
                let decayed = if weight_decay == 0.0 { 0 } else { count };
                Some(adamw::Problem { count, beta1, beta2, epsilon, weight_decay, decayed })
            }
        }
    }
}

/// A step of plain gradient descent.
fn plain(count: usize) -> sgd::Problem {
    sgd::Problem { count, momentum: 0.0, nesterov: false, weight_decay: 0.0, decayed: 0 }
}

/// Settings of an outer loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OuterSettings {
    /// The update of theta.
    pub descent: Descent,
    /// The learning rate.
    pub rate: f32,
    /// Clips each number of the gradient to plus and minus this.
    pub clip: Option<f32>,
    /// Iterations whose theta and metrics are stored on the GPU.
    pub ring: usize,
}

impl OuterSettings {
    fn check(&self) -> Result<(), Error> {
        if self.ring == 0 {
            return Error::settings("the ring of the last iterations holds at least one");
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return Error::settings(format!("the learning rate must be finite and not negative, got {}", self.rate));
        }
        match self.clip.filter(|clip| clip.is_nan() || *clip <= 0.0) {
            Some(clip) => Error::settings(format!("the gradient must be clipped above 0, got {clip}")),
            None => Ok(()),
        }
    }

    /// Returns the bytes of an outer loop without its source: theta, its gradient, moments and rings.
    pub fn bytes(&self, parameters: usize, columns: usize) -> u64 {
        let moments = if matches!(self.descent, Descent::Sgd) { 0 } else { 2 };
        let clips = if self.clip.is_some() { 2 } else { 0 };
        let ring = self.ring * (parameters + columns.max(1));
        ((parameters * (2 + moments + clips) + ring + clips + 4) * Element::BYTES) as u64
    }
}

/// An outer loop on a device.
#[derive(Debug)]
pub struct OuterLoop<S: ?Sized> {
    source: Box<S>,
    outer: OuterTensors,
    settings: OuterSettings,
    parameters: usize,
    program: Program,
    ids: Ids,
    dispatches: Dispatches,
    /// Iterations submitted or recorded so far.
    iteration: u32,
    readbacks: usize,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    step: BufferId,
    rate: BufferId,
    centers: BufferId,
    metrics: BufferId,
}

/// The dispatches of an iteration.
#[derive(Debug, Clone, Copy)]
enum Dispatches {
    /// Those of the source, then these.
    Apart(Apart),
    /// One for many iterations of a [small population](super::SmallPopulation).
    Together(Together),
}

/// The dispatches that follow those of the source.
#[derive(Debug, Clone, Copy)]
struct Apart {
    update: RecordingId,
    /// Copies theta and metrics into the rings.
    remember: RecordingId,
    advance: RecordingId,
}

/// The results of the iterations up to a readback.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Iterations finished.
    pub iteration: u32,
    /// Theta after each of the last iterations, oldest first, as many as the ring holds.
    pub centers: Vec<Vec<f32>>,
    /// The metrics of each of these iterations, by the names of [`Source::columns`].
    pub metrics: Vec<Vec<f32>>,
}

/// The name of the iteration count in a checkpoint.
const STEP: &str = "outer.step";

impl<S: Source + ?Sized> OuterLoop<S> {
    /// Creates an outer loop around a source that was made with these tensors; neither submits nor polls. A source that
    /// is chosen at run time is a `Box<dyn Source>`.
    ///
    /// # Errors
    /// Settings that are out of range, or out of memory.
    pub fn new(gpu: &Gpu, outer: OuterTensors, source: Box<S>, settings: OuterSettings) -> Result<Self, Error> {
        settings.check()?;
        let (parameters, target) = (outer.center.elements(), gpu.target());
        let mut plan = ProgramPlan::default();
        let center = plan.buffer(Allocation::f32("center", parameters).given().kept());
        let seed = plan.buffer(Allocation::u32("seed", 2).given().kept());
        let gradient = plan.buffer(Allocation::f32("gradient", parameters).given());
        // The step counts from 1, as Adam expects, and the iteration of the seed from 0.
        let step = plan.buffer(Allocation::u32("step", 1).given().kept());
        let steps = outer.step();
        let mut given = vec![(center, &outer.center), (seed, &outer.seed), (gradient, &outer.gradient), (step, &steps)];
        let columns = source.columns().len();
        let zeros = |name: &'static str, length| Allocation::f32(name, length).zeros().kept();
        let rate = plan.buffer(Allocation::f32("rate", 1).zeros());
        let centers = plan.buffer(zeros("centers", settings.ring * parameters));
        let metrics = plan.buffer(zeros("metrics", settings.ring * columns.max(1)));
        let adam = settings.descent.adam_of(parameters);
        let moments =
            adam.map(|adam| (adam, ["first_moment", "second_moment"].map(|name| plan.buffer(zeros(name, parameters)))));

        let (small, measured) = (source.small_population(), source.metrics());
        let dispatches = match small.as_ref().zip(outer.counts()) {
            Some((small, counts)) => {
                let mut packed = vec![rate, centers, metrics];
                packed.extend(moments.iter().flat_map(|(_, moments)| moments));
                let packed = plan.pack("rate, rings and moments", &packed);
                let both = plan.buffer(Allocation::u32("counts", counts.elements()).given());
                given.push((both, counts));
                let ids = LoopIds { counts: both, center, gradient, outer: packed };
                let (together, buffers) = small.plan(&mut plan, (&settings, adam), ids, &target);
                given.extend(buffers);
                Dispatches::Together(together)
            }
            None => {
                let update = plan.recording();
                let mut clipped = gradient;
                if let Some(clip) = settings.clip {
                    for (bound, operation) in [(clip, Binary::Min), (-clip, Binary::Max)] {
                        let bound = plan.buffer(Allocation::values("clip", Data::F32(vec![bound])));
                        let within = plan.buffer(Allocation::f32("clipped", parameters));
                        plan.sequence(update, binary(operation, &[parameters], &[1]), &[clipped, bound, within]);
                        clipped = within;
                    }
                }
                match moments {
                    // Without momentum nothing reads a velocity.
                    None => {
                        plan.sequence(update, plain(parameters).sequence(&target), &[center, center, clipped, rate])
                    }
                    Some((adam, [first, second])) => {
                        plan.sequence(update, adam.sequence(&target), &[center, first, second, clipped, rate, step]);
                    }
                }
                let record = |columns| ring::Problem { length: settings.ring, columns }.sequence(&target);
                let remember = plan.recording();
                plan.sequence(remember, record(parameters), &[centers, center, step]);
                if let Some(measured) = &measured {
                    let id = plan.buffer(Allocation::f32("measured", columns).given());
                    given.push((id, measured));
                    plan.sequence(remember, record(columns), &[metrics, id, step]);
                }
                let advance = plan.recording();
                plan.sequence(advance, advance_step::Problem::SEED.both(&target), &[seed, step]);
                Dispatches::Apart(Apart { update, remember, advance })
            }
        };

        let program = Program::new(gpu, "outer loop", plan, &given)?;
        program.write(rate, &[settings.rate])?;
        let ids = Ids { step, rate, centers, metrics };
        Ok(Self { source, outer, settings, parameters, program, ids, dispatches, iteration: 0, readbacks: 0 })
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The settings, with the current learning rate.
    pub fn settings(&self) -> &OuterSettings {
        &self.settings
    }

    /// Bytes of all buffers, the source's included.
    pub fn bytes(&self) -> u64 {
        self.program.bytes() + self.outer.bytes() + self.source.bytes()
    }

    /// Readbacks so far: one for each [`submit`](Self::submit), however many iterations it holds.
    pub fn readbacks(&self) -> usize {
        self.readbacks
    }

    /// Iterations recorded so far.
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// Records one iteration. The caller submits, in the order of recording.
    pub fn record(&mut self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_iterations(pass, 1, true);
    }

    /// Records iterations, of which those are remembered that the host may read.
    fn record_iterations(&mut self, pass: &mut wgpu::ComputePass<'_>, iterations: usize, remembered: bool) {
        match self.dispatches {
            Dispatches::Together(together) => {
                together.record(&self.program, pass, iterations, remembered);
                self.iteration += iterations as u32;
            }
            Dispatches::Apart(apart) => {
                for _ in 0..iterations {
                    self.source.record(pass, self.iteration);
                    self.record_update(apart, pass, remembered);
                }
            }
        }
    }

    /// Records what follows the gradient.
    fn record_update(&mut self, apart: Apart, pass: &mut wgpu::ComputePass<'_>, remembered: bool) {
        self.program.record(apart.update, pass);
        if remembered {
            self.source.record_metrics(pass);
            self.program.record(apart.remember, pass);
        }
        self.program.record(apart.advance, pass);
        self.iteration += 1;
    }

    /// Records into an encoder a readback of the values that [`progress`](Self::progress) takes.
    ///
    /// # Errors
    /// Out of memory.
    pub fn encode_readback(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<Ticket, Error> {
        Ok(self.encode_views(encoder)?)
    }

    fn encode_views(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<Ticket, gpu::Error> {
        let view = |id, element| (self.program.view(id).clone(), element);
        let Ids { step, centers, metrics, .. } = self.ids;
        let mut views = vec![view(step, Element::U32), view(centers, Element::F32), view(metrics, Element::F32)];
        views.extend(self.source.faults().map(|faults| (faults, Element::U32)));
        self.readbacks += 1;
        self.program.gpu().encode_readback(encoder, &views)
    }

    /// Interprets the values of a [`readback`](Self::encode_readback).
    ///
    /// # Errors
    /// The source met a number that is not finite.
    pub fn progress(&self, values: &[Data]) -> Result<Progress, Error> {
        let [step, centers, metrics, faults @ ..] = values else { unreachable!("three tensors are read back") };
        if let [faults] = faults {
            self.source.check(faults.u32())?;
        }
        let (iteration, ring) = (step.u32()[0] - 1, self.settings.ring);
        let first = iteration.saturating_sub(ring as u32 - 1).max(1);
        let rows = |data: &Data, columns: usize| -> Vec<Vec<f32>> {
            let row = |iteration: u32| data.f32()[iteration as usize % ring * columns..][..columns].to_vec();
            (first..=iteration).map(row).collect()
        };
        let columns = self.source.columns().len();
        let metrics = if columns == 0 { Vec::new() } else { rows(metrics, columns) };
        Ok(Progress { iteration, centers: rows(centers, self.parameters), metrics })
    }
}

impl<S: Source + ?Sized> OuterLoop<S> {
    /// Submits `iterations` iterations and a readback of their progress, and waits for neither.
    ///
    /// # Errors
    /// No memory for the readback, or the device was lost.
    pub fn submit(&mut self, iterations: usize) -> Result<Ticket, Error> {
        let gpu = self.program.gpu().clone();
        let submitted = gpu.submit("outer loop", |encoder| {
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                // The rings are read after the submission, and hold no more than its last iterations.
                let unread = iterations.saturating_sub(self.settings.ring);
                self.record_iterations(&mut pass, unread, false);
                self.record_iterations(&mut pass, iterations - unread, true);
            }
            self.encode_views(encoder)
        });
        Ok(submitted?)
    }

    /// Runs `iterations` iterations in one submission and waits for their progress.
    ///
    /// # Errors
    /// A number that is not finite, out of memory, or the device was lost.
    pub async fn run_async(&mut self, iterations: usize) -> Result<Progress, Error> {
        let values = self.submit(iterations)?.await?;
        self.progress(&values)
    }

    /// Runs `iterations` iterations of a source that has only a [part](Source::part) of its population, to the bits of one
    /// that has all. In each, `tell` is given words of this part, and how many words each part has; it returns those of all
    /// parts in their order. A source that has nothing to tell computes all by itself.
    ///
    /// # Errors
    /// Those of `tell`, a number that is not finite, out of memory, or the device was lost.
    pub async fn run_part_async<E: From<Error>>(
        &mut self,
        iterations: usize,
        tell: &mut Tell<'_, E>,
    ) -> Result<Progress, E> {
        let told = self.source.told();
        let (false, Dispatches::Apart(apart)) = (told.is_empty(), self.dispatches) else {
            return Ok(self.run_async(iterations).await?);
        };
        let gpu = self.program.gpu().clone();
        let unread = iterations.saturating_sub(self.settings.ring);
        for iteration in 0..iterations {
            let own = gpu.submit_pass("own part", |pass| self.source.record_part(pass, self.iteration));
            own.map_err(Error::from)?;
            part::exchange(&gpu, self.source.part(), &told, tell).await?;
            let rest = gpu.submit_pass("outer loop", |pass| {
                self.source.record_rest(pass);
                self.record_update(apart, pass, iteration >= unread);
            });
            rest.map_err(Error::from)?;
        }
        let values = self.submit(0)?.await.map_err(Error::from)?;
        Ok(self.progress(&values)?)
    }

    /// Completes the state of a source that has only a part of its population with that of the others, for a checkpoint
    /// with which any number of parts goes on; `tell` as in [`run_part_async`](Self::run_part_async).
    ///
    /// # Errors
    /// Those of `tell`, out of memory, or the device was lost.
    pub async fn complete_async<E: From<Error>>(&self, tell: &mut Tell<'_, E>) -> Result<(), E> {
        let state = self.source.divided_state();
        if state.is_empty() {
            return Ok(());
        }
        part::exchange(self.program.gpu(), self.source.part(), &state, tell).await
    }

    /// Sets the learning rate for the iterations submitted from now on.
    ///
    /// # Errors
    /// The device was lost.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        self.program.write(self.ids.rate, &[rate])?;
        self.settings.rate = rate;
        Ok(())
    }

    /// Waits for theta.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn parameters_async(&self) -> Result<Vec<f32>, Error> {
        self.read_one(&self.outer.center).await
    }

    /// Waits for the gradient of the last iteration.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn gradient_async(&self) -> Result<Vec<f32>, Error> {
        self.read_one(&self.outer.gradient).await
    }

    async fn read_one(&self, view: &BufferView) -> Result<Vec<f32>, Error> {
        let data = self.program.gpu().submit_readback(&[(view.clone(), Element::F32)])?.await?;
        Ok(data[0].f32().to_vec())
    }

    /// The tensors of a checkpoint.
    fn kept(&self) -> Vec<CheckpointTensor> {
        self.program.kept("outer.").into_iter().chain(self.source.kept()).collect()
    }

    /// Waits for the state of the loop and its source and writes it into a checkpoint.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn save_async(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let kept = self.kept();
        let values = CheckpointTensor::submit_readback(self.program.gpu(), &kept)?.await?;
        for (tensor, values) in kept.iter().zip(values) {
            checkpoint.insert(&tensor.name, &[tensor.length], values);
        }
        Ok(())
    }

    /// Continues from the state in a checkpoint, to the same bits as if the run had never stopped.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape; then nothing is changed. The device was lost.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let kept = self.kept();
        let values = kept.iter().map(|tensor| checkpoint.tensor(&tensor.name, tensor.element, &[tensor.length]));
        for (tensor, values) in kept.iter().zip(values.collect::<Result<Vec<_>, _>>()?) {
            tensor.write(self.program.gpu(), values)?;
        }
        self.iteration = checkpoint.u32(STEP, &[1])?[0] - 1;
        Ok(())
    }
}
