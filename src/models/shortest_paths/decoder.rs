//! Paths that a transformer generates: at each step first the return, then the action that goes with it.

use std::collections::BTreeMap;

use fourfold_shaders::elementwise::Compare;
use fourfold_shaders::{Data, Element};

use super::DirectedGraph;
use crate::Gpu;
use crate::gpu::{BufferView, Ticket};
use crate::graph::{Graph, Plan, Session, SessionError, Tag, Tensor, TensorType, Values};
use crate::models::agent::AgentError;
use crate::models::decision_transformer::DecisionTransformer;
use crate::models::{SequenceModel, Window};
use crate::nn::Noise;

/// The choice of returns: `P(R = k) ~ P_transformer(k) P_prior(k)^power` with `P_prior(k) ~ T + 1 - k`, the k of the
/// highest probability. `k` is a path length; "never" has prior 0, and so has 0, since an agent that still walks is not
/// at the goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// T, the longest path.
    pub steps: usize,
    /// The power of the prior.
    pub power: f32,
}

/// Stands for the logarithm of 0, and stays finite in sums.
const LOG_OF_ZERO: f32 = -1e9;

/// Subtracted from the logarithm of what is left aside: more than priors and probabilities differ by.
const ASIDE: f32 = 1e4;

impl Prior {
    /// Returns `power log P_prior` of each class up to a constant: path lengths from 0 to T, then "never".
    pub fn log_weights(&self) -> Vec<f32> {
        let of = |length: usize| match length {
            length if length == 0 || length > self.steps => LOG_OF_ZERO,
            length => self.power * ((self.steps + 1 - length) as f32).ln(),
        };
        (0..=self.steps + 1).map(of).collect()
    }
}

/// Generates a path from every node at once, one lane each. One run of its plan is a step of all: the transformer sees the
/// window twice, for the return and with it in place for the action, and the state follows the edges.
///
/// [`begin`](Self::begin) puts every lane on its node, [`submit`](Self::submit) takes steps and [`paths`](Self::paths) reads
/// what came back. Nothing here waits.
#[derive(Debug)]
pub struct PathDecoder {
    session: Session,
    /// One for each node.
    lanes: usize,
    steps: usize,
    context: usize,
    goal: usize,
}

/// The path from a node. Nothing in a path is left to chance, so paths from one start are one path.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedPath {
    /// Up to the goal, or of all steps so far; the start first.
    pub nodes: Vec<usize>,
    /// The node that each step was directed to.
    pub actions: Vec<usize>,
    /// The path length that each step was taken for: the transformer's choice, or what was asked for.
    pub lengths: Vec<usize>,
    /// At each step, the transformer's probabilities of path lengths from 0 to T and of "never", before the prior.
    pub chances: Vec<Vec<f32>>,
}

/// The tensors that [`PathDecoder::paths`] reads.
const RECORDED: [&str; 4] = ["visited", "chosen", "promised", "chances"];

impl PathDecoder {
    /// Creates a decoder of paths on `world` with the weights in `weights`, which may change between steps.
    ///
    /// # Errors
    /// No memory.
    ///
    /// # Panics
    /// If the model does not predict classes of returns from observations.
    pub fn new(
        gpu: &Gpu,
        model: &DecisionTransformer,
        world: &DirectedGraph,
        prior: Prior,
        weights: BufferView,
    ) -> Result<Self, AgentError> {
        let graph = Graph::new();
        build(&graph, model, world, prior);
        let plan = Plan::new(&graph, &gpu.target())?;
        let nodes = world.nodes();
        let identity = (0..nodes * nodes).map(|place| f32::from(u8::from(place % (nodes + 1) == 0))).collect();
        let values = Values::from([
            ("identity".into(), Data::F32(identity)),
            ("transitions".into(), transitions(world)),
            ("prior".into(), Data::F32(prior.log_weights())),
        ]);
        let session = Session::on_buffers(gpu, plan, &values, &BTreeMap::from([("weights".to_owned(), weights)]))?;
        let mut decoder =
            Self { session, lanes: nodes, steps: prior.steps, context: model.context(), goal: world.goal() };
        decoder.begin(0.0, 0)?;
        Ok(decoder)
    }

