//! Many episodes side by side, with actions that come from outside.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::rollout::step::{ASKED, COUNTERS, Composition, Problem};
use fourfold_shaders::rollout::unroll::{Fault, traced};

use super::{Environment, Episodes, Error, Trace, check};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};

/// Settings of a vector environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorSettings {
    /// Episodes; `num_envs` of Gymnasium.
    pub lanes: usize,
    /// Members of a population, who share the lanes out, one member's after another's, and meet the same episodes.
    pub members: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// The key of the random numbers.
    pub seed: u32,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next three are taken too.
    pub stream: u32,
    /// Records every step on the GPU, for [`VectorEnvironment::trace`].
    pub trace: bool,
    /// Begins the next episode of a lane in the step that ends one, as an application wants it: reward and end are then of
    /// the old episode, state and observations of the new one.
    pub automatic: bool,
}

impl VectorSettings {
    /// `lanes` episodes of at most `horizon` steps of one member, without a trace.
    pub fn new(lanes: usize, horizon: usize, seed: u32) -> Self {
        Self { lanes, members: 1, horizon, seed, stream: 0, trace: false, automatic: false }
    }
}

/// Buffers that are shared with whoever acts; those that are not given are made.
#[derive(Debug, Clone, Default)]
pub struct VectorBuffers {
    /// `u32` (2): key and generation, in place of those of the settings.
    pub seed: Option<BufferView>,
    /// (lanes, actions): read by each step.
    pub actions: Option<BufferView>,
    /// (lanes, observations): what each lane sees after the step; left as it is where the episode is over.
    pub observations: Option<BufferView>,
    /// (lanes): 0 where the episode was over before.
    pub rewards: Option<BufferView>,
    /// `u32` (lanes): 0 where the episode goes on, 1 where it has ended of itself, 2 where its time is up, 3 where the lane
    /// began anew since it was asked to. Where lanes reset themselves, any but 0 says that the lane was reset, which the
    /// memory of a [`VectorPolicy`](super::VectorPolicy) reads. Whoever writes [`VectorEnvironment::RESET`] here, the host or
    /// a kernel of its own, resets a lane in the next step.
    pub ends: Option<BufferView>,
    /// (states + 1, lanes): the state of each lane, number by number, to be drawn or changed; then the sum of its rewards.
    pub state: Option<BufferView>,
}

/// Episodes of one environment on a device, all at the same step: Gymnasium's vector environment, whose `reset` and
/// `step` are dispatches. A lane whose episode is over waits there for the others, or
/// [begins the next one](VectorSettings::automatic).
///
/// Lane `e` of a [member](VectorSettings::members) plays the episode that a [`Rollout`](super::Rollout) with as many episodes
/// of each plays as its episode `e`, for the same seed and actions; after a reset of its own, that of the next generation.
///
/// ```
/// use fourfold::rollout::environments::CartPole;
/// use fourfold::rollout::{VectorEnvironment, VectorSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = fourfold::Gpu::open()?;
/// let mut environment = VectorEnvironment::new(&gpu, CartPole, &VectorSettings::new(4, 500, 7))?;
/// let mut step = environment.reset(0)?;
/// while step.ends.contains(&0) {
///     // Lean to where the pole falls.
///     let actions: Vec<f32> = step.observations.chunks(4).map(|seen| seen[2] + seen[3]).collect();
///     step = environment.step(&actions)?;
/// }
/// let episodes = environment.episodes()?;
/// assert!(episodes.lengths.iter().all(|&steps| steps > 50), "{:?}", episodes.lengths);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VectorEnvironment {
    composition: Composition,
    settings: VectorSettings,
    program: Program,
    ids: Ids,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    seed: BufferId,
    actions: BufferId,
    saved: BufferId,
    counters: BufferId,
    observations: BufferId,
    rewards: BufferId,
    ends: BufferId,
    trace: Option<BufferId>,
    reset: RecordingId,
    step: RecordingId,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VectorStep {
    /// (lanes, observations)
    pub observations: Vec<f32>,
    /// (lanes)
    pub rewards: Vec<f32>,
    /// (lanes): see [`VectorBuffers::ends`].
    pub ends: Vec<u32>,
}

impl VectorEnvironment {
    /// The end that resets a lane in the next step, for kernels of the host: see [`VectorBuffers::ends`].
    pub const RESET: u32 = ASKED;

