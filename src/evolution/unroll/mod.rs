//! Gradients from truncated unrolls: one constructor for every estimator, on inner problems of either kind.

mod analytic;
mod backpropagation;
mod clock;
mod pair_gradient;
mod perturbed;
mod plan;
mod population;
mod settings;
mod tangent;
mod tensors;

pub use plan::UnrollPlan;
pub use settings::UnrollSettings;

use fourfold_shaders::inner_problem::SHARES;

use self::backpropagation::Backpropagation;
use self::plan::MembersPlan;
use self::population::Chunks;
use self::tensors::{SharedOut, Tensors};
use super::{
    Divided, Error, Evaluator, EvaluatorSettings, Inner, OuterTensors, Part, Population, SmallPopulation, Source,
};
use crate::gpu::program::{BufferId, CheckpointTensor, Program};
use crate::gpu::{BufferView, Gpu};

/// The gradient of an inner problem by an [`Estimator`](super::Estimator), on a device. An iteration is one unroll of
/// every particle, and reads nothing back.
#[derive(Debug)]
pub struct UnrolledGradient {
    settings: UnrollSettings,
    inner_steps: usize,
    bytes: u64,
    columns: &'static [&'static str],
    tensors: Tensors,
    members: Members,
    program: Program,
}

/// The members of an inner problem that is a graph.
#[derive(Debug)]
enum Members {
    /// The inner problem is in WGSL: kernels hold the members.
    InKernels,
    Population(Chunks),
    Backpropagation(Box<Backpropagation>),
}

impl UnrolledGradient {
    /// Plans the gradient of an inner problem at the theta of `outer`, and creates its buffers and pipelines. Random
    /// numbers follow from the key of `outer`. Neither submits nor polls.
    ///
    /// # Errors
    /// As [`UnrollPlan::new`]; theta has another number of parameters than the problem, shared tensors whose shape does
    /// not fit, out of memory, or a shader that the driver refuses.
    pub fn new<'a>(
        gpu: &Gpu,
        inner: impl Into<Inner<'a>>,
        settings: &UnrollSettings,
        outer: &OuterTensors,
    ) -> Result<Self, Error> {
        let inner = inner.into();
        let plan = UnrollPlan::of(&inner, settings, &gpu.target())?;
        let (bytes, columns, inner_steps) = (plan.bytes(), plan.columns(), plan.inner_steps());
        let given = plan.outer.given(outer, &plan.problem, plan.parameters)?;
        let program = |given: &[(BufferId, &BufferView)]| Program::new(gpu, "unroll", plan.program, given);
        let (program, members) = match (plan.members, &inner) {
            (MembersPlan::Population(plan), Inner::Graph(problem)) => {
                let chunks = Chunks::new(gpu, *problem, plan, outer.key())?;
                let given: Vec<_> = given.into_iter().chain(chunks.given()).collect();
                (program(&given)?, Members::Population(chunks))
            }
            (MembersPlan::Backpropagation(members), Inner::Graph(problem)) => {
                let program = program(&given)?;
                let metrics = program.view(plan.tensors.metrics);
                let members = Backpropagation::new(gpu, *problem, members, outer, metrics)?;
                (program, Members::Backpropagation(Box::new(members)))
            }
            _ => (program(&given)?, Members::InKernels),
        };
        Ok(Self { settings: *settings, inner_steps, bytes, columns, tensors: plan.tensors, members, program })
    }

    /// Creates an evaluator of the same problem, which reads the shared tensors that this gradient has on the GPU.
    ///
    /// # Errors
    /// As [`Evaluator::new`].
    pub fn evaluator<'a>(&self, inner: impl Into<Inner<'a>>, settings: &EvaluatorSettings) -> Result<Evaluator, Error> {
        let shared = match &self.members {
            Members::InKernels => None,
            Members::Population(chunks) => chunks.populations().first(),
            Members::Backpropagation(members) => Some(members.population()),
        };
        let shared = shared.map(Population::shared_tensors).unwrap_or_default();
        Evaluator::sharing(self.program.gpu(), inner.into(), settings, shared)
    }

    /// The settings.
    pub fn settings(&self) -> &UnrollSettings {
        &self.settings
    }

    /// Inner steps of one iteration, see [`UnrollPlan::inner_steps`].
    pub fn inner_steps(&self) -> usize {
        self.inner_steps
    }

    /// (6, pairs or directions): a, b, keep, add and both losses of each in the last unroll, see
    /// [`persistent_gradient`](fourfold_shaders::evolution::persistent_gradient); `None` for estimators without.
    pub fn shares(&self) -> Option<&BufferView> {
        self.tensors.shares.map(|id| self.program.view(id))
    }

    /// (pairs, parameters rounded up to even), perhaps in several buffers: the sum of the perturbations of each pair
    /// since its inner problem started, in units of sigma.
    pub fn accumulators(&self) -> Vec<&BufferView> {
        self.tensors.accumulators.iter().map(|id| self.program.view(*id)).collect()
    }

    /// `u32` (rows, pairs or directions): the first row has the iteration in which the perturbation of each was drawn;
    /// `None` for estimators without.
    pub fn counters(&self) -> Option<&BufferView> {
        self.tensors.counters.map(|id| self.program.view(id))
    }

    /// A tensor of which each part of the population computes the columns of its own pairs.
    fn divided(&self, pairs: usize, (id, rows, stride): (BufferId, usize, usize)) -> Divided {
        Divided { view: self.program.view(id).clone(), rows, stride, columns: self.settings.part.ranges(pairs) }
    }
}

