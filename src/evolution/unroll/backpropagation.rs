//! Truncated backpropagation through the steps of a problem given as a graph: one member and no perturbation.
//!
//! Each step of an unroll is differentiated, the inner gradient within it included, so the problem must be written in
//! operations with derivatives: judged by its accuracy it has a gradient of zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use fourfold_shaders::inner_problem::Objective;
use fourfold_shaders::{Element, Target};

use super::UnrollSettings;
use super::tensors::Tensors;
use crate::evolution::population::graphs::{self, GRADIENT, MEAN, THETA, planned};
use crate::evolution::{Error, GraphProblem, OuterTensors, Population, PopulationPlan};
use crate::gpu::program::{Allocation, CheckpointTensor, ProgramPlan};
use crate::gpu::{BufferView, Gpu};
use crate::graph::{self, Session, Values};

/// The plan of an unroll, which holds every step of it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    population: PopulationPlan,
    unroll: Arc<graph::Plan>,
    /// Unrolls of an inner problem; `None` if it never ends.
    unrolls: Option<u32>,
}

impl Plan {
    pub fn bytes(&self) -> u64 {
        // The buffers that the plan shares with the population count once.
        let words = self.unroll.states.values().map(|binding| self.unroll.buffers[binding.region.buffer].words);
        let shared: usize = words.sum::<usize>() * Element::BYTES;
        (self.population.bytes() + self.unroll.total_bytes() - shared) as u64
    }
}

/// Plans the gradient through the steps of an unroll.
pub(super) fn plan(
    program: &mut ProgramPlan,
    problem: &dyn GraphProblem,
    settings: &UnrollSettings,
    target: &Target,
) -> Result<(Tensors, Plan), Error> {
    let truncation = settings.truncation;
    if settings.objective != Objective::Sum {
        return Error::settings(format!(
            "{}: backpropagation through a graph sums the losses of all steps, got the objective {:?}",
            problem.name(),
            settings.objective
        ));
    }
    let unrolls = match problem.horizon() {
        Some(horizon) if !horizon.is_multiple_of(truncation) => {
            return Error::settings(format!(
                "{}: backpropagation takes a horizon that is a multiple of its {truncation} steps, not {horizon}",
                problem.name()
            ));
        }
        horizon => horizon.map(|horizon| (horizon / truncation) as u32),
    };
    let population = PopulationPlan::new(problem, 1, 1, target)?;
    let unroll = planned(problem, &graphs::backpropagation(problem, truncation), target)?;
    let metrics = program.buffer(Allocation::f32("metrics", 1));
    // The unroll's own plan writes both gradient and metrics.
    let (estimate, measure) = (program.recording(), None);
    let tensors = Tensors {
        estimate,
        measure,
        metrics,
        shares: None,
        counters: None,
        accumulators: Vec::new(),
        small: None,
        shared_out: None,
    };
    Ok((tensors, Plan { population, unroll, unrolls }))
}

/// One member and the unroll of its steps, on a device.
#[derive(Debug)]
pub(super) struct Backpropagation {
    population: Population,
    unroll: Session,
    unrolls: Option<u32>,
}

impl Backpropagation {
    pub fn new(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        plan: Plan,
        outer: &OuterTensors,
        metrics: &BufferView,
    ) -> Result<Self, Error> {
        let given = BTreeMap::from([(THETA.to_owned(), outer.center.clone())]);
        let population = Population::on_plan(gpu, problem, &plan.population, outer.key(), given)?;
        let mut given = population.buffers_of(&plan.unroll);
        given.insert(GRADIENT.to_owned(), outer.gradient.clone());
        given.insert(MEAN.to_owned(), metrics.clone());
        let unroll = Session::on_buffers(gpu, plan.unroll, &Values::new(), &given)?;
        Ok(Self { population, unroll, unrolls: plan.unrolls })
    }

    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        if self.unrolls.map_or(iteration == 0, |unrolls| iteration.is_multiple_of(unrolls)) {
            self.population.record_reset(pass);
        }
        self.unroll.record(pass);
    }

    pub fn kept(&self) -> Vec<CheckpointTensor> {
        self.population.kept("member.")
    }

    pub fn population(&self) -> &Population {
        &self.population
    }
}
