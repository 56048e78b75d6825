//! Inner problems as graphs whose leading axis is the population: N networks trained side by side by batched matrix
//! products.
//!
//! A [`GraphProblem`] says how members begin and what a step does to them, in the operations of a
//! [`Graph`]; a [`Population`] plans both once and records them as often as an outer iteration needs. Beside
//! the inner problems in WGSL, which keep a few numbers of state in registers, it is for members of thousands of weights.
//!
//! ```
//! use fourfold::evolution::{GraphProblem, Inner, InnerStep, MemberState};
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
//!     fn reset<'g>(&self, inner: &Inner<'g>) -> Vec<Tensor<'g>> {
//!         vec![inner.graph.constant(1.0)]
//!     }
//!     fn step<'g>(&self, inner: &Inner<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
//!         let x = states[0];
//!         let slope = gradients((x.square() * 0.5).sum_all(), &[x])[0];
//!         let x = x - inner.parameter(0).exp() * slope;
//!         InnerStep { states: vec![x], loss: x.square() * 0.5 }
//!     }
//! }
//! ```

mod backpropagation;
mod clock;
mod evaluation;
mod graphs;
mod problem;
mod unroll;

pub use backpropagation::PopulationBackpropagation;
pub use evaluation::PopulationEvaluation;
pub use problem::{GraphProblem, Inner, InnerStep, MemberState, SharedTensor};
pub use unroll::PopulationUnroll;

use std::collections::BTreeMap;
use std::sync::Arc;

use fourfold_shaders::random::threefry::threefry;
use fourfold_shaders::{Data, Element, optimiser::advance_step};

use self::graphs::{EPISODE_SEED, LOSSES, STEP_SEED, STEPS, THETA, TIME};
use super::outer::Kept;
use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::graph::{Graph, Plan, Session, SessionError, Values};
use crate::rollout::Error;

/// The members of an inner problem on a device, all at the same inner time.
///
/// Nothing is read back: resets and steps are recorded into a pass of the caller's, who knows the inner time because
/// they recorded it. The random numbers of members depend on the key alone, so two populations of one key see the same
/// episodes.
#[derive(Debug)]
pub struct Population {
    gpu: Gpu,
    problem: String,
    size: usize,
    /// Rows of the ring of losses.
    ring: usize,
    key: u32,
    step: Session,
    reset: Session,
    share: Session,
    /// The number of the episode goes up.
    episode: Recording,
    buffers: BTreeMap<String, BufferView>,
    bytes: u64,
    /// Names, element types and lengths of what a checkpoint holds.
    kept: Vec<(String, Element, usize)>,
}

/// The plans of a population, which nothing but the problem, its size and the target decide.
#[derive(Debug, Clone)]
pub struct PopulationPlan {
    pub step: Arc<Plan>,
    pub reset: Arc<Plan>,
    /// The states of the last member become those of all.
    pub share: Arc<Plan>,
}

