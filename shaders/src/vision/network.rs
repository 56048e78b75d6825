//! The part that the kernels of this folder share: the network whose sizes are compiled in, and the sizes of a dispatch.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::{AttentionAgent, DrivingNetwork, ReactiveNetwork, VisionNeuron};
use crate::description::joined::joined;
use crate::rollout::unroll::PictureSize;
use crate::{Binding, Call, Data, Error, Kernel, KernelRef, Operand, Sequence, Sizes, Target, Tolerance};

/// A network that sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisionNetwork {
    /// One that drives: all of it is kernels of this folder.
    Driving(DrivingNetwork),
    /// One that remembers nothing: the kernels of this folder end with its messages.
    Reactive(ReactiveNetwork),
    /// One that drives without the attention neuron: all of it is kernels of this folder.
    Agent(AttentionAgent),
}

impl From<DrivingNetwork> for VisionNetwork {
    fn from(network: DrivingNetwork) -> Self {
        Self::Driving(network)
    }
}

impl From<ReactiveNetwork> for VisionNetwork {
    fn from(network: ReactiveNetwork) -> Self {
        Self::Reactive(network)
    }
}

impl From<AttentionAgent> for VisionNetwork {
    fn from(network: AttentionAgent) -> Self {
        Self::Agent(network)
    }
}

/// The controller behind a vote: how many rows vote, and the sizes of what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Controller {
    pub voters: usize,
    pub top: usize,
    pub hidden: usize,
    pub actions: usize,
}

impl VisionNetwork {
    /// The published networks that drive: with the attention neuron, and the AttentionAgent.
    pub fn published_drivers() -> [Self; 2] {
        [DrivingNetwork::car_racing().into(), AttentionAgent::car_racing().into()]
    }

    /// The attention neuron that sees, of a network that has one.
    pub fn layer(&self) -> Option<&VisionNeuron> {
        match self {
            Self::Driving(network) => Some(&network.layer),
            Self::Reactive(network) => Some(&network.layer),
            Self::Agent(_) => None,
        }
    }

    /// The layer of a network that is known to have one.
    pub(super) fn neuron(&self) -> &VisionNeuron {
        self.layer().expect("a sequence of the neuron's refuses networks without one")
    }

    /// The size of the pictures that it sees.
    pub fn picture(&self) -> PictureSize {
        match self {
            Self::Agent(agent) => agent.picture(),
            _ => PictureSize::grey(self.neuron().rows, self.neuron().columns),
        }
    }

    /// Parts of a picture that a wiring puts in an order: the patches of the attention neuron, or the squares by which the
    /// AttentionAgent's picture is shuffled.
    pub fn patches(&self) -> usize {
        match self {
            Self::Agent(agent) => agent.blocks(),
            _ => self.neuron().patches(),
        }
    }

    /// Numbers in an action.
    pub fn actions(&self) -> usize {
        match self {
            Self::Driving(network) => network.actions,
            Self::Reactive(network) => network.actions(),
            Self::Agent(network) => network.actions,
        }
    }

    /// The controller of a network that drives.
    ///
    /// # Errors
    /// It does not drive.
    pub(super) fn controller(&self) -> Result<Controller, Error> {
        match self {
            Self::Driving(DrivingNetwork { layer, top, hidden, actions, .. }) => {
                Ok(Controller { voters: layer.messages, top: *top, hidden: *hidden, actions: *actions })
            }
            Self::Agent(agent) => {
                let AttentionAgent { top, hidden, actions, .. } = *agent;
                Ok(Controller { voters: agent.patches(), top, hidden, actions })
            }
            Self::Reactive(_) => Err(self.is_not("one that drives")),
        }
    }

