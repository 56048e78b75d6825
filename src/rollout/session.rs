//! A rollout on a device.

#[cfg(not(target_arch = "wasm32"))]
use std::time::{Duration, Instant};

use fourfold_shaders::rollout::unroll::{Fault, Members};
use fourfold_shaders::{Call, Data, Element};

use super::{Error, Plan, Trace};
use crate::gpu::{BufferView, Gpu, Launch, Recording};

/// The caller's tensors of a rollout.
#[derive(Debug, Clone)]
pub struct Operands {
    /// `u32` (2): key and generation.
    pub seed: BufferView,
    /// What the weights come from.
    pub weights: Weights,
    /// `u32` (episodes, phases, inputs), where the composition wires its inputs.
    pub wiring: Option<BufferView>,
}

/// Where the weights of the members come from.
#[derive(Debug, Clone)]
pub enum Weights {
    /// (members, parameters).
    Given(BufferView),
    /// Centre and deviation of mirrored perturbations, (parameters) each.
    Perturbed { center: BufferView, deviation: BufferView },
}

/// The buffers and dispatches of a plan on a device.
#[derive(Debug)]
pub struct Rollout {
    gpu: Gpu,
    plan: Plan,
    operands: Operands,
    /// In the order of the plan.
    buffers: Vec<BufferView>,
    recording: Recording,
}

/// What came of the episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Episodes {
    /// (members, episodes): the sum of rewards.
    pub returns: Vec<f32>,
    /// (members, episodes): steps.
    pub lengths: Vec<u32>,
}