    /// Creates buffers and pipelines; neither submits nor polls. The first thing to record is a reset.
    ///
    /// # Errors
    /// A WGSL file that lacks a function or has it with the wrong sizes, settings out of range, out of memory, or a
    /// shader that the driver refuses.
    pub fn new(gpu: &Gpu, environment: impl Environment + 'static, settings: &VectorSettings) -> Result<Self, Error> {
        Self::on_buffers(gpu, Arc::new(environment), settings, VectorBuffers::default())
    }

    /// As [`new`](Self::new), on buffers that belong to the host, an agent or another session.
    ///
    /// # Errors
    /// As [`new`](Self::new), and buffers that do not fit.
    pub fn on_buffers(
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        settings: &VectorSettings,
        buffers: VectorBuffers,
    ) -> Result<Self, Error> {
        check::check_environment(&*environment)?;
        let VectorSettings { lanes, members, horizon, seed, trace, .. } = *settings;
        for (name, value) in [("lanes", lanes), ("horizon", horizon)] {
            if value == 0 || value > u32::MAX as usize / 4 {
                return Err(Error::Settings { message: format!("{name} must be between 1 and 2^30 but is {value}") });
            }
        }
        if trace && settings.automatic {
            let message =
                "a trace holds one episode of each lane: expected `automatic: false` beside `trace: true`".into();
            return Err(Error::Settings { message });
        }
        if trace && environment.table().is_some() {
            let file = environment.file();
            let message = format!("{file} has a table, which leaves no room for a trace: expected `trace: false`");
            return Err(Error::Settings { message });
        }
        let composition = Composition { environment, trace }.without_needless_checks();
        let environment = &*composition.environment;
        let (mut plan, mut given) = (ProgramPlan::default(), Vec::new());
        let mut buffer = |allocation: Allocation, view: Option<BufferView>| {
            let id = plan.buffer(if view.is_some() { allocation.given() } else { allocation });
            given.extend(view.map(|view| (id, view)));
            id
        };
        // Sizes that no buffer has are refused by the sequence.
        let f32 = |name, width: usize| Allocation::f32(name, width.saturating_mul(lanes));
        let seed = buffer(Allocation::values("seed", Data::U32(vec![seed, 0])), buffers.seed);
        let actions = buffer(f32("actions", environment.actions()), buffers.actions);
        let saved = buffer(f32("state", composition.saved()), buffers.state);
        let counters = buffer(Allocation::u32("counters", lanes * COUNTERS), None);
        let observations = buffer(f32("observations", environment.observations()), buffers.observations);
        let rewards = buffer(f32("rewards", 1), buffers.rewards);
        let ends = buffer(Allocation::u32("ends", lanes), buffers.ends);
        let trace = trace.then(|| buffer(f32("trace", traced(environment).saturating_mul(horizon)), None));
        let operands = [seed, actions, saved, counters, observations, rewards, ends];
        let table = environment.table().map(|table| Allocation::values("table", Data::F32(table.to_vec())));
        let table = table.map(|table| buffer(table, None));
        let operands: Vec<_> = operands.into_iter().chain(trace).chain(table).collect();
        let kernel = composition.kernel();
        let workgroup = if gpu.target().software { 8 } else { 64 };
        let [reset, step] = [true, false].map(|fresh| {
            let VectorSettings { stream, automatic, .. } = *settings;
            let problem = Problem { lanes, members, horizon, fresh, automatic, stream };
            let recording = plan.recording();
            plan.sequence(recording, problem.sequence_with(&composition, kernel.clone(), workgroup), &operands);
            recording
        });
        let given: Vec<_> = given.iter().map(|(id, view)| (*id, view)).collect();
        let program = Program::new(gpu, "vector environment", plan, &given)?;
        let ids = Ids { seed, actions, saved, counters, observations, rewards, ends, trace, reset, step };
        Ok(Self { composition, settings: *settings, program, ids })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        self.program.gpu()
    }

    /// The environment.
    pub fn environment(&self) -> &dyn Environment {
        &*self.composition.environment
    }

    /// The environment, to share.
    pub(super) fn shared(&self) -> Arc<dyn Environment> {
        self.composition.environment.clone()
    }

    /// The settings.
    pub fn settings(&self) -> &VectorSettings {
        &self.settings
    }

