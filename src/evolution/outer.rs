//! The outer loop: outer parameters that go downhill along the gradient of a source, iteration after iteration on the GPU.

use std::fmt::Debug;

use fourfold_shaders::elementwise::{Binary, binary};
use fourfold_shaders::{
    Call, Data, Element, optimiser::adamw, optimiser::advance_step, optimiser::ring, optimiser::sgd,
};

use crate::data::{Checkpoint, Error as FileError};
use crate::gpu::{BufferView, Gpu, Launch, Recording, Ticket};
use crate::rollout::Error;

/// The tensors through which a [`Source`] and its [`OuterLoop`] speak.
#[derive(Debug, Clone)]
pub struct Outer {
    /// (parameters): the outer parameters theta.
    pub center: BufferView,
    /// `u32` (2): the key of all random numbers, and the outer iteration, from 0 on.
    pub seed: BufferView,
    /// (parameters): what a source leaves there, the gradient of the loss.
    pub gradient: BufferView,
}

impl Outer {
    /// Tensors on a device, theta being `initial`.
    ///
    /// # Errors
    /// No parameters, or no memory for them.
    pub fn new(gpu: &Gpu, initial: &[f32], key: u32) -> Result<Self, Error> {
        if initial.is_empty() {
            return Err(Error::Settings { message: "there must be at least one outer parameter".into() });
        }
        Ok(Self {
            center: gpu.upload("center", &Data::F32(initial.to_vec()))?,
            seed: gpu.upload("seed", &Data::U32(vec![key, 0]))?,
            gradient: gpu.zeros("gradient", initial.len())?,
        })
    }

    /// Whether theta is that of a problem of this name with so many outer parameters.
    pub(super) fn check(&self, problem: &str, parameters: usize) -> Result<(), Error> {
        let theta = self.center.elements();
        if theta != parameters {
            let message = format!("{problem} has {parameters} outer parameters, but theta has {theta}");
            return Err(Error::Settings { message });
        }
        Ok(())
    }
}

/// A tensor of a source that a checkpoint holds.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Serves once in a source.
    pub name: String,
    pub view: BufferView,
    pub element: Element,
    pub length: usize,
}

/// What estimates the gradient: an estimator with its inner problem.
pub trait Source: Debug {
    /// Records the dispatches of an outer iteration, counted from 0, that leave the gradient of the loss in the
    /// [`Outer::gradient`] that the source was made with. They neither change theta nor the seed.
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32);

    /// Records what the [`metrics`](Self::metrics) still take after [`record`](Self::record), in those iterations alone
    /// whose metrics are read. Nothing where recording leaves them already.
    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>);

    /// What goes on from iteration to iteration, and so belongs into a checkpoint.
    fn kept(&self) -> Vec<Kept>;

    /// A tensor of [`columns`](Self::columns) numbers about the present iteration, such as the mean loss.
    fn metrics(&self) -> Option<BufferView>;

    /// What the [`metrics`](Self::metrics) are, by name; empty where there are none.
    fn columns(&self) -> &'static [&'static str];

    /// Bytes of the source's buffers.
    fn bytes(&self) -> u64;
}

/// A source that was chosen at run time.
impl<S: Source + ?Sized> Source for Box<S> {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        (**self).record(pass, iteration);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        (**self).record_metrics(pass);
    }

    fn kept(&self) -> Vec<Kept> {
        (**self).kept()
    }

    fn metrics(&self) -> Option<BufferView> {
        (**self).metrics()
    }

    fn columns(&self) -> &'static [&'static str] {
        (**self).columns()
    }

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }
}

/// How theta moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Descent {
    /// `theta -= rate * g`
    Sgd,
    /// Adam (Kingma & Ba 2015).
    Adam { beta1: f64, beta2: f64, epsilon: f32 },
}

