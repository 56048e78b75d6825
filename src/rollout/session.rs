//! A rollout on a device.

#[cfg(not(target_arch = "wasm32"))]
use std::time::{Duration, Instant};

use fourfold_shaders::rollout::unroll::{COUNTERS, Fault, WeightSource};

use super::plan::Ids;
use super::{Error, Plan, Trace};
use crate::gpu::program::Program;
use crate::gpu::{BufferView, Gpu};

/// The caller's tensors of a rollout.
#[derive(Debug, Clone)]
pub struct Operands {
    /// `u32` (2): key and generation.
    pub seed: BufferView,
    /// The source of the weights.
    pub weights: Weights,
    /// `u32` (episodes, phases, inputs), where the composition wires its inputs.
    pub wiring: Option<BufferView>,
}

/// The source of the members' weights.
#[derive(Debug, Clone)]
pub enum Weights {
    /// (members, parameters).
    Given(BufferView),
    /// Mirrored perturbations of a centre, drawn in the kernel.
    Perturbed {
        /// The weights of the unperturbed member, (parameters).
        center: BufferView,
        /// The standard deviation of each weight, (parameters).
        deviation: BufferView,
    },
}

/// The buffers and dispatches of a plan on a device.
#[derive(Debug)]
pub struct Rollout {
    plan: Plan,
    operands: Operands,
    program: Program,
}

/// The results of the episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Episodes {
    /// (members, episodes): the sum of rewards; without meaning for members of another [part](super::Part).
    pub returns: Vec<f32>,
    /// (members, episodes): steps.
    pub lengths: Vec<u32>,
}

impl Rollout {
    /// Creates the plan's buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Operands that do not fit the plan, out of memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: Plan, operands: Operands) -> Result<Self, Error> {
        let given = matches!(operands.weights, Weights::Given(_));
        if given != matches!(plan.composition.weights, WeightSource::Given { .. }) {
            let message = "the composition and the operands disagree on where weights come from".to_string();
            return Err(Error::Settings { message });
        }
        if operands.wiring.is_some() != plan.composition.sensors.wiring.is_some() {
            let message = "a wiring buffer goes with sensors that are wired, and with no others".to_string();
            return Err(Error::Settings { message });
        }
        let program = program(gpu, &plan, &operands)?;
        Ok(Self { plan, operands, program })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The caller's tensors, as they were given.
    pub fn operands(&self) -> &Operands {
        &self.operands
    }

    /// Dispatches of one rollout.
    pub fn dispatches(&self) -> usize {
        self.program.dispatches(self.plan.ids.episodes)
    }

