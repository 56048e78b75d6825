//! Paths of a small untrained transformer against the rules on the host.

use fourfold_shaders::random::threefry::Random;

use super::*;
use crate::data::Actions;
use crate::models::decision_transformer::{Initialisation, Returns, Settings, Tokens};

const STEPS: usize = 6;
const CONTEXT: usize = 3;
const POWER: f64 = 2.0;

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
fn by_the_rules(host: &mut Host, world: &DirectedGraph, start: usize, least: f64, asked: usize) -> GeneratedPath {
    let mut past: Vec<[usize; 3]> = Vec::new();
    let mut path = GeneratedPath { nodes: vec![start], actions: Vec::new(), lengths: Vec::new(), chances: Vec::new() };
    while past.len() < STEPS && path.nodes[past.len()] != world.goal() {
        let step = past.len();
        past.push([path.nodes[step], 0, 0]);
        let logits = host.ask(&past, "of_returns");
        let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        let probability = |length: usize| f64::from(logits[length]).exp() / total;
        // All lengths from 1 to T where none is likely enough.
        let some = (1..=STEPS).any(|length| probability(length) >= least);
        let weight = |length: usize| match length {
            length if length == 0 || length > STEPS => -1.0,
            length if some && probability(length) < least => -1.0,
            length => probability(length) * ((STEPS + 1 - length) as f64).powf(POWER),
        };
        path.chances.push((0..STEPS + 2).map(|length| probability(length) as f32).collect());
        past[step][1] = if step < asked { asked - step } else { largest((0..STEPS + 2).map(weight)) };
        path.lengths.push(past[step][1]);
        let action = largest(host.ask(&past, "of_actions").into_iter().map(f64::from));
        past[step][2] = action;
        path.actions.push(action);
        path.nodes.push(world.step(past[step][0], action));
    }
    path
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
    let prior = Prior { steps: STEPS, power: POWER as f32 };
    let mut decoder = PathDecoder::new(&gpu, &model, &world, prior, buffer).unwrap();
    let mut longest = 0;
    for (goal, least, asked) in [(0, 0.0, 0), (0, 0.2, 0), (0, 0.0, 4), (5, 0.0, 0)] {
        let world = world.with_goal(goal);
        decoder.aim(&world).unwrap();
        decoder.begin(least, asked).unwrap();
        // In two submissions, as one who watches takes them.
        drop(decoder.submit(1).unwrap());
        let values = decoder.submit(STEPS - 1).unwrap().wait().unwrap();
        for (start, path) in decoder.paths(&values, STEPS).into_iter().enumerate() {
            let expected = by_the_rules(&mut host, &world, start, f64::from(least), asked);
            assert_eq!((&path.nodes, &path.actions), (&expected.nodes, &expected.actions), "{goal} {least} {asked}");
            assert_eq!(path.lengths, expected.lengths, "{goal} {least} {asked}");
            let pairs = path.chances.concat().into_iter().zip(expected.chances.concat());
            // Probabilities through logarithms in f32: some units of the last place of a number below 20.
            assert!(path.chances.len() == expected.chances.len());
            pairs.for_each(|(got, expected)| assert!((got - expected).abs() < 1e-5, "{got} {expected}"));
            longest = longest.max(path.actions.len());
        }
    }
    // Some windows slid.
    assert!(longest > CONTEXT);
}
