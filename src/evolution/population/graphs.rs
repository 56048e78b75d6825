//! The graphs of a population: the start of an episode, one step, and the share of one member's states with all others.

use std::sync::Arc;

use fourfold_shaders::elementwise::Binary;
use fourfold_shaders::{Element, Target};

use super::problem::{GraphProblem, InnerStep, StepContext};
use crate::evolution::Error;
use crate::graph::{Graph, Op, Plan, Tag, Tensor, TensorType, gradients};

/// The names of what every population has. A state of the problem is named `state.NAME`, a shared tensor `shared.NAME`.
pub(in crate::evolution) const THETA: &str = "theta";
pub(in crate::evolution) const TIME: &str = "time";
pub(in crate::evolution) const STEP_SEED: &str = "step_seed";
pub(in crate::evolution) const EPISODE_SEED: &str = "episode_seed";
/// Steps done, by which the ring of losses turns.
pub(in crate::evolution) const STEPS: &str = "steps";
pub(in crate::evolution) const LOSSES: &str = "losses";

pub(in crate::evolution) fn state_name(name: &str) -> String {
    format!("state.{name}")
}

/// Before the names of shared tensors.
pub(in crate::evolution) const SHARED: &str = "shared.";

pub(in crate::evolution) fn shared_name(name: &str) -> String {
    format!("{SHARED}{name}")
}

fn declare<'g>(graph: &'g Graph, problem: &dyn GraphProblem, population: usize) -> (StepContext<'g>, Vec<Tensor<'g>>) {
    let bookkeeping = |name, kind| graph.state(name, Tag::Bookkeeping, kind);
    let shared = problem.shared();
    let inner = StepContext {
        graph,
        population,
        theta: graph.state(THETA, Tag::Weights, TensorType::f32([population, problem.parameters()])),
        time: bookkeeping(TIME, TensorType::u32([])),
        step_seed: bookkeeping(STEP_SEED, TensorType::u32([2])),
        episode_seed: bookkeeping(EPISODE_SEED, TensorType::u32([2])),
        shared: shared
            .iter()
            .map(|tensor| {
                let kind = TensorType { element: tensor.data.element(), shape: tensor.shape.into() };
                graph.state(&shared_name(tensor.name), Tag::Input, kind)
            })
            .collect(),
    };
    let states = problem.states();
    let states = states.iter().map(|state| graph.state(&state_name(&state.name), Tag::Weights, state.of(population)));
    (inner, states.collect())
}

/// The states become `values`, which are of `what` and may lack the population axis.
#[track_caller]
fn assign<'g>(graph: &'g Graph, what: &'static str, states: &[Tensor<'g>], values: Vec<Tensor<'g>>) {
    if values.len() != states.len() {
        graph.fail(what, format!("gives {} states where the problem has {}", values.len(), states.len()));
        return;
    }
    for (&state, value) in states.iter().zip(values) {
        if value == state || value.is_poisoned() {
            continue;
        }
        if value.element() != state.element() || value.shape().broadcast_strides(&state.shape()).is_none() {
            graph.fail(what, format!("gives {value:?} for the state {state:?}"));
            return;
        }
        graph.assign(state, computed(value).broadcast_to(state.shape()));
    }
}