    /// Records the whole rollout: every episode of every member, from its start. The caller submits.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.plan.ids.episodes, pass);
    }

    /// Records some of the rollout's dispatches, for callers who spread a rollout over several frames: all of them,
    /// in order, make one rollout.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch.
    pub fn record_range(&self, pass: &mut wgpu::ComputePass<'_>, range: std::ops::Range<usize>) {
        self.program.record_range(self.plan.ids.episodes, pass, range);
    }

    /// (members, episodes): the sum of rewards of each episode.
    pub fn returns(&self) -> &BufferView {
        self.program.view(self.plan.ids.returns)
    }

    /// `u32` (members, episodes): the steps of each episode.
    pub fn lengths(&self) -> &BufferView {
        self.program.view(self.plan.ids.lengths)
    }

    /// `u32` (3, slots): what [`check`](Self::check) reads.
    pub fn counters(&self) -> &BufferView {
        self.program.view(self.plan.ids.counters)
    }

    /// Looks for a number that was not finite.
    ///
    /// # Errors
    /// [`Error::Fault`], with the file and the function that gave it, or counters of another rollout.
    pub fn check(&self, counters: &[u32]) -> Result<(), Error> {
        let own = self.plan.own_members();
        let slots = own.len() * self.plan.groups;
        if counters.len() != COUNTERS * slots {
            let (expected, got) = (COUNTERS * slots, counters.len());
            return Err(Error::Settings { message: format!("counters: expected {expected} numbers, got {got}") });
        }
        for slot in 0..slots {
            let Some(fault) = Fault::of(counters[2 * slots + slot]) else { continue };
            let Plan { composition, settings, groups, .. } = &self.plan;
            let (file, function) = match fault {
                Fault::Observation => (composition.environment.file(), "environment_observe"),
                Fault::Action => (composition.policy.file(), "policy_act"),
                Fault::Step => (composition.environment.file(), "environment_step"),
            };
            let episode = slot % groups * (settings.episodes / groups) + counters[slot] as usize;
            let (member, step) = (own.start + slot / groups, counters[slots + slot] as usize);
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
    /// As [`Rollout::new`].
    pub fn pace(&mut self, time: Duration) -> Result<(), Error> {
        const TRIAL: usize = 16;
        const MOST: usize = 20_000;
        let super::Settings { episodes, horizon, .. } = self.plan.settings;
        let whole = episodes / self.plan.groups * horizon;
        self.set_steps(TRIAL.min(whole))?;
        let gpu = self.program.gpu().clone();
        // The first compiles.
        self.submit_range(0..1)?;
        gpu.wait()?;
        let start = Instant::now();
        self.submit_range(0..1)?;
        gpu.wait()?;
        let each = start.elapsed().as_secs_f64().max(1e-6) / self.plan.settings.steps as f64;
        let steps = (time.as_secs_f64() / each) as usize;
        self.set_steps(steps.clamp(1, MOST.min(whole)))
    }

    fn set_steps(&mut self, steps: usize) -> Result<(), Error> {
        self.plan = self.plan.with_steps(steps);
        self.program = program(&self.program.gpu().clone(), &self.plan, &self.operands)?;
        Ok(())
    }

    /// Blocks, as [`Rollout::run_async`].
    ///
    /// # Errors
    /// As [`Rollout::run_async`].
    pub fn run(&self) -> Result<Episodes, Error> {
        self.program.gpu().block_on(self.run_async())
    }

    /// Blocks, as [`Rollout::episodes_async`].
    ///
    /// # Errors
    /// As [`Rollout::episodes_async`].
    pub fn episodes(&self) -> Result<Episodes, Error> {
        self.program.gpu().block_on(self.episodes_async())
    }

    /// Blocks, as [`Rollout::trace_async`].
    ///
    /// # Errors
    /// As [`Rollout::trace_async`].
    pub fn trace(&self) -> Result<(Episodes, Trace), Error> {
        self.program.gpu().block_on(self.trace_async())
    }
}

impl Rollout {
    /// Submits every episode, and waits for nothing.
    ///
    /// # Errors
    /// The device was lost.
    pub fn submit(&self) -> Result<(), Error> {
        Ok(self.program.submit(self.plan.ids.episodes)?)
    }

    fn submit_range(&self, range: std::ops::Range<usize>) -> Result<(), Error> {
        Ok(self.program.submit_range(self.plan.ids.episodes, range)?)
    }

    /// Plays every episode and waits for the results.
    ///
    /// # Errors
    /// A number that was not finite, or the device was lost.
    pub async fn run_async(&self) -> Result<Episodes, Error> {
        self.submit()?;
        self.episodes_async().await
    }

    /// Waits for the results of the last rollout.
    ///
    /// # Errors
    /// A number that was not finite, or the device was lost.
    pub async fn episodes_async(&self) -> Result<Episodes, Error> {
        let Ids { returns, lengths, counters, .. } = self.plan.ids;
        let [returns, lengths, counters] = self.program.read_async([returns, lengths, counters]).await?;
        self.check(counters.u32())?;
        Ok(Episodes { returns: returns.f32().to_vec(), lengths: lengths.u32().to_vec() })
    }

    /// Plays every episode and returns every step of it.
    ///
    /// # Errors
    /// As [`run_async`](Self::run_async), and a composition whose [`WeightSource`] keep no trace.
    pub async fn trace_async(&self) -> Result<(Episodes, Trace), Error> {
        let Some(recorded) = self.plan.ids.trace else {
            let message = "a trace needs `WeightSource::Given { trace: true }`".to_string();
            return Err(Error::Settings { message });
        };
        let mut trace = Trace::new(&self.plan);
        for dispatch in 0..self.dispatches() {
            let [counters] = self.program.read_async([self.plan.ids.counters]).await?;
            self.submit_range(dispatch..dispatch + 1)?;
            let [steps] = self.program.read_async([recorded]).await?;
            let fresh = vec![0; counters.len()];
            let before = if dispatch == 0 { &fresh } else { counters.u32() };
            trace.extend(&self.plan, before, steps.f32());
        }
        Ok((self.episodes_async().await?, trace))
    }
}

fn program(gpu: &Gpu, plan: &Plan, operands: &Operands) -> Result<Program, Error> {
    let weights = match &operands.weights {
        Weights::Given(weights) => vec![weights],
        Weights::Perturbed { center, deviation } => vec![center, deviation],
    };
    let mut given = vec![(plan.ids.seed, &operands.seed)];
    given.extend(plan.ids.weights.iter().copied().zip(weights));
    given.extend(plan.ids.wiring.zip(operands.wiring.as_ref()));
    Ok(Program::new(gpu, "rollout", plan.program.clone(), &given)?)
}