impl Rollout {
    /// Creates the plan's buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Operands that do not fit the plan, no memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: Plan, operands: Operands) -> Result<Self, Error> {
        let given = matches!(operands.weights, Weights::Given(_));
        if given != matches!(plan.composition.members, Members::Given { .. }) {
            let message = "the composition and the operands disagree on where weights come from".to_string();
            return Err(Error::Settings { message });
        }
        if operands.wiring.is_some() != plan.composition.sensors.wiring.is_some() {
            let message = "a wiring buffer goes with sensors that are wired, and with no others".to_string();
            return Err(Error::Settings { message });
        }
        let mut rollout =
            Self { gpu: gpu.clone(), plan, operands, buffers: Vec::new(), recording: Recording::default() };
        rollout.allocate()?;
        Ok(rollout)
    }

    fn allocate(&mut self) -> Result<(), Error> {
        self.buffers.clear();
        for buffer in &self.plan.buffers {
            self.buffers.push(self.gpu.uninitialised(buffer.name, buffer.length)?);
        }
        self.prepare()
    }

    /// Builds the dispatches.
    fn prepare(&mut self) -> Result<(), Error> {
        let kernel = self.plan.composition.kernel(self.plan.keeping);
        let workgroup = if self.gpu.target().software { 8 } else { 64 };
        let call = |dispatch| {
            let problem = self.plan.problem(dispatch);
            problem.call_with(&self.plan.composition, kernel.clone(), self.plan.keeping, workgroup)
        };
        let calls: Vec<Call> = (0..self.plan.dispatches.min(2)).map(call).collect();
        let views = self.views();
        // All dispatches after the first are the same.
        let launches = (0..self.plan.dispatches).map(|dispatch| Launch::new(&calls[dispatch.min(1)], &views));
        self.recording = self.gpu.prepare(&launches.collect::<Vec<_>>())?;
        Ok(())
    }

    fn views(&self) -> Vec<BufferView> {
        let mut views = vec![self.operands.seed.clone()];
        views.extend(self.buffers[..4].iter().cloned());
        match &self.operands.weights {
            Weights::Given(weights) => views.push(weights.clone()),
            Weights::Perturbed { center, deviation } => views.extend([center.clone(), deviation.clone()]),
        }
        views.extend(self.operands.wiring.clone());
        views.extend(self.buffers.get(4).cloned());
        views
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The caller's tensors, as they were given.
    pub fn operands(&self) -> &Operands {
        &self.operands
    }

    /// Dispatches of one rollout.
    pub fn dispatches(&self) -> usize {
        self.recording.len()
    }

    /// Records the whole rollout: every episode of every member, from its start. The caller submits.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.recording.record(pass);
    }

    /// Records some of the rollout's dispatches, for callers who spread a rollout over several frames: all of them,
    /// in order, make one rollout.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch.
    pub fn record_range(&self, pass: &mut wgpu::ComputePass<'_>, range: std::ops::Range<usize>) {
        self.recording.record_range(pass, range);
    }

    /// (members, episodes): the sum of rewards of each episode.
    pub fn returns(&self) -> &BufferView {
        &self.buffers[2]
    }

    /// `u32` (members, episodes): the steps of each episode.
    pub fn lengths(&self) -> &BufferView {
        &self.buffers[3]
    }

    /// `u32` (3, slots): what [`check`](Self::check) reads.
    pub fn counters(&self) -> &BufferView {
        &self.buffers[1]
    }

    /// Looks for a number that was not finite.
    ///
    /// # Errors
    /// [`Error::Fault`], with the file and the function that gave it.
    pub fn check(&self, counters: &[u32]) -> Result<(), Error> {
        let slots = self.plan.settings.members * self.plan.groups;
        for slot in 0..slots {
            let Some(fault) = Fault::of(counters[2 * slots + slot]) else { continue };
            let Plan { composition, settings, groups, .. } = &self.plan;
            let (file, function) = match fault {
                Fault::Observation => (composition.environment.file(), "environment_observe"),
                Fault::Action => (composition.policy.file(), "policy_act"),
                Fault::Step => (composition.environment.file(), "environment_step"),
            };
            let episode = slot % groups * (settings.episodes / groups) + counters[slot] as usize;
            let (member, step) = (slot / groups, counters[slots + slot] as usize);
            return Err(Error::Fault { file: file.into(), function, member, episode, step });
        }
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Rollout {
    /// Chooses the steps of a dispatch so that it lasts about `time` where every episode is alive: far below the two
    /// seconds after which Windows resets a GPU. Blocks for two short dispatches. The results do not depend on it.
    ///
    /// # Errors
    /// Those of [`Rollout::new`].
    pub fn pace(&mut self, time: Duration) -> Result<(), Error> {
        const TRIAL: usize = 16;
        const MOST: usize = 20_000;
        let whole = self.plan.settings.episodes / self.plan.groups * self.plan.settings.horizon;
        self.plan.set_steps(TRIAL.min(whole));
        self.allocate()?;
        // The first compiles.
        self.submit(0..1);
        self.gpu.wait()?;
        let start = Instant::now();
        self.submit(0..1);
        self.gpu.wait()?;
        let each = start.elapsed().as_secs_f64().max(1e-6) / self.plan.settings.steps as f64;
        let steps = (time.as_secs_f64() / each) as usize;
        self.plan.set_steps(steps.clamp(1, MOST.min(whole)));
        self.allocate()
    }

    fn submit(&self, range: std::ops::Range<usize>) {
        let label = wgpu::CommandEncoderDescriptor { label: Some("rollout") };
        let mut encoder = self.gpu.device().create_command_encoder(&label);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.record_range(&mut pass, range);
        }
        self.gpu.queue().submit([encoder.finish()]);
    }

    /// Plays every episode and waits for what came of them.
    ///
    /// # Errors
    /// A number that was not finite, or the loss of the device.
    pub fn run(&self) -> Result<Episodes, Error> {
        for dispatch in 0..self.dispatches() {
            self.submit(dispatch..dispatch + 1);
        }
        self.episodes()
    }

    /// Waits for what came of the episodes of the last rollout.
    ///
    /// # Errors
    /// A number that was not finite, or the loss of the device.
    pub fn episodes(&self) -> Result<Episodes, Error> {
        let views = [
            (self.returns().clone(), Element::F32),
            (self.lengths().clone(), Element::U32),
            (self.counters().clone(), Element::U32),
        ];
        let [returns, lengths, counters] = self.read(views)?;
        self.check(counters.u32())?;
        Ok(Episodes { returns: returns.f32().to_vec(), lengths: lengths.u32().to_vec() })
    }

    fn read<const N: usize>(&self, views: [(BufferView, Element); N]) -> Result<[Data; N], Error> {
        let data = self.gpu.submit_readback(&views)?.wait()?;
        Ok(data.try_into().unwrap_or_else(|_| unreachable!("a tensor for each view")))
    }

    /// Plays every episode and returns every step of it.
    ///
    /// # Errors
    /// As [`run`](Self::run), and a composition whose [`Members`] keep no trace.
    pub fn trace(&self) -> Result<(Episodes, Trace), Error> {
        if !self.plan.traces() {
            let message = "a trace needs `Members::Given { trace: true }`".to_string();
            return Err(Error::Settings { message });
        }
        let mut trace = Trace::new(&self.plan);
        for dispatch in 0..self.dispatches() {
            let [counters] = self.read([(self.counters().clone(), Element::U32)])?;
            self.submit(dispatch..dispatch + 1);
            let [steps] = self.read([(self.buffers[4].clone(), Element::F32)])?;
            let fresh = vec![0; counters.len()];
            let before = if dispatch == 0 { &fresh } else { counters.u32() };
            trace.extend(&self.plan, before, steps.f32());
        }
        Ok((self.episodes()?, trace))
    }
}