    /// Records the reset of every lane: first observations, rewards and ends of 0.
    pub fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.reset, pass);
    }

    /// Records one step of every lane, with the actions that lie in the [buffer](Self::actions) by then.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.step, pass);
    }

    /// `u32` (2): key and generation. Another generation is other episodes.
    pub fn seed(&self) -> &BufferView {
        self.program.view(self.ids.seed)
    }

    /// (lanes, actions)
    pub fn actions(&self) -> &BufferView {
        self.program.view(self.ids.actions)
    }

    /// (lanes, observations)
    pub fn observations(&self) -> &BufferView {
        self.program.view(self.ids.observations)
    }

    /// (lanes)
    pub fn rewards(&self) -> &BufferView {
        self.program.view(self.ids.rewards)
    }

    /// `u32` (lanes)
    pub fn ends(&self) -> &BufferView {
        self.program.view(self.ids.ends)
    }

    /// (states + 1, lanes): the state of each lane, number by number, then the sum of its rewards.
    pub fn state(&self) -> &BufferView {
        self.program.view(self.ids.saved)
    }

    /// (lanes): the sum of rewards of each episode so far.
    pub fn returns(&self) -> BufferView {
        let lanes = self.settings.lanes;
        self.program.view(self.ids.saved).part(self.environment().states() * lanes, lanes)
    }

    /// `u32` (lanes): the steps of each episode so far.
    pub fn lengths(&self) -> BufferView {
        self.program.view(self.ids.counters).part(0, self.settings.lanes)
    }

    /// `u32` (3, lanes): steps so far, faults, and episodes begun since the reset, for [`check`](Self::check).
    pub(crate) fn counters(&self) -> &BufferView {
        self.program.view(self.ids.counters)
    }

    /// Bytes of the buffers that it allocated.
    pub fn bytes(&self) -> u64 {
        self.program.bytes()
    }

    /// Resets some lanes in the next step, from the next submission on.
    ///
    /// # Errors
    /// There is no lane of such a number, given ends without the usage `COPY_DST`, or the device was lost.
    pub fn reset_lanes(&self, lanes: &[usize]) -> Result<(), Error> {
        let count = self.settings.lanes;
        if let Some(lane) = lanes.iter().find(|lane| **lane >= count) {
            return Err(Error::Settings { message: format!("lanes: expected numbers below {count}, got {lane}") });
        }
        let write = |&lane: &usize| self.gpu().write("ends", &self.ends().part(lane, 1), &[Self::RESET]);
        Ok(lanes.iter().try_for_each(write)?)
    }

    /// Sets the generation for the next reset, before the next submission: lane `e` of a member is in generation `g` episode
    /// `g * lanes / members + e` of the seed.
    ///
    /// # Errors
    /// The device was lost.
    pub fn set_generation(&mut self, generation: u32) -> Result<(), Error> {
        Ok(self.program.gpu().write("seed", &self.seed().part(1, 1), &[generation])?)
    }

    /// Looks for a number that was not finite, in `u32` (3, lanes) counters.
    pub(crate) fn check(&self, counters: &[u32]) -> Result<(), Error> {
        let VectorSettings { lanes, members, .. } = self.settings;
        let (lengths, rest) = counters.split_at(lanes);
        let (faults, episodes) = rest.split_at(lanes);
        let fault = |(lane, &fault): (usize, &u32)| Some((lane, Fault::of(fault)?));
        let Some((lane, fault)) = faults.iter().enumerate().find_map(fault) else { return Ok(()) };
        let step = lengths[lane] as usize - 1;
        let function = match fault {
            Fault::Observation => "environment_observe",
            Fault::Action => return Err(Error::Action { lane, step }),
            Fault::Step => "environment_step",
        };
        let file = self.environment().file().into();
        let of_member = lanes / members;
        let episode = episodes[lane] as usize * of_member + lane % of_member;
        Err(Error::Fault { file, function, member: lane / of_member, episode, step })
    }
}

