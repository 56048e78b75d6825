//! A policy that sees, acting in many lanes on pictures as bytes, and whole episodes of it in a world that is seen.

use std::sync::Arc;

use fourfold_shaders::random::threefry::Random;
use fourfold_shaders::vision::{ABSENT, Problem, VisionNetwork, slots_of};
use fourfold_shaders::{Data, Target};

use super::{
    Environment, Episodes, Error, Pictures, VectorBuffers, VectorEnvironment, VectorSettings, reactive_head, shuffled,
};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};
use crate::graph::Session;

/// Which patch each slot of a lane's retina sees, as a sensor between world and network: frames are shuffled before they are
/// stacked. Of an AttentionAgent, whose patches overlap, it wires the [squares](VisionNetwork::patches) of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchWiring {
    patches: usize,
    phases: usize,
    interval: usize,
    /// (lanes, phases, patches), with [`ABSENT`] added where a slot sees nothing.
    wiring: Vec<u32>,
}

impl PatchWiring {
    /// Every slot sees its own patch.
    pub fn plain(lanes: usize, patches: usize) -> Self {
        let wiring = (0..patches as u32).collect::<Vec<_>>().repeat(lanes);
        Self { patches, phases: 1, interval: 1, wiring }
    }

    /// A permutation for each lane, drawn from `seed`; with an `interval` another one every so many steps, up to `horizon`.
    ///
    /// # Panics
    /// If they are more numbers than a buffer holds: 2^31 or more.
    pub fn shuffled(seed: u32, lanes: usize, patches: usize, interval: Option<usize>, horizon: usize) -> Self {
        let interval = interval.unwrap_or(horizon).max(1);
        let phases = horizon.div_ceil(interval).max(1);
        let wiring = shuffled(seed, lanes, phases, patches, false).u32().to_vec();
        Self { patches, phases, interval, wiring }
    }

    /// Given orders, `(lanes, phases, patches)`: which patch each slot sees, each a permutation, in phases of `interval` steps.
    /// The last goes on. With [`ABSENT`] added a slot sees nothing.
    ///
    /// # Panics
    /// If there are no patches, phases or steps, or the order is not one of whole lanes.
    pub fn given(patches: usize, phases: usize, interval: usize, wiring: Vec<u32>) -> Self {
        assert!(patches > 0 && phases > 0 && interval > 0, "patches, phases and steps of a wiring");
        assert!(wiring.len().is_multiple_of(patches * phases), "a wiring of whole lanes");
        Self { patches, phases, interval, wiring }
    }

    /// The same with this share of the slots of each lane, drawn from `seed` and rounded down, seeing nothing at all in the
    /// whole episode: their patches are absent, not black, but to an AttentionAgent, which looks at whole pictures.
    pub fn occluded(mut self, seed: u32, share: f64) -> Self {
        const STREAM: u32 = 0x0CC1_0DED;
        let mut random = Random::new(seed, STREAM);
        let dropped = (self.patches as f64 * share.clamp(0.0, 1.0)) as usize;
        for lane in self.wiring.chunks_exact_mut(self.phases * self.patches) {
            let mut slots: Vec<u32> = (0..self.patches as u32).collect();
            random.shuffle(&mut slots);
            for phase in lane.chunks_exact_mut(self.patches) {
                slots[..dropped].iter().for_each(|&slot| phase[slot as usize] |= ABSENT);
            }
        }
        self
    }

    /// Returns `(lanes, phases, patches)`: which patch each slot sees, with [`ABSENT`] added where it sees nothing.
    pub fn orders(&self) -> &[u32] {
        &self.wiring
    }

    /// Lanes that it is for.
    pub fn lanes(&self) -> usize {
        self.wiring.len() / (self.phases * self.patches).max(1)
    }

    /// Lanes, patches, phases and steps of a phase.
    fn sizes(&self) -> [usize; 4] {
        [self.lanes(), self.patches, self.phases, self.interval]
    }
}