impl PopulationPlan {
    /// The plans of `size` members, whose losses of the last `ring` steps are kept.
    ///
    /// # Errors
    /// Graphs that the problem builds wrongly.
    pub fn new(
        problem: &dyn GraphProblem,
        size: usize,
        ring: usize,
        target: &fourfold_shaders::Target,
    ) -> Result<Self, Error> {
        if size == 0 || ring == 0 || problem.parameters() == 0 {
            let message = format!(
                "a population needs at least one member, one step of losses and one outer parameter, but {} has \
                 {size} members, {ring} steps and {} parameters",
                problem.name(),
                problem.parameters()
            );
            return Err(Error::Settings { message });
        }
        let plan = |graph: Graph| match Plan::new(&graph, target) {
            Ok(plan) => Ok(Arc::new(plan)),
            Err(error) => Err(Error::Settings { message: format!("the inner problem {}: {error}", problem.name()) }),
        };
        Ok(Self {
            step: plan(graphs::step(problem, size, ring))?,
            reset: plan(graphs::reset(problem, size))?,
            share: plan(graphs::share(problem, size))?,
        })
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

fn refused(error: SessionError) -> Error {
    match error {
        SessionError::Gpu(error) => Error::Gpu(error),
        other => Error::Settings { message: other.to_string() },
    }
}

/// The seeds with which a population begins.
fn seeds(key: u32) -> [(&'static str, [u32; 2]); 2] {
    let seed = |place| [threefry([key, place], [0, 0])[0], 0];
    [(STEP_SEED, seed(1)), (EPISODE_SEED, seed(2))]
}

impl Population {
    /// `size` members, none of which has begun an episode; the losses of the last `ring` steps are kept. Neither submits
    /// nor polls.
    ///
    /// # Errors
    /// Graphs that the problem builds wrongly, shared tensors whose shape does not fit, no memory.
    pub fn new(gpu: &Gpu, problem: &dyn GraphProblem, size: usize, ring: usize, key: u32) -> Result<Self, Error> {
        Self::on_given(gpu, problem, size, ring, key, BTreeMap::new())
    }

    /// As [`new`](Self::new), some tensors lying in buffers that are given.
    fn on_given(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        size: usize,
        ring: usize,
        key: u32,
        mut given: BTreeMap<String, BufferView>,
    ) -> Result<Self, Error> {
        for tensor in problem.shared() {
            let elements: usize = tensor.shape.iter().product();
            if elements != tensor.data.len() {
                let message = format!(
                    "{}: the shared tensor `{}` has {} elements, but its shape {:?} takes {elements}",
                    problem.name(),
                    tensor.name,
                    tensor.data.len(),
                    tensor.shape
                );
                return Err(Error::Settings { message });
            }
            given.insert(graphs::shared_name(tensor.name), gpu.upload(tensor.name, tensor.data)?);
        }
        Self::on_buffers(gpu, problem, size, ring, key, given)
    }

    /// Another population of the same problem, which reads the same shared tensors.
    ///
    /// # Errors
    /// As [`Population::new`]; and a problem whose shared tensors are others.
    pub fn beside(&self, problem: &dyn GraphProblem, size: usize, ring: usize, key: u32) -> Result<Self, Error> {
        let names = problem.shared();
        let names = names.iter().map(|tensor| graphs::shared_name(tensor.name));
        let shared = names.filter_map(|name| Some((name.clone(), self.buffers.get(&name)?.clone()))).collect();
        Self::on_buffers(&self.gpu, problem, size, ring, key, shared)
    }

    fn on_buffers(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        size: usize,
        ring: usize,
        key: u32,
        given: BTreeMap<String, BufferView>,
    ) -> Result<Self, Error> {
        let plan = PopulationPlan::new(problem, size, ring, &gpu.target())?;
        let values = Values::from(seeds(key).map(|(name, seed)| (name.to_owned(), Data::U32(seed.to_vec()))));
        let bytes = plan.bytes() as u64;
        let step = Session::on_buffers(gpu, plan.step.clone(), &values, &given).map_err(refused)?;
        let mut buffers = given;
        for name in plan.step.states.keys() {
            buffers.insert(name.clone(), step.buffer(name).map_err(refused)?);
        }
        let on_ours = |plan: &Arc<Plan>| {
            let ours = plan.states.keys().filter_map(|name| Some((name.clone(), buffers.get(name)?.clone())));
            Session::on_buffers(gpu, plan.clone(), &Values::new(), &ours.collect()).map_err(refused)
        };
        let (reset, share) = (on_ours(&plan.reset)?, on_ours(&plan.share)?);
        let call = advance_step::Problem::SEED.call(&gpu.target());
        let episode = gpu.prepare(&[Launch::new(&call, std::slice::from_ref(&buffers[EPISODE_SEED]))])?;
        let own = problem.states().into_iter().map(|state| graphs::state_name(&state.name));
        let counters = [STEPS, TIME, STEP_SEED, EPISODE_SEED].map(str::to_owned);
        let kept = own.chain(counters).map(|name| {
            let binding = &plan.step.states[&name];
            (name, binding.element, binding.region.length)
        });
        let kept = kept.collect();
        let problem = problem.name().to_owned();
        Ok(Self { gpu: gpu.clone(), problem, size, ring, key, step, reset, share, episode, buffers, bytes, kept })
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Members.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Steps whose losses are kept.
    pub fn ring(&self) -> usize {
        self.ring
    }

    /// The plan of a step.
    pub fn step_plan(&self) -> &Plan {
        self.step.plan()
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

    /// Dispatches of one step.
    pub fn dispatches(&self) -> usize {
        self.step.plan().dispatches.len()
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

    /// Begins again with the first episode, before the next submission: the same random numbers follow.
    pub fn rewind(&self) {
        let counters = [(STEPS, vec![0]), (TIME, vec![0])];
        let seeds = seeds(self.key).map(|(name, seed)| (name, seed.to_vec()));
        for (name, words) in counters.into_iter().chain(seeds) {
            let view = &self.buffers[name];
            self.gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::cast_slice(&words));
        }
    }

    /// What a checkpoint holds of the members, named after `prefix`.
    pub fn kept(&self, prefix: &str) -> Vec<Kept> {
        let kept = |(name, element, length): &(String, Element, usize)| Kept {
            name: format!("{prefix}{name}"),
            view: self.buffers[name].clone(),
            element: *element,
            length: *length,
        };
        self.kept.iter().map(kept).collect()
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the tensors that all members read, which other populations may share.
    pub fn shared_bytes(&self) -> u64 {
        let shared = self.buffers.iter().filter(|(name, _)| name.starts_with(graphs::SHARED));
        shared.map(|(_, view)| view.size).sum()
    }

    /// The name of the problem.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}
