//! The part that the kernels of the vision neuron share: the network whose sizes are compiled in, and the sizes of a dispatch.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::layer::NORM_EPSILON;
use super::{DrivingNetwork, PongNetwork, VisionNeuron};
use crate::description::joined::joined;
use crate::{Binding, Call, Data, Error, Kernel, KernelRef, Operand, Sequence, Sizes, Target, Tolerance};

/// A network that sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisionNetwork {
    /// One that drives: all of it is kernels of this folder.
    Driving(DrivingNetwork),
    /// One that plays Pong: the kernels of this folder end with its messages.
    Pong(PongNetwork),
}

impl VisionNetwork {
    /// The layer that sees.
    pub fn layer(&self) -> &VisionNeuron {
        match self {
            Self::Driving(network) => &network.layer,
            Self::Pong(network) => &network.layer,
        }
    }

    /// The length of the flat vector of weights.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Driving(network) => network.parameters(),
            Self::Pong(network) => network.parameters(),
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// The first size out of range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Driving(network) => network.check(),
            Self::Pong(network) => network.check(),
        }
    }

    /// Numbers that a lane of a driving network remembers beside its rolling average: the LSTM's state, the last action and
    /// the share of the old message; 0 for others.
    pub fn memory(&self) -> usize {
        match self {
            Self::Driving(network) => 2 * network.hidden + network.actions + 1,
            Self::Pong(_) => 0,
        }
    }

    /// Vectors of four numbers in a row of scores: one for each position, the query's bias, and the kind of the patch.
    pub(super) fn scores(&self) -> usize {
        (self.layer().positions + 2).div_ceil(4)
    }

    /// Vectors of four numbers in a row of values.
    pub(super) fn values(&self) -> usize {
        self.layer().dimension / 4
    }

    /// Numbers of a row of [`sensed`](Problem::sensed).
    pub(super) fn sensed_row(&self) -> usize {
        4 * (self.scores() + self.values())
    }

    /// Vectors of four numbers before the values, the sums over time, the biases, and in all of a member's tables.
    pub(super) fn table_places(&self) -> [usize; 4] {
        let layer = self.layer();
        let pixels = layer.pixels();
        let value = (layer.stack - 1) * pixels * self.scores();
        let rest = value + layer.stack * pixels * self.values();
        let bias = rest + pixels * self.values();
        [value, rest, bias, bias + self.values()]
    }

    /// The table of positions as the kernels take it: a row has its positions, a one, and zeros.
    pub fn position_rows(&self) -> Vec<f32> {
        let (layer, width) = (self.layer(), 4 * self.scores());
        let mut rows = vec![0.0; layer.messages * width];
        for (row, positions) in rows.chunks_exact_mut(width).zip(layer.position_table().chunks_exact(layer.positions)) {
            row.iter_mut().zip(positions).for_each(|(number, position)| *number = *position as f32);
            row[layer.positions] = 1.0;
        }
        rows
    }

    /// The sizes as WGSL constants.
    fn sizes(&self) -> String {
        let layer = self.layer();
        let VisionNeuron { rows, columns, patch, stack, messages, positions, dimension, .. } = *layer;
        let (pixels, key_inputs) = (layer.pixels(), layer.key_inputs());
        let query_bias = dimension * positions;
        let key = query_bias + dimension;
        let value = key + dimension * (key_inputs + usize::from(layer.key_bias));
        let value_bias = value + dimension * stack * pixels;
        let input_norm = value_bias + dimension;
        let output_norm = input_norm + 2 * pixels;
        let [value_at, rest_at, bias_at, table] = self.table_places();
        let mut sizes = vec![
            ("ROWS", rows),
            ("COLUMNS", columns),
            ("PATCH", patch),
            ("PIXELS", pixels),
            ("ACROSS", columns / patch),
            ("PATCHES", layer.patches()),
            ("STACK", stack),
            ("MESSAGES", messages),
            ("POSITIONS", positions),
            ("DIMENSION", dimension),
            ("SCORES", self.scores()),
            ("VALUES", self.values()),
            ("VALUE_AT", value_at),
            ("REST_AT", rest_at),
            ("BIAS_AT", bias_at),
            ("TABLE", table),
            ("PARAMETERS", self.parameters()),
            ("QUERY_BIAS", query_bias),
            ("KEY", key),
            ("KEY_INPUTS", key_inputs),
            ("VALUE", value),
            ("VALUE_BIAS", value_bias),
            ("INPUT_NORM", input_norm),
            ("OUTPUT_NORM", output_norm),
        ];
        if let Self::Driving(network) = self {
            let DrivingNetwork { vote, top, hidden, actions, .. } = *network;
            let vote_query = layer.parameters();
            let vote_key = vote_query + vote * (dimension + 1);
            let lstm_input = vote_key + vote * (dimension + 1);
            let lstm_hidden = lstm_input + 4 * hidden * 2 * top;
            let lstm_bias = lstm_hidden + 4 * hidden * hidden;
            let head = lstm_bias + 8 * hidden;
            let mix = head + actions * (hidden + 1);
            sizes.extend([
                ("TOP", top),
                ("SIDE", network.side()),
                ("HIDDEN", hidden),
                ("ACTIONS", actions),
                ("MEMORY", self.memory()),
                ("ALPHA", self.memory() - 1),
                ("VOTE_QUERY", vote_query),
                ("VOTE_KEY", vote_key),
                ("LSTM_INPUT", lstm_input),
                ("LSTM_HIDDEN", lstm_hidden),
                ("LSTM_BIAS", lstm_bias),
                ("HEAD", head),
                ("MIX", mix),
                ("MIX_OUTPUT", mix + hidden * (hidden + actions + 1)),
            ]);
        }
        let mut text: String = sizes.iter().map(|(name, size)| format!("const {name}: u32 = {size}u;\n")).collect();
        text += &format!("const TIME_LAST: bool = {};\n", layer.time_last);
        text += &format!("const LEARNED_NORMS: bool = {};\n", layer.learned_norms);
        text += &format!("const NORM_EPSILON: f32 = {NORM_EPSILON:e};\n");
        text + &format!("const SCORE_SCALE: f32 = {:e};\n", (1.0 / (255.0 * (dimension as f64).sqrt())) as f32)
    }
}