/// The value, computed if it is nothing but another state: states change one after the other, and that one may have
/// changed before it is read.
fn computed(value: Tensor<'_>) -> Tensor<'_> {
    let graph = value.graph();
    let mut root = value.value();
    while matches!(graph.node(root.node).op, Op::Reshape | Op::StopGradient | Op::Broadcast | Op::View { .. }) {
        root = graph.node(root.node).inputs[0];
    }
    match graph.node(root.node).op {
        Op::State { .. } if value.element() == Element::F32 => value.binary(Binary::Max, value),
        _ => value,
    }
}

/// The graph of a reset: the states begin an episode, whose number counts from 1, and time is 0.
pub(in crate::evolution) fn reset(problem: &dyn GraphProblem, population: usize) -> Graph {
    let graph = Graph::new();
    {
        let (inner, states) = declare(&graph, problem, population);
        let values = problem.reset(&inner);
        assign(&graph, "reset", &states, values);
        graph.assign(inner.time, graph.constant(0.0).cast(Element::U32));
    }
    graph
}

/// The graph of a step, which leaves the losses in row (steps mod `ring`) of the losses `(ring, population)`.
pub(in crate::evolution) fn step(problem: &dyn GraphProblem, population: usize, ring: usize) -> Graph {
    let graph = Graph::new();
    {
        let (inner, states) = declare(&graph, problem, population);
        let steps = graph.state(STEPS, Tag::Bookkeeping, TensorType::u32([]));
        let losses = graph.state(LOSSES, Tag::Bookkeeping, TensorType::f32([ring, population]));
        let InnerStep { states: after, loss } = problem.step(&inner, &states);
        assign(&graph, "step", &states, after);
        if loss.kind() != TensorType::f32([population]) && !loss.is_poisoned() {
            graph.fail("step", format!("gives the losses {loss:?} where the population has {population} members"));
        }
        graph.record(losses, loss, steps);
        for counter in [steps, inner.time, inner.step_seed] {
            graph.advance(counter);
        }
    }
    graph
}

/// The name of the gradient and of the mean loss in [`backpropagation`].
pub(in crate::evolution) const GRADIENT: &str = "gradient";
pub(in crate::evolution) const MEAN: &str = "mean";

/// The graph of `steps` steps of one member, whose losses are added and differentiated for theta through all of them.
pub(in crate::evolution) fn backpropagation(problem: &dyn GraphProblem, steps: usize) -> Graph {
    let graph = Graph::new();
    {
        let (inner, states) = declare(&graph, problem, 1);
        let later = |counter: Tensor<'_>, steps: usize| match steps {
            0 => graph.tensor(counter.value()),
            _ => graph.tensor(counter.value()).binary(Binary::Add, graph.constant(steps as f32).cast(Element::U32)),
        };
        let key = inner.step_seed.narrow(0, 0, 1);
        let done = inner.step_seed.narrow(0, 1, 1);
        let seed = |step: usize| graph.concatenate(&[key, later(done, step)], 0);
        let (mut after, mut sum) = (states.clone(), graph.constant(0.0));
        for step in 0..steps {
            let here = StepContext { time: later(inner.time, step), step_seed: seed(step), ..inner.clone() };
            let InnerStep { states, loss } = problem.step(&here, &after);
            if loss.kind() != TensorType::f32([1]) && !loss.is_poisoned() {
                graph.fail("step", format!("gives the losses {loss:?} where the population has 1 member"));
            }
            (after, sum) = (states, sum + loss.sum_all());
        }
        let slope = gradients(sum, &[inner.theta])[0];
        graph.output(GRADIENT, slope.reshape([problem.parameters()]));
        graph.output(MEAN, (sum * (1.0 / steps as f32)).reshape([1]));
        assign(&graph, "step", &states, after);
        graph.assign(inner.time, later(inner.time, steps));
        graph.assign(inner.step_seed, seed(steps));
    }
    graph
}

/// The graph in which the states of the last member become those of all.
pub(in crate::evolution) fn share(problem: &dyn GraphProblem, population: usize) -> Graph {
    let graph = Graph::new();
    for state in problem.states() {
        let state = graph.state(&state_name(&state.name), Tag::Weights, state.of(population));
        let last = state.narrow(0, population - 1, 1);
        graph.assign(state, last.broadcast_to(state.shape()));
    }
    graph
}

/// Plans a graph of an inner problem.
pub(in crate::evolution) fn planned(
    problem: &dyn GraphProblem,
    graph: &Graph,
    target: &Target,
) -> Result<Arc<Plan>, Error> {
    let plan = Plan::new(graph, target).map(Arc::new);
    plan.map_err(|error| Error::Graph { problem: problem.name().to_owned(), error })
}