    /// Takes the goal of `world`, the same graph with another one; call [`begin`](Self::begin) before the next step. The
    /// network knows of it once its weights have learnt it.
    ///
    /// # Errors
    /// The device failed or was lost.
    pub fn aim(&mut self, world: &DirectedGraph) -> Result<(), SessionError> {
        self.goal = world.goal();
        self.session.write("transitions", &transitions(world))
    }

    /// Puts every lane on its node, before its first step.
    ///
    /// The first step is taken for a path of length `asked`, the next for one less and so on; from 0 on the transformer
    /// chooses. Lengths to which it gives less than `least` are then left aside where there is another: a softmax never
    /// says 0, and the prior makes much of what it says instead. A `least` of 0 leaves none aside, as in the paper.
    ///
    /// # Errors
    /// The device failed or was lost.
    pub fn begin(&mut self, least: f32, asked: usize) -> Result<(), SessionError> {
        let (lanes, context) = (self.lanes, self.context);
        // A window without a past: its last place alone is a step.
        let last = |value: &dyn Fn(usize) -> f32| {
            let places = (0..lanes).flat_map(|lane| (0..context).map(move |place| (lane, place)));
            Data::F32(places.map(|(lane, place)| if place + 1 == context { value(lane) } else { 0.0 }).collect())
        };
        self.session.write("nodes", &last(&|lane| lane as f32))?;
        self.session.write("mask", &last(&|_| 1.0))?;
        self.session.write("returns", &last(&|_| 0.0))?;
        self.session.write("actions", &last(&|_| 0.0))?;
        self.session.write("asked", &Data::F32(vec![asked.min(self.steps) as f32]))?;
        self.session.write("least", &Data::F32(vec![least.max(f32::MIN_POSITIVE).ln()]))?;
        self.session.write("step", &Data::U32(vec![0]))
    }

    /// Submits steps of all lanes, and the readback of their paths. With 0 steps, the readback alone.
    ///
    /// # Errors
    /// The device failed or was lost.
    pub fn submit(&mut self, steps: usize) -> Result<Ticket, SessionError> {
        self.session.submit(steps)?;
        self.session.submit_readback(&RECORDED)
    }

    /// Returns the path of each lane by the values of a ticket after this many steps in all, at most T.
    ///
    /// # Panics
    /// If the values are not those of a ticket of this decoder.
    pub fn paths(&self, values: &[Data], steps: usize) -> Vec<GeneratedPath> {
        let [visited, chosen, promised, chances] = values else { panic!("expected {RECORDED:?}") };
        let (lanes, classes) = (self.lanes, self.steps + 2);
        let at = |values: &Data, step: usize, lane: usize| values.f32()[step * lanes + lane] as usize;
        let path = |lane: usize| {
            let mut path =
                GeneratedPath { nodes: vec![lane], actions: Vec::new(), lengths: Vec::new(), chances: Vec::new() };
            let mut node = lane;
            // A lane that is at the goal goes on without moving.
            for step in 0..steps.min(self.steps) {
                if node == self.goal {
                    break;
                }
                node = at(visited, step, lane);
                path.nodes.push(node);
                path.actions.push(at(chosen, step, lane));
                path.lengths.push(at(promised, step, lane));
                path.chances.push(chances.f32()[(step * lanes + lane) * classes..][..classes].to_vec());
            }
            path
        };
        (0..lanes).map(path).collect()
    }