/// The buffers that a policy which sees acts on.
#[derive(Debug, Clone)]
pub struct VisionBuffers {
    /// `u32` (lanes, [words](super::PictureSize::words)): bytes row by row, the channels of a pixel side by side, the first in
    /// the lowest bits; [`Pictures::pictures`].
    pub pictures: BufferView,
    /// `u32` (lanes): steps since the episode began, 0 where it begins; [`VectorEnvironment::lengths`].
    pub times: BufferView,
    /// `u32` (lanes): 1 or 2 where it is over; [`VectorEnvironment::ends`].
    pub ends: BufferView,
    /// (lanes, actions): written by each step.
    pub actions: Option<BufferView>,
}

/// A network that sees in many lanes, each with a memory of its own: a step is five dispatches, three of an AttentionAgent, and
/// three of a network that remembers nothing, with those of a graph behind them. Weights are those of one member, or of several
/// that share the lanes out, one member's after another's.
#[derive(Debug)]
pub struct VisionPolicy {
    network: VisionNetwork,
    program: Program,
    ids: Ids,
    /// Lanes, patches, phases and steps of a phase.
    wired: [usize; 4],
    /// The head of a network that remembers nothing, behind its messages.
    head: Option<Session>,
    /// Bytes of weights of its own.
    uploaded: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    weights: BufferId,
    listed: BufferId,
    wiring: BufferId,
    order: Option<BufferId>,
    messages: Option<BufferId>,
    memory: Option<BufferId>,
    importance: Option<BufferId>,
    chosen: Option<BufferId>,
    tables: RecordingId,
    act: RecordingId,
}

impl VisionPolicy {
    /// Uploads the weights, (members, parameters), and creates buffers and pipelines; neither submits nor polls. Tables have to
    /// be [recorded](Self::record_tables) before the first step. `pedals` says that all numbers of an action but the first go
    /// from 0 to 1, as in CarRacing.
    ///
    /// # Errors
    /// Sizes out of range, weights or buffers of another length, out of memory, or a shader that the driver refuses.
    pub fn new(
        gpu: &Gpu,
        network: VisionNetwork,
        weights: &[f32],
        wiring: PatchWiring,
        pedals: bool,
        buffers: VisionBuffers,
    ) -> Result<Self, Error> {
        let weights = gpu.upload("weights", &Data::F32(weights.to_vec()))?;
        let size = weights.size;
        let policy = Self::on_weights(gpu, network, weights, wiring, pedals, buffers)?;
        Ok(Self { uploaded: size, ..policy })
    }