    /// The error of a network of another kind.
    pub(super) fn is_not(&self, expected: &str) -> Error {
        let got = match self {
            Self::Driving(_) => "one that drives",
            Self::Reactive(_) => "one that remembers nothing",
            Self::Agent(_) => "an attention agent",
        };
        Error::Size { problem: "vision neuron", size: "network".into(), expected: expected.into(), got: got.into() }
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Driving(network) => network.parameters(),
            Self::Reactive(network) => network.parameters(),
            Self::Agent(network) => network.parameters(),
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Driving(network) => network.check(),
            Self::Reactive(network) => network.check(),
            Self::Agent(network) => network.check(),
        }
    }

    /// Numbers that a lane of a driving network remembers beside its rolling average: the LSTM's state, the last action and,
    /// where it has an average, the share of the old message; 0 for others.
    pub fn memory(&self) -> usize {
        match self {
            Self::Driving(network) => 2 * network.hidden + network.actions + 1,
            Self::Reactive(_) => 0,
            Self::Agent(network) => 2 * network.hidden + network.actions,
        }
    }

    /// Numbers of a lane's list: its state and, with the attention neuron, which patches moved.
    pub(super) fn list_row(&self) -> usize {
        self.layer().map_or(1, |layer| LIST + layer.patches())
    }

    /// Vectors of four numbers in a row of scores: one for each position, the query's bias, and the kind of the patch.
    pub(super) fn scores(&self) -> usize {
        (self.neuron().positions + 2).div_ceil(4)
    }

    /// Vectors of four numbers in a row of values.
    pub(super) fn values(&self) -> usize {
        self.neuron().dimension / 4
    }

    /// Numbers of a row of [`sensed`](Problem::sensed).
    pub(super) fn sensed_row(&self) -> usize {
        4 * (self.scores() + self.values())
    }

    /// Vectors of four numbers before the values, the sums over time, the biases, and in all of a member's tables.
    pub(super) fn table_places(&self) -> [usize; 4] {
        let layer = self.neuron();
        let pixels = layer.pixels();
        let value = (layer.stack - 1) * pixels * self.scores();
        let rest = value + layer.stack * pixels * self.values();
        let bias = rest + pixels * self.values();
        [value, rest, bias, bias + self.values()]
    }

    /// The table of positions as the kernels of the attention neuron take it: a row has its positions, a one, and zeros.
    ///
    /// # Panics
    /// If the network has no [layer](Self::layer).
    pub fn position_rows(&self) -> Vec<f32> {
        let (layer, width) = (self.neuron(), 4 * self.scores());
        let mut rows = vec![0.0; layer.messages * width];
        for (row, positions) in rows.chunks_exact_mut(width).zip(layer.position_table().chunks_exact(layer.positions)) {
            row.iter_mut().zip(positions).for_each(|(number, position)| *number = *position as f32);
            row[layer.positions] = 1.0;
        }
        rows
    }
}

/// The WGSL of the lanes, which all kernels share.
const LANES: &str = wgsl!("lanes.wgsl");

/// The place of an invocation in a grid.
pub(super) const PLACE: &str = wgsl!("../library/place.wgsl");

/// The uniform block of every kernel of this folder.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub lanes: u32,
    pub groups: u32,
    pub phases: u32,
    pub interval: u32,
    pub pedals: u32,
}

impl Uniform {
    /// The wiring of a lane's slot at a time: the patch, and whether it is absent.
    pub(super) fn wired(&self, wiring: &[u32], lane: usize, slot: usize, time: u32, patches: usize) -> (usize, bool) {
        let phase = (time / self.interval).min(self.phases - 1) as usize;
        let wired = wiring[(lane * self.phases as usize + phase) * patches + slot];
        (((wired & 0x7FFF_FFFF) as usize).min(patches - 1), wired >= ABSENT)
    }
}

/// The slot of each patch: every permutation of a wiring, `(.., patches)`, the other way round.
///
/// # Panics
/// If there are no patches.
pub fn slots_of(wiring: &[u32], patches: usize) -> Vec<u32> {
    let mut order = vec![0; wiring.len()];
    for (order, wiring) in order.chunks_exact_mut(patches).zip(wiring.chunks_exact(patches)) {
        for (slot, source) in wiring.iter().enumerate() {
            if let Some(own) = order.get_mut((source & !ABSENT) as usize) {
                *own = slot as u32;
            }
        }
    }
    order
}

/// The bit of a wiring that says that a slot's patch is absent.
pub const ABSENT: u32 = 1 << 31;

/// States of a lane's list.
pub(super) const OVER: u32 = 0;
pub(super) const BEGINS: u32 = 1;
pub(super) const GOES_ON: u32 = 2;

/// The head of a lane's list.
pub(super) const LIST: usize = 3;

/// True if a lane's episode is over and no other has begun.
pub(super) fn is_over(end: u32, time: u32) -> bool {
    (end == 1 || end == 2) && time != 0
}

/// The sizes of a step: the buffers of its dispatches follow from them and the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Members of a population, each with weights of its own.
    pub members: usize,
    /// Lanes of each member, one after the other.
    pub groups: usize,
    /// Wirings of each lane.
    pub phases: usize,
    /// Steps that each wiring holds for; the last goes on.
    pub interval: usize,
    /// True if all numbers of an action but the first go from 0 to 1, as a car's pedals do.
    pub pedals: bool,
}

impl Problem {
    /// Lanes in all.
    pub fn lanes(&self) -> usize {
        self.members.saturating_mul(self.groups)
    }

