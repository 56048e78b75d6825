//! Paths that a transformer generates: at each step first the return, then the action that goes with it.

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, Values};
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::Noise;
use fourfold::shaders::elementwise::Compare;
use fourfold::shaders::{Data, Element};

use super::{DirectedGraph, Walk};
use crate::failure::Failure;

/// The choice of returns: `P(R = k) ~ P_transformer(k) P_prior(k)^power` with `P_prior(k) ~ T + 1 - k`, the k of the
/// highest probability. `k` is a path length; "never" has prior 0, and so has 0, since an agent that still walks is not
/// at the goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// T, the longest path.
    pub steps: usize,
    pub power: f32,
}

/// Stands for the logarithm of 0, and stays finite in sums.
const LOG_OF_ZERO: f32 = -1e9;

/// Subtracted from the logarithm of what is left aside: more than priors and probabilities differ by.
const ASIDE: f32 = 1e4;

impl Prior {
    /// `power log P_prior` of each class, but for a constant: path lengths from 0 to T, then "never".
    pub fn log_weights(&self) -> Vec<f32> {
        let of = |length: usize| match length {
            length if length == 0 || length > self.steps => LOG_OF_ZERO,
            length => self.power * ((self.steps + 1 - length) as f32).ln(),
        };
        (0..=self.steps + 1).map(of).collect()
    }
}

/// Generates a path from every node at once, and reads them back when all are done. One run of its plan is a step of all: the
/// transformer sees the window twice, for the return and with it in place for the action, and the state follows the
/// edges.
#[derive(Debug)]
pub struct Decoder {
    session: Session,
    /// One for each node.
    lanes: usize,
    steps: usize,
    context: usize,
    goal: usize,
}

/// The path from each node: nothing in a path is left to chance, so paths from one start are one path.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decoded {
    /// Up to the goal, or of all steps.
    pub walks: Vec<Walk>,
    /// The path length that was predicted at the start of each.
    pub predicted: Vec<usize>,
}