    /// As [`new`](Self::new), on weights in a buffer of somebody else's, who may change them between steps and then records the
    /// tables again.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_weights(
        gpu: &Gpu,
        network: VisionNetwork,
        weights: BufferView,
        wiring: PatchWiring,
        pedals: bool,
        buffers: VisionBuffers,
    ) -> Result<Self, Error> {
        network.check().map_err(crate::gpu::Error::from)?;
        let (parameters, patches) = (network.parameters(), network.patches());
        let refuse = |message: String| Err(Error::Settings { message });
        let got = weights.elements();
        if got == 0 || !got.is_multiple_of(parameters) {
            return refuse(format!("weights: expected {parameters} numbers for each member, got {got}"));
        }
        let (members, lanes) = (got / parameters, wiring.lanes());
        if wiring.patches != patches || lanes == 0 || !lanes.is_multiple_of(members) {
            return refuse(format!(
                "wiring: expected {patches} patches for a multiple of {members} lanes, got {} for {lanes}",
                wiring.patches
            ));
        }
        let (wired, phases, interval) = (wiring.sizes(), wiring.phases, wiring.interval);
        let problem = Problem { members, groups: lanes / members, phases, interval, pedals };
        let (mut plan, mut given) = (ProgramPlan::default(), Vec::new());
        let mut give = |plan: &mut ProgramPlan, allocation: Allocation, view: BufferView| {
            let (name, expected, got) = (allocation.name.clone(), allocation.length, view.elements());
            if got != expected {
                return Err(Error::Settings { message: format!("{name}: expected {expected} numbers, got {got}") });
            }
            let id = plan.buffer(allocation.given());
            given.push((id, view));
            Ok(id)
        };
        let pictures = give(&mut plan, Allocation::u32("pictures", problem.pictures(&network)), buffers.pictures)?;
        let times = give(&mut plan, Allocation::u32("times", lanes), buffers.times)?;
        let ends = give(&mut plan, Allocation::u32("ends", lanes), buffers.ends)?;
        let decided = Allocation::f32("actions", lanes * network.actions());
        let actions = match buffers.actions {
            Some(view) => give(&mut plan, decided, view)?,
            None => plan.buffer(decided.zeros()),
        };
        let weights = give(&mut plan, Allocation::f32("weights", got), weights)?;
        let order = Data::U32(slots_of(&wiring.wiring, patches));
        let wiring = plan.buffer(Allocation::values("wiring", Data::U32(wiring.wiring)));
        let listed = plan.buffer(Allocation::u32("listed", problem.listed(&network)).zeros());
        let target: &Target = &gpu.target();
        let (prepare, act) = (plan.recording(), plan.recording());
        let mut ids = Ids {
            weights,
            listed,
            wiring,
            order: None,
            messages: None,
            memory: None,
            importance: None,
            chosen: None,
            tables: prepare,
            act,
        };
        let reacts = matches!(network, VisionNetwork::Reactive(_));
        let votes = (!reacts).then(|| {
            let memory = plan.buffer(Allocation::f32("memory", lanes * network.memory()).zeros());
            let votes = plan.buffer(Allocation::f32("votes", problem.votes(&network)).zeros());
            ids.memory = Some(memory);
            (votes, memory, actions)
        });
        if network.layer().is_some() {
            let order = plan.buffer(Allocation::values("order", order));
            let positions = plan.buffer(Allocation::values("positions", Data::F32(network.position_rows())));
            let tables = plan.buffer(Allocation::f32("tables", problem.tables(&network)));
            let history = plan.buffer(Allocation::u32("history", problem.history(&network)).zeros());
            let sensed = plan.buffer(Allocation::f32("sensed", problem.sensed(&network)).zeros());
            let messages = plan.buffer(Allocation::f32("messages", problem.messages(&network)).zeros());
            (ids.messages, ids.order) = (Some(messages), Some(order));
            plan.sequence(prepare, problem.tables_sequence(&network, target), &[weights, tables]);
            let retina = [pictures, times, ends, wiring, tables, history, sensed];
            plan.sequence(act, problem.retina_sequence(&network, target), &retina);
            plan.sequence(act, problem.gather_sequence(&network, target), &[times, ends, sensed, listed, order]);
            let mut attend = vec![positions, sensed, listed, weights];
            attend.extend(votes.map(|(_, memory, _)| memory));
            attend.push(messages);
            attend.extend(votes.map(|(votes, ..)| votes));
            plan.sequence(act, problem.attend_sequence(&network, target), &attend);
        } else if let Some((votes, ..)) = votes {
            let look = [pictures, times, ends, wiring, weights, listed, votes];
            plan.sequence(act, problem.look_sequence(&network, target), &look);
        }
        if let Some((votes, memory, actions)) = votes {
            let importance = plan.buffer(Allocation::f32("importance", problem.voters(&network)).zeros());
            let chosen = plan.buffer(Allocation::u32("chosen", problem.chosen(&network)).zeros());
            plan.sequence(act, problem.vote_sequence(&network, target), &[listed, votes, importance, chosen]);
            let decide = [listed, weights, chosen, memory, actions];
            plan.sequence(act, problem.decide_sequence(&network, target), &decide);
            (ids.importance, ids.chosen) = (Some(importance), Some(chosen));
        }
        let given: Vec<_> = given.iter().map(|(id, view)| (*id, view)).collect();
        let program = Program::new(gpu, "vision policy", plan, &given)?;
        let head = match (&network, ids.messages) {
            (VisionNetwork::Reactive(network), Some(messages)) => {
                let buffers = [messages, ids.weights, actions].map(|id| program.view(id));
                Some(reactive_head::head(gpu, network, members, pedals, buffers)?)
            }
            _ => None,
        };
        Ok(Self { network, program, ids, wired, head, uploaded: 0 })
    }

    /// The network.
    pub fn network(&self) -> &VisionNetwork {
        &self.network
    }

    /// (members, parameters): whoever changes them records the tables again.
    pub fn weights(&self) -> &BufferView {
        self.program.view(self.ids.weights)
    }

    /// (lanes, messages, dimension): the messages, or their rolling averages where the network drives; an AttentionAgent has
    /// none.
    pub fn messages(&self) -> Option<&BufferView> {
        self.ids.messages.map(|id| self.program.view(id))
    }

    /// `u32` (lanes, 3 + patches): 0 where the episode is over, 1 where it begins, 2 where it goes on; how many patches moved;
    /// how many are at rest; and those that moved. Of an AttentionAgent (lanes), the first of these numbers alone.
    pub fn listed(&self) -> &BufferView {
        self.program.view(self.ids.listed)
    }

    /// (lanes, numbers): the LSTM's state, the last action from -1 to 1 and, but for an AttentionAgent, the share of the old
    /// message in the next average.
    pub fn memory(&self) -> Option<&BufferView> {
        self.ids.memory.map(|id| self.program.view(id))
    }

    /// (lanes, messages): the importance of each row of the message, or of each patch of an AttentionAgent.
    pub fn importance(&self) -> Option<&BufferView> {
        self.ids.importance.map(|id| self.program.view(id))
    }

    /// `u32` (lanes, top): the most important rows of the message, or patches of an AttentionAgent, in descending order.
    pub fn chosen(&self) -> Option<&BufferView> {
        self.ids.chosen.map(|id| self.program.view(id))
    }

    /// Wires the slots to other patches, from the next submission on: a shuffle while an episode goes on.
    ///
    /// # Errors
    /// A wiring of other lanes, patches, phases or steps of a phase, or the device was lost.
    pub fn rewire(&self, wiring: &PatchWiring) -> Result<(), Error> {
        if wiring.sizes() != self.wired {
            let named = |[lanes, patches, phases, interval]: [usize; 4]| {
                format!("{lanes} lanes, {patches} patches, phases: {phases} of {interval} steps")
            };
            let (expected, got) = (named(self.wired), named(wiring.sizes()));
            return Err(Error::Settings { message: format!("wiring: expected {expected}, got {got}") });
        }
        self.program.write(self.ids.wiring, &wiring.wiring)?;
        if let Some(order) = self.ids.order {
            self.program.write(order, &slots_of(&wiring.wiring, wiring.patches))?;
        }
        Ok(())
    }

    /// Records that the tables are made of the weights.
    pub fn record_tables(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.tables, pass);
    }

    /// Records one step of every lane whose episode is not over.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.act, pass);
        if let Some(head) = &self.head {
            head.record(pass);
        }
    }

    /// Bytes of the buffers that it allocated.
    pub fn bytes(&self) -> u64 {
        let head = self.head.as_ref().map_or(0, |head| head.plan().total_bytes() as u64);
        self.program.bytes() + self.uploaded + head
    }
}