    /// Words of the pictures as bytes, `(lanes, words)`.
    pub fn pictures(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.picture().words())
    }

    /// Numbers of the wiring, `(lanes, phases, patches)`: the patch that a slot sees, with [`ABSENT`] added where there is
    /// none. Each wiring of a lane is a permutation.
    pub fn wiring(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(self.phases).saturating_mul(network.patches())
    }

    /// Numbers of the weights, `(members, parameters)`.
    pub fn weights(&self, network: &VisionNetwork) -> usize {
        self.members.saturating_mul(network.parameters())
    }

    /// Numbers of the tables; 0 without the attention neuron.
    pub fn tables(&self, network: &VisionNetwork) -> usize {
        self.members.saturating_mul(network.layer().map_or(0, |_| 4 * network.table_places()[3]))
    }

    /// Words of the history, `(lanes, pixels, patches)`; 0 without the attention neuron.
    pub fn history(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.layer().map_or(0, |layer| layer.pixels() * layer.patches()))
    }

    /// Numbers of what the patches give, `(lanes, patches + 1, scores and values)`; 0 without the attention neuron.
    pub fn sensed(&self, network: &VisionNetwork) -> usize {
        let each = network.layer().map_or(0, |layer| (layer.patches() + 1) * network.sensed_row());
        self.lanes().saturating_mul(each)
    }

    /// Numbers of the lists of patches, `(lanes, 3 + patches)`; of an AttentionAgent `(lanes)`, the state alone.
    pub fn listed(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.list_row())
    }

    /// Numbers of the messages, `(lanes, messages, dimension)`; 0 without the attention neuron.
    pub fn messages(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.layer().map_or(0, |layer| layer.messages * layer.dimension))
    }

    /// Rows that vote, `(lanes, messages)`: those of the message, or the patches of an AttentionAgent.
    pub fn voters(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.controller().map_or(0, |controller| controller.voters))
    }

    /// Numbers of the votes, `(lanes, messages, 8)`.
    pub fn votes(&self, network: &VisionNetwork) -> usize {
        self.voters(network).saturating_mul(8)
    }

    /// Numbers of the places that are chosen, `(lanes, top)`.
    pub fn chosen(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.controller().map_or(0, |controller| controller.top))
    }

    pub(super) fn uniform(&self) -> Uniform {
        let Self { groups, phases, interval, .. } = *self;
        let [lanes, groups, phases, interval] = [self.lanes(), groups, phases, interval].map(|size| size as u32);
        Uniform { lanes, groups, phases, interval, pedals: self.pedals.into() }
    }

    fn check(&self, network: &VisionNetwork) -> Result<Sizes, Error> {
        network.check()?;
        let Self { members, groups, phases, interval, .. } = *self;
        let of_a_lane = self.sensed(network).max(self.votes(network)) / self.lanes().max(1);
        Sizes("vision neuron")
            .positive(&[("members", members), ("groups", groups), ("phases", phases), ("interval", interval)])?
            .at_most(&[("lanes", self.lanes()), ("numbers of a lane", of_a_lane.max(1))])
    }

    /// The sequence of a call of the attention neuron's.
    pub(super) fn sequence_of_neuron(
        &self,
        network: &VisionNetwork,
        call: impl FnOnce() -> Call,
    ) -> Result<Sequence, Error> {
        network.layer().ok_or_else(|| network.is_not("one with an attention neuron"))?;
        self.sequence(network, call)
    }

    /// The sequence of a call that a description makes.
    pub(super) fn sequence(&self, network: &VisionNetwork, call: impl FnOnce() -> Call) -> Result<Sequence, Error> {
        let checked = self.check(network)?;
        checked.sequence(call())
    }
}

/// A kernel of this folder as its file describes it.
pub(super) struct Description {
    pub name: &'static str,
    /// The WGSL behind the sizes and the lanes.
    pub parts: Vec<&'static str>,
    pub bindings: Vec<Binding>,
    pub passes: fn(&Call) -> u64,
    pub twin: fn(&Call, &mut [Operand<'_>]),
    pub tolerance: fn(&Call, &[Data], usize) -> Tolerance,
}

impl Description {
    /// The call over `invocations` invocations, or as many workgroups of 64 where `workgroup` is none.
    pub fn call(
        self,
        network: &VisionNetwork,
        problem: &Problem,
        invocations: usize,
        workgroup: Option<usize>,
        lengths: impl Into<Vec<usize>>,
    ) -> Call {
        let title = format!("// {} of a vision neuron: put together from plain files.\n\n", self.name);
        let source = joined(title + &network.constants(), [LANES].into_iter().chain(self.parts));
        let name = format!("vision.{}", self.name);
        let kernel: Arc<Kernel> =
            Kernel::composed::<Uniform>(name, source, self.name, self.bindings, self.passes, self.twin, self.tolerance);
        let workgroups = invocations.div_ceil(workgroup.unwrap_or(1));
        let call = Call::checked(KernelRef::from(kernel), &problem.uniform(), workgroups, lengths)
            .checked_unless(true)
            .with_context(Arc::new(network.clone()));
        match workgroup {
            Some(workgroup) => call.with_constant("WORKGROUP", workgroup as u32),
            None => call,
        }
    }
}

/// The network of a call.
pub(super) fn network_of(call: &Call) -> &VisionNetwork {
    call.context_of().expect("a call of this folder has its network")
}

/// Invocations of a workgroup.
pub(super) fn workgroup(target: &Target) -> usize {
    if target.software { 8 } else { 64 }
}

/// A sum of products with the sum of their magnitudes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub value: f64,
    pub size: f64,
    pub terms: usize,
}

impl Sum {
    pub fn add(&mut self, term: f64) {
        self.value += term;
        self.size += term.abs();
        self.terms += 1;
    }

    /// The bound of its error in f32: each term passes through as many additions as there are terms at most, and `more`
    /// rounding errors besides.
    pub fn bound(&self, more: f64) -> f64 {
        (self.terms as f64 + more) * Tolerance::EPSILON * self.size + self.terms as f64 * f64::from(f32::MIN_POSITIVE)
    }
}
