//! Cart-poles that one policy drives: world, wires and policy, a dispatch each.

use std::sync::Arc;

use fourfold::graph::{Graph, Plan, Session, Tag, TensorType};
use fourfold::models::{PolicyNetwork, TrainedPolicy};
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{PolicyBuffers, VectorBuffers, VectorEnvironment, VectorPolicy, VectorSettings};
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu, wgpu};

use super::sensors::{Sensors, Sources};
use crate::Error;

/// Cart-poles of a side, a row of eight rows.
pub(super) const LANES: usize = 64;

/// Episodes of a seed before those of the next one come.
const EPISODES: u32 = 1 << 16;

/// Cart-poles and their driver.
#[derive(Debug)]
pub(super) struct Poles {
    world: VectorEnvironment,
    trained: TrainedPolicy,
    sensors: Sensors,
    policy: VectorPolicy,
    /// Adds to the spin of each pole.
    kick: Session,
    /// True before the first step.
    fresh: bool,
}

/// The numbers of all cart-poles that came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// (states + 1, lanes)
    state: Vec<f32>,
    pub(super) rewards: Vec<f32>,
    lengths: Vec<u32>,
}

impl Seen {
    /// The state `(x, v, angle, spin)` of a lane.
    pub(super) fn state(&self, lane: usize) -> [f32; 4] {
        std::array::from_fn(|number| self.state.get(number * LANES + lane).copied().unwrap_or(0.0))
    }

    /// The share of poles within 30 degrees of upright.
    pub(super) fn up(&self) -> f64 {
        let up = (0..LANES).filter(|&lane| !self.rewards.is_empty() && self.state(lane)[2].cos() > 0.866).count();
        up as f64 / LANES as f64
    }

    /// The mean reward of the last step.
    pub(super) fn reward(&self) -> f64 {
        let sum: f64 = self.rewards.iter().map(|&reward| f64::from(reward)).sum();
        sum / self.rewards.len().max(1) as f64
    }

    /// Carts that have left the track since `before`.
    pub(super) fn left(&self, before: &Self) -> u64 {
        self.lengths.iter().zip(&before.lengths).filter(|(now, before)| now < before).count() as u64
    }
}

impl Poles {
    pub(super) fn new(gpu: &Gpu, trained: TrainedPolicy, easy: bool, from: Sources, seed: u32) -> Result<Self, Error> {
        // A pole plays until its cart leaves the track.
        let settings = VectorSettings { automatic: true, ..VectorSettings::new(LANES, 1 << 29, 7) };
        let environment = Arc::new(CartPoleSwingUp { easy });
        let world = VectorEnvironment::on_buffers(gpu, environment, &settings, VectorBuffers::default())?;
        let (sensors, policy) = wired(gpu, &world, &trained, from)?;
        let kick = kick(gpu, world.state())?;
        let mut poles = Self { world, trained, sensors, policy, kick, fresh: true };
        poles.reset(seed)?;
        Ok(poles)
    }

    /// The policy with its weights.
    pub(super) fn trained(&self) -> &TrainedPolicy {
        &self.trained
    }

    /// Wires the inputs to other sources, in the plain order; the poles stay where they are, the policy forgets.
    pub(super) fn rewire(&mut self, gpu: &Gpu, from: Sources) -> Result<(), Error> {
        (self.sensors, self.policy) = wired(gpu, &self.world, &self.trained, from)?;
        Ok(())
    }

    /// The sources of the inputs of a lane.
    pub(super) fn order(&self, lane: usize) -> &[u32] {
        self.sensors.order(lane)
    }