impl Descent {
    /// Adam with `beta2` 0.999 and `epsilon` 1e-8.
    pub const fn adam(beta1: f64) -> Self {
        Self::Adam { beta1, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Settings of an outer loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OuterSettings {
    pub descent: Descent,
    pub rate: f32,
    /// Each number of the gradient is cut off at plus and minus this.
    pub clip: Option<f32>,
    /// Iterations of which theta and the metrics are remembered on the GPU.
    pub ring: usize,
}

/// An outer loop on a device.
#[derive(Debug)]
pub struct OuterLoop<S> {
    gpu: Gpu,
    source: S,
    outer: Outer,
    settings: OuterSettings,
    parameters: usize,
    /// The state of the optimiser, and the rings.
    buffers: Vec<(&'static str, Element, BufferView)>,
    update: Recording,
    /// Theta and metrics go into the rings.
    remember: Recording,
    advance: Recording,
    /// Iterations submitted or recorded so far.
    iteration: u32,
    readbacks: usize,
}

const STEP: &str = "outer.step";
const CENTERS: &str = "outer.centers";
const METRICS: &str = "outer.metrics";
const RATE: &str = "rate";

/// What the iterations up to a readback left.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Iterations finished.
    pub iteration: u32,
    /// Theta after each of the last iterations, oldest first, as many as the ring holds.
    pub centers: Vec<Vec<f32>>,
    /// The metrics of each of these iterations, by the names of [`Source::columns`].
    pub metrics: Vec<Vec<f32>>,
}

impl<S: Source> OuterLoop<S> {
    /// An outer loop around a source that was made with these tensors; neither submits nor polls.
    ///
    /// # Errors
    /// Settings that make no sense, or no memory.
    pub fn new(gpu: &Gpu, outer: Outer, source: S, settings: OuterSettings) -> Result<Self, Error> {
        let parameters = outer.center.elements();
        let refuse = |message: String| Err(Error::Settings { message });
        if settings.ring == 0 {
            return refuse("the ring of the last iterations holds at least one".into());
        }
        if !(settings.rate.is_finite() && settings.rate >= 0.0) {
            return refuse(format!("the learning rate must be finite and not negative but is {}", settings.rate));
        }
        if let Some(clip) = settings.clip.filter(|clip| clip.is_nan() || *clip <= 0.0) {
            return refuse(format!("the gradient must be cut off above 0, not at {clip}"));
        }
        let columns = source.columns().len().max(1);
        let zeros = |name, length| gpu.zeros(name, length).map(|view| (name, Element::F32, view));
        let mut buffers = vec![
            (STEP, Element::U32, gpu.upload(STEP, &Data::U32(vec![1]))?),
            zeros(CENTERS, settings.ring * parameters)?,
            zeros(METRICS, settings.ring * columns)?,
        ];
        if let Descent::Adam { .. } = settings.descent {
            buffers.push(zeros("outer.first_moment", parameters)?);
            buffers.push(zeros("outer.second_moment", parameters)?);
        }
        buffers.push((RATE, Element::F32, gpu.upload(RATE, &Data::F32(vec![settings.rate]))?));
        let mut built = Self {
            gpu: gpu.clone(),
            source,
            outer,
            settings,
            parameters,
            buffers,
            update: Recording::default(),
            remember: Recording::default(),
            advance: Recording::default(),
            iteration: 0,
            readbacks: 0,
        };
        built.prepare()?;
        Ok(built)
    }

    fn view(&self, name: &str) -> BufferView {
        let found = self.buffers.iter().find(|(of, ..)| *of == name);
        found.unwrap_or_else(|| unreachable!("the outer loop has the tensor `{name}`")).2.clone()
    }

    fn prepare(&mut self) -> Result<(), Error> {
        let (gpu, target, count) = (&self.gpu, self.gpu.target(), self.parameters);
        let one = |call: &Call, views: &[BufferView]| gpu.prepare(&[Launch::new(call, views)]);
        let Outer { center, seed, gradient } = self.outer.clone();
        let (mut update, mut gradient) = (Recording::default(), gradient);
        if let Some(clip) = self.settings.clip {
            for (bound, way) in [(clip, Binary::Min), (-clip, Binary::Max)] {
                let bound = gpu.upload("clip", &Data::F32(vec![bound]))?;
                let clipped = gpu.uninitialised("clipped", count)?;
                let call = binary(way, &[count], &[1]);
                let call = call.unwrap_or_else(|error| unreachable!("one number goes with any: {error}"));
                update = update.then(one(&call, &[gradient, bound, clipped.clone()])?);
                gradient = clipped;
            }
        }
        let (rate, step) = (self.view(RATE), self.view(STEP));
        let descent = match self.settings.descent {
            Descent::Sgd => {
                let problem = sgd::Problem { count, momentum: 0.0, nesterov: false, weight_decay: 0.0, decayed: 0 };
                one(&problem.call(&target), &[center.clone(), gradient, rate])?
            }
            Descent::Adam { beta1, beta2, epsilon } => {
                let problem = adamw::Problem { count, beta1, beta2, epsilon, weight_decay: 0.0, decayed: 0 };
                let moments = ["outer.first_moment", "outer.second_moment"].map(|name| self.view(name));
                let [first, second] = moments;
                one(&problem.call(&target), &[center.clone(), first, second, gradient, rate, step.clone()])?
            }
        };
        let record = |columns| ring::Problem { length: self.settings.ring, columns }.call(&target);
        let mut remember = one(&record(count), &[center, step.clone(), self.view(CENTERS)])?;
        if let Some(metrics) = self.source.metrics() {
            let columns = self.source.columns().len();
            remember = remember.then(one(&record(columns), &[metrics, step.clone(), self.view(METRICS)])?);
        }
        // The step counts from 1, as Adam wants it, and the iteration of the seed from 0.
        let advance = one(&advance_step::Problem::SEED.both(&target), &[seed, step])?;
        (self.update, self.remember, self.advance) = (update.then(descent), remember, advance);
        Ok(())
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    pub fn settings(&self) -> &OuterSettings {
        &self.settings
    }

    /// The tensors that source and loop share: theta among them, for whoever evaluates it on the GPU.
    pub fn outer(&self) -> &Outer {
        &self.outer
    }

    /// Bytes of all buffers, the source's included.
    pub fn bytes(&self) -> u64 {
        let own: u64 = self.buffers.iter().map(|(.., view)| view.size).sum();
        own + self.outer.center.size + self.outer.seed.size + self.outer.gradient.size + self.source.bytes()
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
        self.record_iteration(pass, true);
    }

    fn record_iteration(&mut self, pass: &mut wgpu::ComputePass<'_>, remembered: bool) {
        self.source.record(pass, self.iteration);
        self.update.record(pass);
        if remembered {
            self.source.record_metrics(pass);
            self.remember.record(pass);
        }
        self.advance.record(pass);
        self.iteration += 1;
    }

    /// Records a readback of what [`progress`](Self::progress) needs.
    ///
    /// # Errors
    /// No memory for it.
    pub fn readback(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<Ticket, Error> {
        let views = [STEP, CENTERS, METRICS].map(|name| self.view(name));
        let [step, centers, metrics] = views;
        let views = [(step, Element::U32), (centers, Element::F32), (metrics, Element::F32)];
        self.readbacks += 1;
        Ok(self.gpu.readback(encoder, &views)?)
    }

    /// What the values of a [`readback`](Self::readback) say.
    pub fn progress(&self, values: &[Data]) -> Progress {
        let [step, centers, metrics] = values else { unreachable!("three tensors are read back") };
        let (iteration, ring) = (step.u32()[0] - 1, self.settings.ring);
        let first = iteration.saturating_sub(ring as u32 - 1).max(1);
        let rows = |data: &Data, columns: usize| -> Vec<Vec<f32>> {
            let row = |iteration: u32| data.f32()[iteration as usize % ring * columns..][..columns].to_vec();
            (first..=iteration).map(row).collect()
        };
        let columns = self.source.columns().len();
        let metrics = if columns == 0 { Vec::new() } else { rows(metrics, columns) };
        Progress { iteration, centers: rows(centers, self.parameters), metrics }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<S: Source> OuterLoop<S> {
    /// Submits `iterations` iterations and a readback of their progress, and waits for neither.
    ///
    /// # Errors
    /// No memory for the readback.
    pub fn submit(&mut self, iterations: usize) -> Result<Ticket, Error> {
        let label = wgpu::CommandEncoderDescriptor { label: Some("outer loop") };
        let mut encoder = self.gpu.device().create_command_encoder(&label);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            // The rings are read after the submission, and hold no more than its last iterations.
            let unread = iterations.saturating_sub(self.settings.ring);
            (0..iterations).for_each(|iteration| self.record_iteration(&mut pass, iteration >= unread));
        }
        let ticket = self.readback(&mut encoder)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(ticket)
    }

    /// Runs `iterations` iterations in one submission and waits for their progress.
    ///
    /// # Errors
    /// No memory for the readback, or the loss of the device.
    pub fn run(&mut self, iterations: usize) -> Result<Progress, Error> {
        let values = self.submit(iterations)?.wait()?;
        Ok(self.progress(&values))
    }

    /// Sets the learning rate for the iterations submitted from now on.
    pub fn set_rate(&mut self, rate: f32) {
        self.settings.rate = rate;
        let view = self.view(RATE);
        self.gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::bytes_of(&rate));
    }

    /// Sets theta for the iterations submitted from now on.
    ///
    /// # Errors
    /// Another number of parameters.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), Error> {
        if parameters.len() != self.parameters {
            let message = format!("there are {} outer parameters, not {}", self.parameters, parameters.len());
            return Err(Error::Settings { message });
        }
        let view = &self.outer.center;
        self.gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::cast_slice(parameters));
        Ok(())
    }

    /// Waits for theta.
    ///
    /// # Errors
    /// The device was lost.
    pub fn parameters(&self) -> Result<Vec<f32>, Error> {
        self.read_one(&self.outer.center)
    }

    /// Waits for the gradient of the last iteration.
    ///
    /// # Errors
    /// The device was lost.
    pub fn gradient(&self) -> Result<Vec<f32>, Error> {
        self.read_one(&self.outer.gradient)
    }

    fn read_one(&self, view: &BufferView) -> Result<Vec<f32>, Error> {
        let data = self.gpu.submit_readback(&[(view.clone(), Element::F32)])?.wait()?;
        Ok(data[0].f32().to_vec())
    }

    /// All that a checkpoint holds: name, tensor, element, length.
    fn kept(&self) -> Vec<Kept> {
        let kept = |name: &str, view: &BufferView, element, length| Kept {
            name: name.into(),
            view: view.clone(),
            element,
            length,
        };
        let mut all = vec![
            kept("outer.center", &self.outer.center, Element::F32, self.parameters),
            kept("outer.seed", &self.outer.seed, Element::U32, 2),
        ];
        let own = self.buffers.iter().filter(|(name, ..)| *name != RATE);
        all.extend(own.map(|(name, element, view)| kept(name, view, *element, view.elements())));
        all.extend(self.source.kept());
        all
    }

    /// Waits for the state of the loop and its source and writes it into a checkpoint.
    ///
    /// # Errors
    /// The device was lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let kept = self.kept();
        let views: Vec<_> = kept.iter().map(|kept| (kept.view.part(0, kept.length), kept.element)).collect();
        for (kept, values) in kept.iter().zip(self.gpu.submit_readback(&views)?.wait()?) {
            checkpoint.insert(&kept.name, &[kept.length], values);
        }
        Ok(())
    }

    /// Goes on from the state in a checkpoint, to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape; then nothing is changed.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), FileError> {
        let kept = self.kept();
        let mut found = Vec::with_capacity(kept.len());
        for kept in &kept {
            found.push(checkpoint.tensor(&kept.name, kept.element, &[kept.length])?);
        }
        for (kept, data) in kept.iter().zip(found) {
            self.gpu.queue().write_buffer(&kept.view.buffer, kept.view.offset, data.bytes());
            if kept.name == STEP {
                self.iteration = data.u32()[0] - 1;
            }
        }
        Ok(())
    }
}