/// Episodes of a network in a world that is seen: a step of every lane is seven dispatches of a network that drives (picture,
/// retina, gather, attend, vote, decide, step), five of an AttentionAgent, and many steps are one submission.
#[derive(Debug)]
pub struct VisionRollout {
    environment: VectorEnvironment,
    pictures: Pictures,
    policy: VisionPolicy,
}

impl VisionRollout {
    /// Creates buffers and pipelines for the lanes of `settings`; neither submits nor polls.
    ///
    /// # Errors
    /// As [`VectorEnvironment::on_buffers`], [`Pictures::on_buffer`] and [`VisionPolicy::new`], a picture of another size than
    /// the network's, or a network of other actions than the world's.
    pub fn new(
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        settings: &VectorSettings,
        network: VisionNetwork,
        weights: &[f32],
        wiring: PatchWiring,
    ) -> Result<Self, Error> {
        let weights = gpu.upload("weights", &Data::F32(weights.to_vec()))?;
        Self::on_weights(gpu, environment, settings, network, weights, wiring, None)
    }

    /// As [`new`](Self::new), on weights `(members, parameters)` in a buffer of somebody else's, who may change them before a
    /// reset, and with `seed`, `u32` (2), on key and generation of somebody else's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_weights(
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        settings: &VectorSettings,
        network: VisionNetwork,
        weights: BufferView,
        wiring: PatchWiring,
        seed: Option<BufferView>,
    ) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Settings { message });
        let expected = network.actions();
        let (size, seen) = (environment.picture(), network.picture());
        if size != Some(seen) {
            let got = size.map_or("none".into(), |size| size.to_string());
            return refuse(format!("{}: expected a picture of {seen}, got {got}", environment.file()));
        }
        if environment.actions() != expected {
            let got = environment.actions();
            return refuse(format!("{}: expected {expected} numbers in an action, got {got}", environment.file()));
        }
        if wiring.lanes() != settings.lanes {
            return refuse(format!("wiring: expected {} lanes, got {}", settings.lanes, wiring.lanes()));
        }
        let shared = VectorBuffers { seed, ..VectorBuffers::default() };
        let environment = VectorEnvironment::on_buffers(gpu, environment, settings, shared)?;
        let pictures = Pictures::of(&environment)?;
        let buffers = VisionBuffers {
            pictures: pictures.pictures().clone(),
            times: environment.lengths(),
            ends: environment.ends().clone(),
            actions: Some(environment.actions().clone()),
        };
        let policy = VisionPolicy::on_weights(gpu, network, weights, wiring, true, buffers)?;
        Ok(Self { environment, pictures, policy })
    }

    /// The world.
    pub fn environment(&self) -> &VectorEnvironment {
        &self.environment
    }

    /// Its pictures.
    pub fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// The network in it.
    pub fn policy(&self) -> &VisionPolicy {
        &self.policy
    }

    /// Bytes of the buffers of world, pictures and network.
    pub fn bytes(&self) -> u64 {
        self.environment.bytes() + self.pictures.bytes() + self.policy.bytes()
    }

    /// Records the start of every episode, and the tables of the weights.
    pub fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.environment.record_reset(pass);
        self.policy.record_tables(pass);
    }

    /// Records a step of every lane: what it sees, what it does, and what comes of it.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.pictures.record(pass);
        self.policy.record(pass);
        self.environment.record(pass);
    }

    /// Plays the episodes of a generation to their ends, `steps` steps to a submission, and waits for the results. After each
    /// submission `progress` is told how many steps were taken.
    ///
    /// # Errors
    /// A number that was not finite, or the device was lost.
    pub async fn run_async(
        &mut self,
        generation: u32,
        steps: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<Episodes, Error> {
        self.environment.set_generation(generation)?;
        let gpu = self.environment.gpu().clone();
        gpu.submit_pass("vision rollout", |pass| self.record_reset(pass))?;
        let (horizon, mut taken) = (self.environment.settings().horizon, 0);
        while taken < horizon {
            let count = steps.clamp(1, horizon - taken);
            gpu.submit_pass("vision rollout", |pass| (0..count).for_each(|_| self.record(pass)))?;
            taken += count;
            let over = self.environment.is_over_async().await?;
            progress(taken);
            if over {
                break;
            }
        }
        self.environment.episodes_async().await
    }

    /// Blocks, as [`run_async`](Self::run_async).
    ///
    /// # Errors
    /// As [`run_async`](Self::run_async).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&mut self, generation: u32, steps: usize, progress: impl FnMut(usize)) -> Result<Episodes, Error> {
        let gpu = self.environment.gpu().clone();
        gpu.block_on(self.run_async(generation, steps, progress))
    }
}