/// The WGSL of the lanes, which all kernels share.
const LANES: &str = include_str!("lanes.wgsl");

/// The place of an invocation in a grid.
pub(super) const PLACE: &str = include_str!("../library/place.wgsl");

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

    /// Words of the pictures as bytes, `(lanes, rows * columns / 4)`.
    pub fn pictures(&self, network: &VisionNetwork) -> usize {
        let layer = network.layer();
        self.lanes().saturating_mul(layer.rows * layer.columns / 4)
    }

    /// Numbers of the wiring, `(lanes, phases, patches)`: the patch that a slot sees, with [`ABSENT`] added where there is
    /// none. Each wiring of a lane is a permutation.
    pub fn wiring(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(self.phases).saturating_mul(network.layer().patches())
    }

    /// Numbers of the weights, `(members, parameters)`.
    pub fn weights(&self, network: &VisionNetwork) -> usize {
        self.members.saturating_mul(network.parameters())
    }

    /// Numbers of the tables.
    pub fn tables(&self, network: &VisionNetwork) -> usize {
        self.members.saturating_mul(4 * network.table_places()[3])
    }

    /// Words of the history, `(lanes, pixels, patches)`.
    pub fn history(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.layer().pixels() * network.layer().patches())
    }

    /// Numbers of what the patches give, `(lanes, patches + 1, scores and values)`.
    pub fn sensed(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul((network.layer().patches() + 1) * network.sensed_row())
    }

    /// Numbers of the lists of patches, `(lanes, 3 + patches)`.
    pub fn listed(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(LIST + network.layer().patches())
    }

    /// Numbers of the messages, `(lanes, messages, dimension)`.
    pub fn messages(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(network.layer().messages * network.layer().dimension)
    }

    /// Numbers of the votes, `(lanes, messages, 8)`.
    pub fn votes(&self, network: &VisionNetwork) -> usize {
        self.lanes().saturating_mul(8 * network.layer().messages)
    }

    pub(super) fn uniform(&self) -> Uniform {
        let Self { groups, phases, interval, .. } = *self;
        let [lanes, groups, phases, interval] = [self.lanes(), groups, phases, interval].map(|size| size as u32);
        Uniform { lanes, groups, phases, interval, pedals: self.pedals.into() }
    }

    fn check(&self, network: &VisionNetwork) -> Result<Sizes, Error> {
        network.check()?;
        let Self { members, groups, phases, interval, .. } = *self;
        Sizes("vision neuron")
            .positive(&[("members", members), ("groups", groups), ("phases", phases), ("interval", interval)])?
            .at_most(&[("lanes", self.lanes()), ("numbers of a lane", self.sensed(network) / self.lanes().max(1))])
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
        let source = joined(title + &network.sizes(), [LANES].into_iter().chain(self.parts));
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
