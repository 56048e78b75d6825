//! Inner problems as graphs whose leading axis is the population: N networks trained side by side by batched matrix
//! products.
//!
//! A [`GraphProblem`] says how members begin and what a step does to them, in the operations of a
//! [`Graph`](crate::graph::Graph); a [`Population`] plans both once and records them as often as an outer iteration needs. Beside
//! the inner problems in WGSL, which keep a few numbers of state in registers, it is for members of thousands of weights.
//!
//! ```
//! use fourfold::evolution::{GraphProblem, InnerStep, MemberState, StepContext};
//! use fourfold::graph::{Tensor, gradients};
//!
//! /// Gradient descent on `x^2 / 2` from 1, whose rate `exp(theta)` is to be learned.
//! #[derive(Debug)]
//! struct Descent;
//!
//! impl GraphProblem for Descent {
//!     fn name(&self) -> &str {
//!         "descent"
//!     }
//!     fn parameters(&self) -> usize {
//!         1
//!     }
//!     fn horizon(&self) -> Option<usize> {
//!         Some(10)
//!     }
//!     fn states(&self) -> Vec<MemberState> {
//!         vec![MemberState::f32("x", [])]
//!     }
//!     fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
//!         vec![inner.graph.constant(1.0)]
//!     }
//!     fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
//!         let x = states[0];
//!         let slope = gradients((x.square() * 0.5).sum_all(), &[x])[0];
//!         let x = x - inner.parameter(0).exp() * slope;
//!         InnerStep { states: vec![x], loss: x.square() * 0.5 }
//!     }
//! }
//! ```

pub(super) mod graphs;
mod problem;

pub use problem::{GraphProblem, InnerStep, MemberState, SharedTensor, StepContext};

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use fourfold_shaders::random::threefry::threefry;
use fourfold_shaders::{Data, Element, MAX_ELEMENTS, Target, optimiser::advance_step};

use self::graphs::{EPISODE_SEED, LOSSES, STEP_SEED, STEPS, THETA, TIME, planned};
use super::Error;
use crate::gpu::program::CheckpointTensor;
use crate::gpu::{self, BufferView, Gpu, Launch, Recording};
use crate::graph::{Plan, Session, Values};

/// The members of an inner problem on a device, all at the same inner time.
///
/// Nothing is read back: resets and steps are recorded into a pass of the caller's, who knows the inner time because
/// they recorded it. The random numbers of members depend on the key alone, so two populations of one key see the same
/// episodes.
#[derive(Debug)]
pub struct Population {
    gpu: Gpu,
    size: usize,
    key: u32,
    step: Session,
    reset: Session,
    share: Session,
    /// The number of the episode goes up.
    episode: Recording,
    buffers: BTreeMap<String, BufferView>,
    /// Names, element types and lengths of the tensors that a checkpoint holds.
    kept: Vec<(String, Element, usize)>,
}

/// The plans of a population: a function of the problem, its size and the target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PopulationPlan {
    /// Members.
    pub size: usize,
    /// Steps whose losses are kept.
    pub ring: usize,
    /// One step of every member.
    pub step: Arc<Plan>,
    /// The start of an episode.
    pub reset: Arc<Plan>,
    /// Copies the states of the last member to all.
    pub share: Arc<Plan>,
}

impl PopulationPlan {
    /// Plans `size` members; the losses of the last `ring` steps are kept.
    ///
    /// # Errors
    /// No member, no step or no outer parameter, or a graph that the problem builds wrongly.
    pub fn new(problem: &dyn GraphProblem, size: usize, ring: usize, target: &Target) -> Result<Self, Error> {
        if [size, ring, problem.parameters()].iter().any(|&count| !(1..=MAX_ELEMENTS).contains(&count)) {
            return Error::settings(format!(
                "a population needs at least one member, one step of losses and one outer parameter, and fewer than 2^31 of \
                 each, but {} has {size} members, {ring} steps and {} parameters",
                problem.name(),
                problem.parameters()
            ));
        }
        let step = planned(problem, &graphs::step(problem, size, ring), target)?;
        let reset = planned(problem, &graphs::reset(problem, size), target)?;
        let share = planned(problem, &graphs::share(problem, size), target)?;
        Ok(Self { size, ring, step, reset, share })
    }

    /// Bytes of all buffers, those that the plans share counted once.
    pub fn bytes(&self) -> usize {
        let shared = |plan: &Plan| -> usize {
            plan.states.values().map(|binding| plan.buffers[binding.region.buffer].words * Element::BYTES).sum()
        };
        let own = |plan: &Plan| plan.total_bytes() - shared(plan);
        self.step.total_bytes() + own(&self.reset) + own(&self.share)
    }
}