    /// Returns T, the most steps of a path.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

/// The node at which each choice of each node ends.
fn transitions(world: &DirectedGraph) -> Data {
    let nodes = 0..world.nodes();
    let pairs = nodes.clone().flat_map(|node| nodes.clone().map(move |towards| (node, towards)));
    Data::F32(pairs.map(|(node, towards)| world.step(node, towards) as f32).collect())
}

/// One step of all lanes.
fn build<'g>(graph: &'g Graph, model: &DecisionTransformer, world: &DirectedGraph, prior: Prior) {
    let (nodes, context) = (world.nodes(), model.context());
    let lanes = nodes;
    let steps = prior.steps;
    let identity = graph.input("identity", TensorType::f32([nodes, nodes]));
    let transitions = graph.input("transitions", TensorType::f32([nodes * nodes, 1]));
    let prior = graph.input("prior", TensorType::f32([steps + 2]));
    let least = graph.input("least", TensorType::f32([]));
    let zero = graph.constant(0.0);
    // The length asked for at this step; 0 leaves the choice to the transformer.
    let asked = graph.state("asked", Tag::Bookkeeping, TensorType::f32([1]));
    let weights = model.parameters().state(graph, "weights");
    let weights = model.parameters().of(weights);
    // (lanes, context) each: the window, whose last place is the present step.
    let past = |name| graph.state(name, Tag::Bookkeeping, TensorType::f32([lanes, context]));
    let [places, returns, actions, mask] = ["nodes", "returns", "actions", "mask"].map(past);
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let ring = |name, width| graph.state(name, Tag::Bookkeeping, TensorType::f32([steps, width]));

    // Times count from the first step of the window, as in training: 0 in padding.
    let length = mask.sum(1).reshape([lanes, 1]);
    let numbers: Vec<Tensor<'g>> = (0..context).map(|place| graph.constant(place as f32).reshape([1, 1])).collect();
    let numbers = graph.concatenate(&numbers, 1);
    let times = (numbers + length - context as f32).max(zero).cast(Element::U32);
    let observations = identity.gather(places.cast(Element::U32));
    let window = |returns, actions| Window { returns, observations, actions, times, mask };
    // Past columns, and a new one.
    let shifted = |tensor: Tensor<'g>, column: Tensor<'g>| {
        if context == 1 {
            return column;
        }
        graph.concatenate(&[tensor.narrow(1, 1, context - 1), column], 1)
    };
    let with_last = |tensor: Tensor<'g>, column: Tensor<'g>| {
        if context == 1 {
            return column;
        }
        graph.concatenate(&[tensor.narrow(1, 0, context - 1), column], 1)
    };
    let present = |tensor: Tensor<'g>| {
        let outputs = tensor.shape()[2];
        tensor.narrow(1, context - 1, 1).reshape([lanes, outputs])
    };
    let choice = |scores: Tensor<'g>| scores.argmax(1).cast(Element::F32).reshape([lanes, 1]);

    let outputs = model.forward(&weights, &window(returns, actions), Noise::NONE);
    let logits = outputs.returns.expect("the model predicts returns from observations");
    let logarithms = present(logits).log_softmax();
    let likely = logarithms.compare(Compare::Ge, least);
    let own = choice(likely.select(logarithms, logarithms - ASIDE) + prior);
    let promised = asked.compare(Compare::Gt, zero).select(asked, own);
    let returns_now = with_last(returns, promised);
    let outputs = model.forward(&weights, &window(returns_now, actions), Noise::NONE);
    let chosen = choice(present(outputs.actions));
    let actions_now = with_last(actions, chosen);
    let place = places.narrow(1, context - 1, 1);
    let next = transitions.gather((place * nodes as f32 + chosen).cast(Element::U32).reshape([lanes]));

    let row = |tensor: Tensor<'g>| tensor.reshape([lanes]);
    graph.record(ring("visited", lanes), row(next), step);
    graph.record(ring("chosen", lanes), row(chosen), step);
    graph.record(ring("promised", lanes), row(promised), step);
    let classes = steps + 2;
    graph.record(ring("chances", lanes * classes), logarithms.exp().reshape([lanes * classes]), step);
    graph.assign(asked, (asked - 1.0).max(zero));
    let blank = place * 0.0;
    graph.assign(places, shifted(places, next.reshape([lanes, 1])));
    graph.assign(returns, shifted(returns_now, blank));
    graph.assign(actions, shifted(actions_now, blank));
    graph.assign(mask, shifted(mask, blank + 1.0));
    graph.advance(step);
}

#[cfg(test)]
mod tests;
