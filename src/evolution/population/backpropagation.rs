//! Truncated backpropagation through the steps of a problem given as a graph.

use std::collections::BTreeMap;

use super::{GraphProblem, Population, graphs, refused};
use crate::evolution::outer::{Kept, Outer, Source};
use crate::gpu::{BufferView, Gpu};
use crate::graph::{Plan, Session, Values};
use crate::rollout::Error;

/// Truncated backpropagation through time, whose bias estimators of the whole gradient are compared with: the gradient
/// of the losses of an unroll by what theta does within it, one member and no perturbation. With the truncation as long
/// as the inner problem it is the gradient itself.
///
/// Each step of an unroll is differentiated, the inner gradient within it included, so the problem must be written in
/// operations with derivatives: judged by its accuracy it has a gradient of zero.
#[derive(Debug)]
pub struct PopulationBackpropagation {
    population: Population,
    unroll: Session,
    /// Unrolls of an inner problem, if it ends.
    unrolls: Option<u32>,
    truncation: usize,
    mean: BufferView,
}

impl PopulationBackpropagation {
    /// The gradient through `truncation` steps at the theta of `outer`; `key` decides episodes and minibatches. The plan
    /// holds every step of an unroll. Neither submits nor polls.
    ///
    /// # Errors
    /// A horizon that is no multiple of the truncation, another number of outer parameters than the problem has, graphs
    /// that the problem builds wrongly, a gradient that does not depend on theta, no memory.
    pub fn new(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        truncation: usize,
        outer: &Outer,
        key: u32,
    ) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Settings { message });
        outer.check(problem.name(), problem.parameters())?;
        if truncation == 0 || truncation >= 1 << 24 {
            return refuse(format!("a truncation has between 1 and 2^24 - 1 steps, not {truncation}"));
        }
        let unrolls = match problem.horizon() {
            Some(horizon) if horizon == 0 || !horizon.is_multiple_of(truncation) => {
                return refuse(format!(
                    "{}: backpropagation takes a horizon that is a multiple of its {truncation} steps, not {horizon}",
                    problem.name()
                ));
            }
            horizon => horizon.map(|horizon| (horizon / truncation) as u32),
        };
        let given = BTreeMap::from([(graphs::THETA.to_owned(), outer.center.clone())]);
        let population = Population::on_given(gpu, problem, 1, 1, key, given)?;
        let plan = Plan::new(&graphs::backpropagation(problem, truncation), &gpu.target());
        let plan = plan
            .map_err(|error| Error::Settings { message: format!("the inner problem {}: {error}", problem.name()) })?;
        let states = plan.states.keys().filter_map(|name| Some((name.clone(), population.buffers.get(name)?.clone())));
        let mut given: BTreeMap<_, _> = states.collect();
        given.insert(graphs::GRADIENT.to_owned(), outer.gradient.clone());
        let unroll = Session::on_buffers(gpu, plan, &Values::new(), &given).map_err(refused)?;
        let mean = unroll.buffer(graphs::MEAN).map_err(refused)?;
        Ok(Self { population, unroll, unrolls, truncation, mean })
    }

    /// The plan of an unroll.
    pub fn plan(&self) -> &Plan {
        self.unroll.plan()
    }

    /// Inner steps of one iteration.
    pub fn inner_steps(&self) -> usize {
        self.truncation
    }
}

impl Source for PopulationBackpropagation {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        if self.unrolls.map_or(iteration == 0, |unrolls| iteration.is_multiple_of(unrolls)) {
            self.population.record_reset(pass);
        }
        self.unroll.record(pass);
    }

    fn record_metrics(&self, _: &mut wgpu::ComputePass<'_>) {}

    fn kept(&self) -> Vec<Kept> {
        self.population.kept("member.")
    }

    /// The mean loss of the unroll's steps.
    fn metrics(&self) -> Option<BufferView> {
        Some(self.mean.clone())
    }

    fn columns(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn bytes(&self) -> u64 {
        // What the plan shares with the population stands once.
        let plan = self.unroll.plan();
        let words = plan.states.values().map(|binding| plan.buffers[binding.region.buffer].words);
        let shared: usize = words.sum::<usize>() * fourfold_shaders::Element::BYTES;
        self.population.bytes() + (plan.total_bytes() - shared) as u64
    }
}