/// The first seeds of a population.
fn seeds(key: u32) -> [(&'static str, [u32; 2]); 2] {
    let seed = |place| [threefry([key, place], [0, 0])[0], 0];
    [(STEP_SEED, seed(1)), (EPISODE_SEED, seed(2))]
}

impl Population {
    /// Creates `size` members, none of which has begun an episode; the losses of the last `ring` steps are kept. Neither
    /// submits nor polls.
    ///
    /// # Errors
    /// As [`PopulationPlan::new`]; shared tensors whose shape does not fit, or out of memory.
    pub fn new(gpu: &Gpu, problem: &dyn GraphProblem, size: usize, ring: usize, key: u32) -> Result<Self, Error> {
        let plan = PopulationPlan::new(problem, size, ring, &gpu.target())?;
        Self::on_plan(gpu, problem, &plan, key, BTreeMap::new())
    }

    /// Creates the members of a plan; tensors that are not given are allocated.
    pub(super) fn on_plan(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        plan: &PopulationPlan,
        key: u32,
        mut buffers: BTreeMap<String, BufferView>,
    ) -> Result<Self, Error> {
        for tensor in problem.shared() {
            let elements: usize = tensor.shape.iter().product();
            if elements != tensor.data.len() {
                return Error::settings(format!(
                    "{}: the shared tensor `{}` has {} elements, but its shape {:?} takes {elements}",
                    problem.name(),
                    tensor.name,
                    tensor.data.len(),
                    tensor.shape
                ));
            }
            if let Entry::Vacant(missing) = buffers.entry(graphs::shared_name(tensor.name)) {
                missing.insert(gpu.upload(tensor.name, tensor.data)?);
            }
        }
        let values = Values::from(seeds(key).map(|(name, seed)| (name.to_owned(), Data::U32(seed.to_vec()))));
        let step = Session::on_buffers(gpu, plan.step.clone(), &values, &buffers)?;
        for name in plan.step.states.keys() {
            buffers.insert(name.clone(), step.buffer(name)?);
        }
        let session =
            |plan: &Arc<Plan>| Session::on_buffers(gpu, plan.clone(), &Values::new(), &states_of(plan, &buffers));
        let (reset, share) = (session(&plan.reset)?, session(&plan.share)?);
        let call = advance_step::Problem::SEED.sequence(&gpu.target()).map_err(gpu::Error::from)?;
        let episode = gpu.prepare(&[Launch::new(&call, std::slice::from_ref(&buffers[EPISODE_SEED]))])?;
        let own = problem.states().into_iter().map(|state| graphs::state_name(&state.name));
        let counters = [STEPS, TIME, STEP_SEED, EPISODE_SEED].map(str::to_owned);
        let kept = own.chain(counters).map(|name| {
            let binding = &plan.step.states[&name];
            (name, binding.element, binding.region.length)
        });
        let kept = kept.collect();
        Ok(Self { gpu: gpu.clone(), size: plan.size, key, step, reset, share, episode, buffers, kept })
    }

    /// The tensors that all members read, by name.
    pub(super) fn shared_tensors(&self) -> BTreeMap<String, BufferView> {
        let shared = self.buffers.iter().filter(|(name, _)| name.starts_with(graphs::SHARED));
        shared.map(|(name, view)| (name.clone(), view.clone())).collect()
    }

    /// The buffers of a plan's states that are the population's own.
    pub(super) fn buffers_of(&self, plan: &Plan) -> BTreeMap<String, BufferView> {
        states_of(plan, &self.buffers)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Members.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `(size, parameters)`: the outer parameters of each member, which the caller writes.
    pub fn theta(&self) -> &BufferView {
        &self.buffers[THETA]
    }

    /// `(ring, size)`: row `step mod ring` has the losses of the step of this number, counted over all episodes.
    pub fn losses(&self) -> &BufferView {
        &self.buffers[LOSSES]
    }

    /// `(size, ..)`: a state of the members.
    pub fn state(&self, name: &str) -> Option<&BufferView> {
        self.buffers.get(&graphs::state_name(name))
    }

    /// Records the start of an episode.
    pub fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.episode.record(pass);
        self.reset.record(pass);
    }

    /// Records one step of every member.
    pub fn record_step(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.step.record(pass);
    }

    /// Records that all members take over the states of the last one.
    pub fn record_share(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.share.record(pass);
    }

    /// Sets the key of the random numbers for the next [`rewind`](Self::rewind).
    pub(super) fn set_key(&mut self, key: u32) {
        self.key = key;
    }

    /// Begins again with the first episode, before the next submission: the same random numbers follow.
    ///
    /// # Errors
    /// The device was lost.
    pub fn rewind(&self) -> Result<(), Error> {
        let counters = [(STEPS, vec![0]), (TIME, vec![0])];
        let seeds = seeds(self.key).map(|(name, seed)| (name, seed.to_vec()));
        for (name, words) in counters.into_iter().chain(seeds) {
            let view = &self.buffers[name];
            self.gpu.write(name, view, &words)?;
        }
        Ok(())
    }

    /// The tensors that a checkpoint holds, named after `prefix`.
    pub fn kept(&self, prefix: &str) -> Vec<CheckpointTensor> {
        let kept = |(name, element, length): &(String, Element, usize)| CheckpointTensor {
            name: format!("{prefix}{name}"),
            view: self.buffers[name].clone(),
            element: *element,
            length: *length,
        };
        self.kept.iter().map(kept).collect()
    }
}

/// The buffers of a plan's states.
fn states_of(plan: &Plan, buffers: &BTreeMap<String, BufferView>) -> BTreeMap<String, BufferView> {
    plan.states.keys().filter_map(|name| Some((name.clone(), buffers.get(name)?.clone()))).collect()
}