impl VectorEnvironment {
    /// Starts episodes of a generation, and waits for what is seen first.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn reset_async(&mut self, generation: u32) -> Result<VectorStep, Error> {
        self.set_generation(generation)?;
        self.program.submit(self.ids.reset)?;
        self.seen().await
    }

    /// Takes a step with the actions of the host, (lanes, actions), and waits for what came of it.
    ///
    /// # Errors
    /// Actions of another length, a given buffer of actions without the usage `COPY_DST`, or the device was lost.
    pub async fn step_async(&mut self, actions: &[f32]) -> Result<VectorStep, Error> {
        let expected = self.settings.lanes * self.environment().actions();
        if actions.len() != expected {
            let message = format!("a step takes {expected} numbers of action, not {}", actions.len());
            return Err(Error::Settings { message });
        }
        self.program.write(self.ids.actions, actions)?;
        self.program.submit(self.ids.step)?;
        self.seen().await
    }

    async fn seen(&self) -> Result<VectorStep, Error> {
        let Ids { observations, rewards, ends, .. } = self.ids;
        let [observations, rewards, ends] = self.program.read_async([observations, rewards, ends]).await?;
        let (observations, rewards) = (observations.f32().to_vec(), rewards.f32().to_vec());
        Ok(VectorStep { observations, rewards, ends: ends.u32().to_vec() })
    }

    /// Returns true if every episode is over, or stopped at a number that is not finite. Waits for a few bytes of each
    /// lane.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn is_over_async(&self) -> Result<bool, Error> {
        let [counters, ends] = self.program.read_async([self.ids.counters, self.ids.ends]).await?;
        let faults = &counters.u32()[self.settings.lanes..][..self.settings.lanes];
        Ok(ends.u32().iter().zip(faults).all(|(&end, &fault)| end == 1 || end == 2 || fault != 0))
    }

    /// Waits for returns and lengths of the episodes, as far as they have gone.
    ///
    /// # Errors
    /// A number that was not finite, or the device was lost.
    pub async fn episodes_async(&self) -> Result<Episodes, Error> {
        let [saved, counters] = self.program.read_async([self.ids.saved, self.ids.counters]).await?;
        self.check(counters.u32())?;
        let lanes = self.settings.lanes;
        // Returns follow the states.
        let returns = saved.f32()[self.environment().states() * lanes..][..lanes].to_vec();
        Ok(Episodes { returns, lengths: counters.u32()[..lanes].to_vec() })
    }

    /// Waits for every step that was taken since the reset.
    ///
    /// # Errors
    /// As [`episodes_async`](Self::episodes_async), and settings without a trace.
    pub async fn trace_async(&self) -> Result<Trace, Error> {
        let Some(trace) = self.ids.trace else {
            return Err(Error::Settings { message: "a trace needs `VectorSettings { trace: true, .. }`".into() });
        };
        let [counters, trace] = self.program.read_async([self.ids.counters, trace]).await?;
        self.check(counters.u32())?;
        Ok(Trace::of_lanes(self.environment(), &counters.u32()[..self.settings.lanes], trace.f32()))
    }
}

/// The blocking forms.
#[cfg(not(target_arch = "wasm32"))]
impl VectorEnvironment {
    /// Blocks, as [`VectorEnvironment::reset_async`].
    ///
    /// # Errors
    /// As [`VectorEnvironment::reset_async`].
    pub fn reset(&mut self, generation: u32) -> Result<VectorStep, Error> {
        self.gpu().clone().block_on(self.reset_async(generation))
    }

    /// Blocks, as [`VectorEnvironment::step_async`].
    ///
    /// # Errors
    /// As [`VectorEnvironment::step_async`].
    pub fn step(&mut self, actions: &[f32]) -> Result<VectorStep, Error> {
        self.gpu().clone().block_on(self.step_async(actions))
    }

    /// Blocks, as [`VectorEnvironment::is_over_async`].
    ///
    /// # Errors
    /// As [`VectorEnvironment::is_over_async`].
    pub fn is_over(&self) -> Result<bool, Error> {
        self.gpu().block_on(self.is_over_async())
    }

    /// Blocks, as [`VectorEnvironment::episodes_async`].
    ///
    /// # Errors
    /// As [`VectorEnvironment::episodes_async`].
    pub fn episodes(&self) -> Result<Episodes, Error> {
        self.gpu().block_on(self.episodes_async())
    }

    /// Blocks, as [`VectorEnvironment::trace_async`].
    ///
    /// # Errors
    /// As [`VectorEnvironment::trace_async`].
    pub fn trace(&self) -> Result<Trace, Error> {
        self.gpu().block_on(self.trace_async())
    }
}