impl Decoder {
    /// A decoder of paths on `world` with the weights in `weights`.
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
    ) -> Result<Self, Failure> {
        let graph = Graph::new();
        build(&graph, model, world, prior);
        let plan = Plan::new(&graph, &gpu.target())?;
        let nodes = world.nodes();
        let lanes = nodes;
        let pairs = (0..nodes).flat_map(|node| (0..nodes).map(move |towards| (node, towards)));
        let transitions = pairs.map(|(node, towards)| world.step(node, towards) as f32).collect();
        let identity = (0..nodes * nodes).map(|place| f32::from(u8::from(place % (nodes + 1) == 0))).collect();
        let values = Values::from([
            ("identity".into(), Data::F32(identity)),
            ("transitions".into(), Data::F32(transitions)),
            ("prior".into(), Data::F32(prior.log_weights())),
        ]);
        let session = Session::on_buffers(gpu, plan, &values, &BTreeMap::from([("weights".to_owned(), weights)]))?;
        Ok(Self { session, lanes, steps: prior.steps, context: model.context(), goal: world.goal() })
    }

    /// The path from every node, with the weights as they are now.
    ///
    /// Lengths to which the transformer gives less than `least` are left aside where there is another: a softmax never
    /// says 0, and the prior makes much of what it says instead. A `least` of 0 leaves none aside, as in the paper.
    pub fn decode(&mut self, least: f32) -> Result<Decoded, Failure> {
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
        self.session.write("least", &Data::F32(vec![least.max(f32::MIN_POSITIVE).ln()]))?;
        self.session.write("step", &Data::U32(vec![0]))?;
        self.session.submit(self.steps)?;
        let values = self.session.submit_readback(&["visited", "chosen", "promised"])?.wait()?;
        let [visited, chosen, promised] = &values[..] else { unreachable!("three tensors were asked for") };
        let at = |values: &Data, step: usize, lane: usize| values.f32()[step * lanes + lane] as usize;
        let walk = |lane: usize| {
            let mut walk = Walk { nodes: vec![lane], actions: Vec::new() };
            let mut node = lane;
            // A lane that is at the goal goes on without moving.
            for step in 0..self.steps {
                if node == self.goal {
                    break;
                }
                node = at(visited, step, lane);
                walk.nodes.push(node);
                walk.actions.push(at(chosen, step, lane));
            }
            walk
        };
        let walks = (0..lanes).map(walk).collect();
        let predicted = (0..lanes).map(|lane| at(promised, 0, lane)).collect();
        Ok(Decoded { walks, predicted })
    }
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
    let weights = model.parameters().state(graph, "weights");
    let weights = model.parameters().of(weights);
    // (lanes, context) each: the window, whose last place is the present step.
    let past = |name| graph.state(name, Tag::Bookkeeping, TensorType::f32([lanes, context]));
    let [places, returns, actions, mask] = ["nodes", "returns", "actions", "mask"].map(past);
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let ring = |name| graph.state(name, Tag::Bookkeeping, TensorType::f32([steps, lanes]));

    // Times count from the first step of the window, as in training: 0 in padding.
    let length = mask.sum(1).reshape([lanes, 1]);
    let numbers: Vec<Tensor<'g>> = (0..context).map(|place| graph.constant(place as f32).reshape([1, 1])).collect();
    let numbers = graph.concatenate(&numbers, 1);
    let times = (numbers + length - context as f32).max(graph.constant(0.0)).cast(Element::U32);
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
    let promised = choice(likely.select(logarithms, logarithms - ASIDE) + prior);
    let returns_now = with_last(returns, promised);
    let outputs = model.forward(&weights, &window(returns_now, actions), Noise::NONE);
    let chosen = choice(present(outputs.actions));
    let actions_now = with_last(actions, chosen);
    let place = places.narrow(1, context - 1, 1);
    let next = transitions.gather((place * nodes as f32 + chosen).cast(Element::U32).reshape([lanes]));

    let row = |tensor: Tensor<'g>| tensor.reshape([lanes]);
    graph.record(ring("visited"), row(next), step);
    graph.record(ring("chosen"), row(chosen), step);
    graph.record(ring("promised"), row(promised), step);
    let zero = place * 0.0;
    graph.assign(places, shifted(places, next.reshape([lanes, 1])));
    graph.assign(returns, shifted(returns_now, zero));
    graph.assign(actions, shifted(actions_now, zero));
    graph.assign(mask, shifted(mask, zero + 1.0));
    graph.advance(step);
}

#[cfg(test)]
mod tests {
    use fourfold::data::Actions;
    use fourfold::models::decision_transformer::{Initialisation, Returns, Settings, Tokens};
    use fourfold::shaders::random::threefry::Random;

    use super::*;

    const STEPS: usize = 6;
    const CONTEXT: usize = 3;

    fn model(nodes: usize) -> DecisionTransformer {
        let settings = Settings {
            times: Some(CONTEXT),
            tokens: Tokens::ObservationReturnAction,
            returns: Returns::Classes(STEPS + 2),
            initialisation: Initialisation::Original,
            ..Settings::gym(nodes, Actions::Discrete(nodes), CONTEXT).sized(16, 2, 2)
        };
        DecisionTransformer::new(settings).unwrap()
    }

    /// One window at a time, put together by the host.
    struct Host {
        session: Session,
        nodes: usize,
    }

    impl Host {
        fn new(gpu: &Gpu, model: &DecisionTransformer, nodes: usize, weights: &Data) -> Self {
            let graph = Graph::new();
            let input = |name: &str, shape: &[usize]| graph.input(name, TensorType::f32(shape));
            let window = Window {
                returns: input("returns", &[1, CONTEXT]),
                observations: input("observations", &[1, CONTEXT, nodes]),
                actions: input("actions", &[1, CONTEXT, 1]),
                times: graph.input("times", TensorType::u32([1, CONTEXT])),
                mask: input("mask", &[1, CONTEXT]),
            };
            let flat = model.parameters().state(&graph, "weights");
            let outputs = model.forward(&model.parameters().of(flat), &window, Noise::NONE);
            graph.output("of_returns", outputs.returns.unwrap());
            graph.output("of_actions", outputs.actions);
            let values = Values::from([("weights".into(), weights.clone())]);
            Self { session: Session::new(gpu, Plan::new(&graph, &gpu.target()).unwrap(), &values).unwrap(), nodes }
        }

