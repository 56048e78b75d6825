//! A policy that acts in many lanes, on the buffers of whoever has the world.

use std::ops::Range;
use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::rollout::act::{Composition, Problem};

use super::{Error, Interface, Policy, VectorEnvironment, check};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};

/// The buffers that a policy acts on.
#[derive(Debug, Clone)]
pub struct PolicyBuffers {
    /// (lanes, inputs): read by each step.
    pub observations: BufferView,
    /// (lanes, actions): written by each step. Its length says how many lanes there are.
    pub actions: BufferView,
    /// `u32` (lanes): not 0 where an episode has begun since the last step, so that the policy remembers nothing of the one
    /// before; [`VectorEnvironment::ends`] of an environment that resets its lanes. Without it, none begins unless
    /// [`VectorPolicy::encode_restart`] says so.
    pub begins: Option<BufferView>,
}

impl PolicyBuffers {
    /// Buffers of lanes that begin anew only by [`VectorPolicy::encode_restart`].
    pub fn new(observations: impl Into<BufferView>, actions: impl Into<BufferView>) -> Self {
        Self { observations: observations.into(), actions: actions.into(), begins: None }
    }

    /// The buffers of an environment: its observations, its actions, and the ends of its episodes.
    pub fn of(environment: &VectorEnvironment) -> Self {
        let begins = Some(environment.ends().clone());
        Self { begins, ..Self::new(environment.observations().clone(), environment.actions().clone()) }
    }
}

/// The weights of a policy: in a buffer of someone else, such as a training's, or these numbers.
#[derive(Debug, Clone)]
pub enum PolicyWeights {
    /// (parameters): the policy acts with its content at that time.
    Shared(BufferView),
    /// The numbers of a flat vector.
    Own(Vec<f32>),
}

/// A policy with one set of weights in many lanes, each with a memory of its own: the counterpart of a
/// [`VectorEnvironment`]. A step of all lanes is one dispatch, of the WGSL that a rollout would run.
#[derive(Debug)]
pub struct VectorPolicy {
    composition: Composition,
    lanes: usize,
    program: Program,
    memory: BufferId,
    act: RecordingId,
}

impl VectorPolicy {
    /// Creates the memory and the pipeline; neither submits nor polls. Every lane is at the start of an episode.
    ///
    /// # Errors
    /// A WGSL file that lacks a function or has it with the wrong sizes, buffers or weights of another length than the
    /// interface gives, out of memory, or a shader that the driver refuses.
    pub fn new(
        gpu: &Gpu,
        policy: Arc<dyn Policy>,
        interface: Interface,
        weights: PolicyWeights,
        buffers: PolicyBuffers,
    ) -> Result<Self, Error> {
        let composition = Composition { policy, interface };
        check::check_policy(&*composition.policy, interface, &composition.sizes())?;
        let lanes = lanes(interface, &buffers)?;
        let parameters = composition.policy.weights(interface);
        let got = match &weights {
            PolicyWeights::Shared(view) => view.elements(),
            PolicyWeights::Own(numbers) => numbers.len(),
        };
        if got != parameters {
            return Err(Error::Settings { message: format!("weights: expected {parameters} numbers, got {got}") });
        }
        let (mut plan, mut given) = (ProgramPlan::default(), Vec::new());
        let mut give = |plan: &mut ProgramPlan, allocation: Allocation, view: BufferView| {
            let id = plan.buffer(allocation.given());
            given.push((id, view));
            id
        };
        let weights = match weights {
            PolicyWeights::Shared(view) => give(&mut plan, Allocation::f32("weights", parameters), view),
            PolicyWeights::Own(numbers) => plan.buffer(Allocation::values("weights", Data::F32(numbers))),
        };
        // Sizes that no buffer has are refused by the sequence.
        let f32 = |name, width: usize| Allocation::f32(name, width.saturating_mul(lanes));
        let observations = give(&mut plan, f32("observations", interface.inputs), buffers.observations);
        let begins = Allocation::u32("begins", lanes);
        let begins = match buffers.begins {
            Some(view) => give(&mut plan, begins, view),
            None => plan.buffer(begins.zeros()),
        };
        let memory = plan.buffer(f32("memory", composition.memory()).zeros());
        let actions = give(&mut plan, f32("actions", interface.actions), buffers.actions);
        let act = plan.recording();
        let sequence = Problem { lanes }.sequence(&composition, &gpu.target());
        plan.sequence(act, sequence, &[weights, observations, begins, memory, actions]);
        let given: Vec<_> = given.iter().map(|(id, view)| (*id, view)).collect();
        let program = Program::new(gpu, "vector policy", plan, &given)?;
        Ok(Self { composition, lanes, program, memory, act })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        self.program.gpu()
    }

    /// The policy.
    pub fn policy(&self) -> &dyn Policy {
        &*self.composition.policy
    }

    /// Lanes that act side by side.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// (lanes, memory): what each lane remembers, in the order that its policy gives.
    pub fn memory(&self) -> &BufferView {
        self.program.view(self.memory)
    }

    /// Records one step of every lane: reads observations, writes actions.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.act, pass);
    }

    /// Encodes that these lanes forget, between two passes of the encoder: their next step is the first of an episode.
    ///
    /// # Errors
    /// There are not as many lanes, or the device was lost.
    pub fn encode_restart(&self, encoder: &mut wgpu::CommandEncoder, lanes: Range<usize>) -> Result<(), Error> {
        if lanes.start > lanes.end || lanes.end > self.lanes {
            let message = format!("lanes: expected a range within 0..{}, got {lanes:?}", self.lanes);
            return Err(Error::Settings { message });
        }
        if let Some(error) = self.gpu().lost() {
            return Err(error.into());
        }
        let width = self.composition.memory();
        let part = self.memory().part(lanes.start * width, lanes.len() * width);
        if part.size > 0 {
            encoder.clear_buffer(&part.buffer, part.offset, Some(part.size));
        }
        Ok(())
    }
}

/// The lanes that the buffers hold.
fn lanes(interface: Interface, buffers: &PolicyBuffers) -> Result<usize, Error> {
    let Interface { inputs, actions } = interface;
    let got = buffers.actions.elements();
    let lanes = got / actions;
    if lanes == 0 || lanes > u32::MAX as usize / 4 || got != lanes * actions {
        let message = format!("actions: expected {actions} numbers for each of at least one lane, got {got}");
        return Err(Error::Settings { message });
    }
    let begins = buffers.begins.as_ref().map(|begins| ("begins", 1, begins.elements()));
    for (name, width, got) in [("observations", inputs, buffers.observations.elements())].into_iter().chain(begins) {
        let expected = lanes.saturating_mul(width);
        if got != expected {
            let message =
                format!("{name}: expected {expected} numbers, {width} for each of {lanes} lanes of actions, got {got}");
            return Err(Error::Settings { message });
        }
    }
    Ok(lanes)
}