impl Source for UnrolledGradient {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        match &self.members {
            Members::InKernels => (),
            Members::Population(chunks) => chunks.record(&self.program, pass, iteration),
            Members::Backpropagation(members) => members.record(pass, iteration),
        }
        self.program.record(self.tensors.estimate, pass);
    }

    fn part(&self) -> Part {
        self.settings.part
    }

    fn told(&self) -> Vec<Divided> {
        let Tensors { shared_out: Some(shared_out), shares: Some(shares), counters: Some(counters), .. } =
            &self.tensors
        else {
            return Vec::new();
        };
        // The first row of the counters says when each perturbation was drawn.
        let told = [(*shares, SHARES, shared_out.pairs), (*counters, 1, shared_out.pairs)];
        told.into_iter().map(|tensor| self.divided(shared_out.pairs, tensor)).collect()
    }

    fn record_part(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        match &self.tensors.shared_out {
            Some(SharedOut { unrolled, .. }) => self.program.record_range(self.tensors.estimate, pass, 0..*unrolled),
            None => self.record(pass, iteration),
        }
    }

    fn record_rest(&self, pass: &mut wgpu::ComputePass<'_>) {
        if let Some(SharedOut { unrolled, .. }) = &self.tensors.shared_out {
            let estimate = self.tensors.estimate;
            self.program.record_range(estimate, pass, *unrolled..self.program.dispatches(estimate));
        }
    }

    fn divided_state(&self) -> Vec<Divided> {
        let state = self.tensors.shared_out.iter();
        state.flat_map(|of| of.state.iter().map(|tensor| self.divided(of.pairs, *tensor))).collect()
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        if let Some(measure) = self.tensors.measure {
            self.program.record(measure, pass);
        }
    }

    fn kept(&self) -> Vec<CheckpointTensor> {
        let mut kept = self.program.kept("unroll.");
        match &self.members {
            Members::InKernels => (),
            Members::Population(chunks) => {
                for (index, population) in chunks.populations().iter().enumerate() {
                    kept.extend(population.kept(&format!("chunk.{index}.")));
                }
            }
            Members::Backpropagation(members) => kept.extend(members.kept()),
        }
        kept
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.program.view(self.tensors.metrics).clone())
    }

    /// Means over the pairs or directions, of which the last two are the losses; of UORO and of backpropagation through a
    /// graph the loss alone.
    fn columns(&self) -> &'static [&'static str] {
        self.columns
    }

    fn small_population(&self) -> Option<SmallPopulation> {
        let small = self.tensors.small.as_ref()?;
        let view = |id| self.program.view(id).clone();
        Some(SmallPopulation {
            iterations: small.iterations.clone(),
            unroll: small.unroll,
            data: view(small.data),
            saved: view(small.saved),
            counters: view(small.counters),
            accumulators: view(small.accumulators),
        })
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