    /// Begins anew at the next step, in the plain order.
    pub(super) fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.fresh = true;
        self.sensors.straighten()?;
        self.sensors.reseed(seed)?;
        Ok(self.world.set_generation(seed.wrapping_mul(EPISODES))?)
    }

    pub(super) fn shuffle(&mut self, seed: u32) -> Result<(), Error> {
        self.sensors.shuffle(seed)
    }

    /// Adds to the spins of the lanes, before the next step.
    pub(super) fn kick(&mut self, spins: Vec<f32>) -> Result<(), Error> {
        self.kick.write("kick", &Data::F32(spins))?;
        Ok(self.kick.submit(1)?)
    }

    /// Encodes that the policy forgets what it has seen.
    pub(super) fn encode_forget(&self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        Ok(self.policy.encode_restart(encoder, 0..LANES)?)
    }

    /// Encodes the beginning where it has not been yet.
    pub(super) fn encode_beginning(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        if std::mem::take(&mut self.fresh) {
            self.encode_forget(encoder)?;
            self.world.record_reset(&mut encoder.begin_compute_pass(&Default::default()));
        }
        Ok(())
    }

    /// Records a step.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.sensors.record(pass);
        self.policy.record(pass);
        self.world.record(pass);
    }

    /// What is read back of all lanes: what [`seen`](Self::seen) takes.
    pub(super) fn views(&self) -> [(BufferView, Element); 3] {
        let world = &self.world;
        [
            (world.state().clone(), Element::F32),
            (world.rewards().clone(), Element::F32),
            (world.lengths(), Element::U32),
        ]
    }

    pub(super) fn seen(values: &[Data]) -> Option<Seen> {
        let [state, rewards, lengths] = values else { return None };
        Some(Seen { state: state.f32().to_vec(), rewards: rewards.f32().to_vec(), lengths: lengths.u32().to_vec() })
    }

    /// What is read back of one lane: memory, inputs and action of its policy.
    pub(super) fn views_of(&self, lane: usize) -> [(BufferView, Element); 3] {
        let memory = self.policy.memory();
        let part = |view: &BufferView| {
            let width = view.elements() / LANES;
            (view.part(lane * width, width), Element::F32)
        };
        [part(memory), part(self.sensors.inputs()), part(self.world.actions())]
    }
}

/// Wires and policy on the buffers of a world. An attention neuron takes every source, another policy as many as it has
/// inputs.
fn wired(
    gpu: &Gpu,
    world: &VectorEnvironment,
    trained: &TrainedPolicy,
    from: Sources,
) -> Result<(Sensors, VectorPolicy), Error> {
    let width = world.environment().observations();
    let (taken, driver) = match trained.network() {
        PolicyNetwork::AttentionNeuron(network) => {
            let mut network = *network;
            // The message of repeated inputs is that of one of each.
            network.factor /= from.copies as f32;
            let network = PolicyNetwork::AttentionNeuron(network);
            let driver = TrainedPolicy::new(network, trained.interface(), trained.weights().to_vec())?;
            let taken = from.count(width);
            (taken, driver.with_observations(taken)?)
        }
        _ => (trained.interface().inputs, trained.clone()),
    };
    let sensors = Sensors::new(gpu, world.observations(), [LANES, width], from, taken)?;
    let buffers = PolicyBuffers {
        begins: Some(world.ends().clone()),
        ..PolicyBuffers::new(sensors.inputs().clone(), world.actions().clone())
    };
    let policy = driver.on_buffers(gpu, buffers)?;
    Ok((sensors, policy))
}

/// A graph that adds to the spin of each pole: number 3 of the state, whose last row is the sum of rewards.
fn kick(gpu: &Gpu, state: &BufferView) -> Result<Session, Error> {
    let graph = Graph::new();
    let rows = state.elements() / LANES;
    let poles = graph.state("state", Tag::Bookkeeping, TensorType::f32([rows, LANES]));
    let kick = graph.input("kick", TensorType::f32([LANES]));
    graph.assign(poles, poles + kick.reshape([1, LANES]).pad(&[3, 0], [rows, LANES]));
    Ok(Session::builder(gpu, Plan::new(&graph, &gpu.target())?).on_buffer("state", state.clone()).build()?)
}