        /// The last step's outputs after a past of (node, return, action).
        fn ask(&mut self, past: &[[usize; 3]], output: &str) -> Vec<f32> {
            let window = &past[past.len().saturating_sub(CONTEXT)..];
            let padding = CONTEXT - window.len();
            let column = |index: usize| {
                let values = window.iter().map(|step| step[index] as f32);
                Data::F32(vec![0.0; padding].into_iter().chain(values).collect())
            };
            let mut observations = vec![0.0; CONTEXT * self.nodes];
            for (place, step) in window.iter().enumerate() {
                observations[(padding + place) * self.nodes + step[0]] = 1.0;
            }
            let times = vec![0; padding].into_iter().chain(0..window.len() as u32).collect();
            let mask = (0..CONTEXT).map(|place| f32::from(u8::from(place >= padding))).collect();
            self.session.write("returns", &column(1)).unwrap();
            self.session.write("observations", &Data::F32(observations)).unwrap();
            self.session.write("actions", &column(2)).unwrap();
            self.session.write("times", &Data::U32(times)).unwrap();
            self.session.write("mask", &Data::F32(mask)).unwrap();
            self.session.submit(1).unwrap();
            let values = self.session.read(output).unwrap();
            let width = values.f32().len() / CONTEXT;
            values.f32()[(CONTEXT - 1) * width..].to_vec()
        }
    }

    fn largest(values: impl Iterator<Item = f64>) -> usize {
        let numbered = values.enumerate();
        numbered.fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
    }

    /// The path that the rules give, in f64 on the host.
    fn by_the_rules(host: &mut Host, world: &DirectedGraph, start: usize, power: f64, least: f64) -> (Walk, usize) {
        let mut past: Vec<[usize; 3]> = Vec::new();
        let mut walk = Walk { nodes: vec![start], actions: Vec::new() };
        while past.len() < STEPS && walk.nodes[past.len()] != world.goal() {
            past.push([walk.nodes[past.len()], 0, 0]);
            let logits = host.ask(&past, "of_returns");
            let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            let probability = |length: usize| f64::from(logits[length]).exp() / total;
            // All lengths from 1 to T where none is likely enough.
            let some = (1..=STEPS).any(|length| probability(length) >= least);
            let weight = |length: usize| match length {
                length if length == 0 || length > STEPS => -1.0,
                length if some && probability(length) < least => -1.0,
                length => probability(length) * ((STEPS + 1 - length) as f64).powf(power),
            };
            past.last_mut().unwrap()[1] = largest((0..STEPS + 2).map(weight));
            let action = largest(host.ask(&past, "of_actions").into_iter().map(f64::from));
            past.last_mut().unwrap()[2] = action;
            walk.actions.push(action);
            walk.nodes.push(world.step(past[past.len() - 1][0], action));
        }
        (walk, past.first().map_or(0, |step| step[1]))
    }

    #[test]
    fn paths_are_those_of_the_rules_followed_step_by_step_on_the_host() {
        let gpu = Gpu::open().unwrap();
        let world = DirectedGraph::random(9, 0.5, &mut Random::new(2, 0));
        let model = model(world.nodes());
        // Large weights, so that what a window holds shows in what is chosen.
        let initial = model.parameters().initial(4);
        let weights = Data::F32(initial.f32().iter().map(|weight| 3.0 * weight).collect());
        let buffer = gpu.upload("weights", &weights).unwrap();
        let mut host = Host::new(&gpu, &model, world.nodes(), &weights);
        let mut decoder = Decoder::new(&gpu, &model, &world, Prior { steps: STEPS, power: 2.0 }, buffer).unwrap();
        let mut longest = 0;
        for least in [0.0, 0.2] {
            let decoded = decoder.decode(least).unwrap();
            for (start, walk) in decoded.walks.iter().enumerate() {
                let (expected, promised) = by_the_rules(&mut host, &world, start, 2.0, f64::from(least));
                assert_eq!(*walk, expected, "least {least}");
                if start != world.goal() {
                    assert_eq!(decoded.predicted[start], promised);
                }
                longest = longest.max(walk.actions.len());
            }
        }
        // Some windows slid.
        assert!(longest > CONTEXT);
    }
}
