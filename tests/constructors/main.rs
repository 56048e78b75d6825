//! Constructors of the library with random arguments: each gives something whose sizes are right, or an error of one
//! sentence. Nothing panics.

#[path = "../../shaders/tests/draw/mod.rs"]
mod draw;
mod worlds;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use draw::Draw;
use fourfold::data::{Actions, Dataset, ImageShape, Steps, Trajectories};
use fourfold::evolution::problems::{Control, InfluenceBalancing, ToyRegression};
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, EvolutionStrategy, GraphProblem, InnerProblem, InnerStep,
    MemberState, Objective, OuterLoop, OuterSettings, OuterTensors, Particles, Perturbation, PopulationPlan, Renewal,
    RolloutGradientPlan, StepContext, UnrollPlan, UnrollSettings, UnrolledGradient,
};
use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, gradients};
use fourfold::models::behaviour_cloning::{self, BehaviourCloning};
use fourfold::models::decision_transformer::{self, DecisionTransformer};
use fourfold::models::{
    Architecture, AttentionNeuronModel, Classifier, PolicyNetwork, ReactiveModel, SequenceModel, TrainedPolicy,
    VisionTransformer, VisionTransformerOptions,
};
use fourfold::nn::Parameters;
use fourfold::optim::{AdamW, Optimiser, Schedule, Sgd};
use fourfold::rollout::environments::CartPole;
use fourfold::rollout::{
    self, Composition, Interface, PolicyBuffers, PolicyWeights, Sensors, VectorEnvironment, VectorPolicy,
    VectorSettings, WeightSource, Wiring,
};
use fourfold::shaders::elementwise::{Binary, binary};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::vision::{Answer, Convolution, ReactiveNetwork, VisionNeuron};
use fourfold::shaders::{Data, Element, MAX_ELEMENTS};
use fourfold::{BufferView, Gpu, Launch, wgpu};
use worlds::{environment, neuron, policy};

/// Results of calls with random arguments.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
}

impl Tally {
    /// Counts a result; an error must be a sentence.
    fn judge<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.accepted += 1;
                Some(value)
            }
            Err(error) => {
                assert!(error.to_string().len() > 15, "{error}");
                self.refused += 1;
                None
            }
        }
    }
}

/// Judges `rounds` random arguments, some of which must be accepted and some refused.
fn try_arguments(seed: u32, rounds: usize, mut judge: impl FnMut(&mut Draw, &mut Tally)) {
    let (mut draw, mut tally) = (Draw(Random::new(seed, 1)), Tally::default());
    for _ in 0..rounds {
        judge(&mut draw, &mut tally);
    }
    let Tally { accepted, refused } = tally;
    assert!(accepted > rounds / 50 && refused > rounds / 50, "{accepted} accepted, {refused} refused");
}

fn composition(draw: &mut Draw) -> Composition {
    let wiring = draw.flag(4).then(|| Wiring { interval: draw.small(), phases: draw.small(), forget: draw.flag(2) });
    let plain = Sensors { wiring, ..Sensors::default() };
    let sensors = match draw.flag(3) {
        true => Sensors { copies: draw.small(), noise_channels: draw.small(), noise: draw.factor(), ..plain },
        false => plain,
    };
    let sources = [WeightSource::Given { trace: false }, WeightSource::Given { trace: true }, WeightSource::Perturbed];
    let weights = sources[draw.0.below(3) as usize];
    Composition { environment: environment(draw), policy: policy(draw), sensors, weights }
}

fn rollout_settings(draw: &mut Draw) -> rollout::Settings {
    let [members, episodes] = [2 * draw.small().min(1 << 40), draw.small()];
    let horizon = if draw.flag(2) { draw.size() } else { 100 };
    let (allow_slow_compile, common_random_numbers) = (draw.flag(2), draw.flag(2));
    let steps = if draw.flag(2) { draw.size() } else { 1_000 };
    let settings = rollout::Settings::new(members, episodes, horizon);
    rollout::Settings { allow_slow_compile, common_random_numbers, steps, stream: draw.0.bits(), ..settings }
}

#[test]
fn rollouts() {
    try_arguments(1, 3_000, |draw, tally| {
        let (composition, settings, target) = (composition(draw), rollout_settings(draw), draw.target());
        if let Some(plan) = tally.judge(rollout::Plan::new(&composition, &settings, &target)) {
            assert!(plan.buffers().iter().all(|buffer| buffer.length <= MAX_ELEMENTS));
            assert!((1..=1 << 16).contains(&plan.dispatches()));
            assert_eq!(settings.episodes % plan.groups, 0);
        }
        let deviation = draw.factor();
        let strategy = match draw.flag(2) {
            true => EvolutionStrategy::OpenAiEs { sigma: deviation },
            false => EvolutionStrategy::Pgpe { deviation, rate: draw.factor(), fraction: draw.factor() },
        };
        tally.judge(RolloutGradientPlan::new(&composition, strategy, &settings, &target));
        composition.most_steps(composition.weight_storage(draw.flag(2), &target), &target);
    });
}

/// Descent on `x^2 / 2` by a rate that is learned, of members of any shape.
#[derive(Debug)]
struct Slope {
    parameters: usize,
    horizon: Option<usize>,
    shape: Vec<usize>,
}

impl GraphProblem for Slope {
    fn name(&self) -> &str {
        "slope"
    }
    fn parameters(&self) -> usize {
        self.parameters
    }
    fn horizon(&self) -> Option<usize> {
        self.horizon
    }
    fn states(&self) -> Vec<MemberState> {
        vec![MemberState::f32("x", &self.shape[..])]
    }
    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        vec![inner.graph.constant(1.0)]
    }
    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let x = states[0] - inner.parameter(0).exp() * states[0];
        InnerStep { states: vec![x], loss: x.square() * 0.5 }
    }
}

fn unroll_settings(draw: &mut Draw) -> UnrollSettings {
    let renewal = if draw.flag(3) { Renewal::Episode } else { Renewal::Unrolls(draw.small()) };
    let particles = if draw.flag(2) { Particles::Own } else { Particles::Shared };
    let perturbation = Perturbation { renewal, particles };
    let estimators = [
        Estimator::Perturbed { perturbation, analytic: draw.flag(4) },
        Estimator::Tbptt,
        Estimator::Rtrl,
        Estimator::Uoro,
        Estimator::Dodge(perturbation),
        Estimator::PES,
        Estimator::TRUNCATED_ES,
    ];
    let estimator = estimators[draw.0.below(7) as usize];
    let truncation = if draw.flag(4) { draw.size() } else { 1 + draw.0.below(5) as usize };
    let objective = [Objective::Sum, Objective::Last, Objective::Final][draw.0.below(3) as usize];
    let particles = 2 * draw.small().min(1 << 40);
    let settings = UnrollSettings::new(estimator, particles, truncation, draw.factor());
    let (chunks, staggered) = (if draw.flag(3) { draw.small() } else { 1 }, draw.flag(4));
    UnrollSettings { objective, chunks, staggered, common_random_numbers: !draw.flag(8), ..settings }
}

#[test]
fn estimators() {
    try_arguments(2, 1_500, |draw, tally| {
        let (settings, target) = (unroll_settings(draw), draw.target());
        let problem: Arc<dyn InnerProblem> = match draw.0.below(4) {
            0 => Arc::new(Control::shared(environment(draw), policy(draw))),
            1 => Arc::new(InfluenceBalancing),
            _ => Arc::new(ToyRegression::default()),
        };
        if let Some(plan) = tally.judge(UnrollPlan::new(problem, &settings, &target)) {
            assert!(plan.inner_steps() > 0 && plan.bytes() > 0);
        }
        let shape: Vec<usize> = (0..draw.0.below(3)).map(|_| draw.small()).collect();
        let slope = Slope { parameters: draw.small(), horizon: draw.option(), shape };
        tally.judge(UnrollPlan::new(&slope, &settings, &target));
        tally.judge(PopulationPlan::new(&slope, draw.small(), draw.small(), &target));
    });
}

/// Adds an operation with random arguments.
fn grow<'g>(graph: &'g Graph, draw: &mut Draw, tensors: &mut Vec<Tensor<'g>>) {
    let [a, b, c] = [(); 3].map(|()| tensors[draw.0.below(tensors.len() as u32) as usize]);
    let shape: Vec<usize> = match draw.flag(2) {
        true => a.shape().to_vec(),
        false => (0..draw.0.below(4)).map(|_| draw.small().min(1 << 40)).collect(),
    };
    let starts: Vec<usize> = shape.iter().map(|_| if draw.flag(4) { draw.size() } else { 0 }).collect();
    let (axis, n, m, factor) = (draw.0.below(4) as usize, draw.small(), draw.size(), draw.factor());
    let step = graph.tensor(tensors[0].value());
    let new = match draw.0.below(32) {
        0 => a.reshape(shape),
        1 => a.broadcast_to(shape),
        2 => a.permute(&starts),
        3 => a.transpose(),
        4 => a.narrow(axis, n, m),
        5 => a.slice(&starts, shape),
        6 => a.pad(&starts, shape),
        7 => a.view(m, shape),
        8 => graph.pack(&[(m, a), (n, b)], n),
        9 => graph.concatenate(&[a, b], axis),
        10 => a.matmul_transposed(b, draw.flag(2), draw.flag(2)),
        11 => a.linear(b, c),
        12 => a.gather(step),
        13 => a.scatter_add(step, m),
        14 => a.sum(axis),
        15 => a.maximum(axis),
        16 => a.argmax(axis),
        17 => a.norm(),
        18 => a.softmax(),
        19 => a.cross_entropy(b, factor),
        20 => a.layer_norm(b, c, factor),
        21 => a.attention(b, c, Default::default()),
        22 => a.dropout(step, draw.0.bits(), factor),
        23 => step.uniform(draw.0.bits(), shape),
        24 => a.select(b, c),
        25 => a.cast(if draw.flag(2) { Element::F32 } else { Element::U32 }),
        26 => gradients(a.sum_all(), &[b])[0],
        27 => graph.full(shape, factor),
        28 => a.mean_squared_error(b),
        29 => a.masked_softmax(factor, Default::default()),
        30 => {
            let schedules = [
                Schedule::Cosine { steps: n },
                Schedule::WarmUp { steps: m },
                Schedule::WarmUpCosine { warm_up: n, steps: m, least: factor },
            ];
            schedules[axis % 3].rate(graph, factor, step)
        }
        _ => a * b + c,
    };
    tensors.push(new);
}

#[test]
fn graphs() {
    try_arguments(3, 60_000, |draw, tally| {
        let graph = Graph::new();
        let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
        let flat = if draw.flag(6) { draw.size() } else { 128 };
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([flat]));
        let square = graph.input("square", TensorType::f32([8, 8]));
        let mut tensors = vec![seed, weights, square, graph.constant(draw.factor())];
        for _ in 0..draw.0.below(9) {
            grow(&graph, draw, &mut tensors);
        }
        if draw.flag(4) {
            let [beta1, beta2, epsilon, weight_decay] = [(); 4].map(|()| draw.factor());
            let optimiser = match draw.flag(2) {
                true => Optimiser::AdamW(AdamW { beta1, beta2, epsilon, weight_decay }),
                false => Optimiser::Sgd(Sgd { momentum: beta1, nesterov: draw.flag(2), weight_decay }),
            };
            let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
            optimiser.step(weights, weights * 2.0, graph.constant(0.1), step);
        }
        graph.output("last", *tensors.last().expect("there are tensors"));
        if let Some(plan) = tally.judge(Plan::new(&graph, &draw.target())) {
            assert!(graph.check().is_ok());
            assert!(plan.buffers.iter().all(|buffer| buffer.words <= MAX_ELEMENTS + 64), "{plan}");
        }
    });
}

#[test]
fn models() {
    try_arguments(4, 5_000, |draw, tally| {
        let mut parameters = Parameters::new();
        let neuron = neuron(draw);
        tally.judge(AttentionNeuronModel::new(&mut parameters, neuron));
        let weights = vec![draw.factor(); neuron.parameters().min(5_000)];
        let interface = Interface { inputs: draw.small(), actions: if draw.flag(4) { draw.size() } else { 1 } };
        tally.judge(TrainedPolicy::new(PolicyNetwork::AttentionNeuron(neuron), interface, weights));

        let layer = VisionNeuron {
            rows: draw.small(),
            columns: draw.small(),
            patch: draw.small(),
            stack: draw.small(),
            messages: draw.size(),
            dimension: draw.small(),
            ..if draw.flag(2) { VisionNeuron::pong() } else { VisionNeuron::car_racing() }
        };
        let layer = if draw.flag(2) { layer } else { VisionNeuron::pong() };
        let convolution = Convolution { channels: draw.size(), kernel: draw.small(), stride: draw.small() };
        let convolutions = vec![convolution; draw.0.below(3) as usize];
        let answer = if draw.flag(2) { Answer::Numbers } else { Answer::Choice(vec![1; draw.small().min(9)]) };
        let reactive = ReactiveNetwork { layer, convolutions, hidden: draw.size(), outputs: draw.small(), answer };
        tally.judge(ReactiveModel::new(reactive));

        let mut parameters = Parameters::new();
        let [patch, dimension, heads, classes] = [(); 4].map(|()| draw.small());
        let image =
            ImageShape::from([patch.saturating_mul(2), draw.small(), if draw.flag(2) { 1 } else { draw.small() }]);
        let (depth, dropout) = (if draw.flag(4) { draw.size() } else { 2 }, draw.factor());
        let options = VisionTransformerOptions { image, patch, dimension, depth, heads, classes, dropout };
        tally.judge(VisionTransformer::new(&mut parameters, options));
        let hidden = (0..draw.0.below(3)).map(|_| draw.small()).collect();
        let architecture = if draw.flag(2) { Architecture::Mlp { hidden } } else { Architecture::VisionTransformer };
        tally.judge(Classifier::new(&architecture, image, classes, dropout));

        let actions = if draw.flag(2) { Actions::Continuous(draw.small()) } else { Actions::Discrete(draw.small()) };
        let [observations, context, width] = [(); 3].map(|()| draw.small());
        let layers = if draw.flag(4) { draw.size() } else { 2 };
        let cloning = behaviour_cloning::Settings::new(observations, actions, context);
        let cloning = behaviour_cloning::Settings { width, layers, dropout, ..cloning };
        let transformer = decision_transformer::Settings::gym(observations, actions, context);
        let transformer = transformer.sized(width, layers, if draw.flag(2) { 1 } else { heads });
        let times = if draw.flag(2) { draw.option() } else { Some(10) };
        let transformer = decision_transformer::Settings { times, return_loss: draw.factor() - 0.1, ..transformer };
        let cloning = tally.judge(BehaviourCloning::new(cloning));
        let transformer = tally.judge(DecisionTransformer::new(transformer));
        for parameters in [cloning.as_ref().map(|m| m.parameters()), transformer.as_ref().map(|m| m.parameters())] {
            let Some(parameters) = parameters else { continue };
            let graph = Graph::new();
            parameters.state(&graph, "weights");
            assert_eq!(graph.check().is_ok(), parameters.length() <= MAX_ELEMENTS);
        }
    });
}

#[test]
fn data_sets() {
    try_arguments(5, 10_000, |draw, tally| {
        let image = ImageShape::from([draw.small(), draw.small(), if draw.flag(2) { 1 } else { draw.small() }]);
        let rows = draw.0.below(6) as usize;
        let features = image.features().min(2_000);
        let images = vec![draw.factor(); rows * features];
        let labels = (0..rows).map(|_| draw.0.below(4)).collect();
        if let Some(mut set) = tally.judge(Dataset::new("set", image, draw.small(), images, labels)) {
            assert!(!set.truncated(draw.size()).labels().is_empty());
            tally.judge(set.rows(draw.size()..draw.size()));
            tally.judge(set.pooled(draw.size()));
            tally.judge(set.split(draw.factor().into(), 1));
            set.flip_labels(draw.factor().into(), 2);
        }
        let actions = if draw.flag(2) { Actions::Continuous(draw.small()) } else { Actions::Discrete(draw.small()) };
        let observations = draw.small();
        let ends: Vec<usize> =
            (1..=draw.0.below(4) as usize).map(|e| if draw.flag(9) { draw.size() } else { 2 * e }).collect();
        let steps = ends.last().copied().unwrap_or(0).min(100);
        let steps = Steps {
            observations: vec![draw.factor(); steps * observations.min(100)],
            actions: vec![f32::from(u8::from(draw.flag(2))); steps * actions.width().min(100)],
            rewards: vec![draw.factor(); steps],
            terminated: vec![true; ends.len()],
            ends,
        };
        if let Some(data) = tally.judge(Trajectories::new("data", observations, actions, steps)) {
            assert!(data.best(draw.factor().into()).episodes() > 0);
        }
    });
}

/// A device that allows no buffer above a megabyte: what is accepted costs next to nothing.
fn small_device() -> Gpu {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).expect("an adapter");
    let limits =
        wgpu::Limits { max_buffer_size: 1 << 20, max_storage_buffer_binding_size: 1 << 20, ..wgpu::Limits::defaults() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("small limits");
    Gpu::adopt(device, queue)
}

/// A part of a buffer, of any offset and length.
fn view(draw: &mut Draw, buffers: &[wgpu::Buffer]) -> BufferView {
    let buffer = &buffers[draw.0.below(buffers.len() as u32) as usize];
    match draw.0.below(3) {
        0 => BufferView::new(buffer, draw.size() as u64, draw.size() as u64),
        1 => BufferView::from(buffer).part(draw.small(), draw.small()),
        _ => BufferView::from(buffer),
    }
}

#[test]
fn on_a_device() {
    use wgpu::BufferUsages as Usages;
    let gpu = small_device();
    let all = Usages::STORAGE | Usages::COPY_SRC | Usages::COPY_DST;
    let buffers =
        [(64, all), (64, all), (256, all), (1024, Usages::STORAGE), (64, Usages::COPY_DST)].map(|(size, usage)| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        });
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4, 4]));
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([4, 4]));
    graph.output("y", x.matmul(weights));
    let plan = Arc::new(Plan::new(&graph, &gpu.target()).unwrap());
    try_arguments(6, 1_500, |draw, tally| {
        let addition = binary(Binary::Add, &[16], &[16]).unwrap();
        let views: Vec<_> = (0..2 + draw.0.below(3)).map(|_| view(draw, &buffers)).collect();
        tally.judge(gpu.prepare(&[Launch::new(&addition, &views)]));
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let parts: Vec<_> = views.iter().map(|view| (view.clone(), Element::F32)).collect();
        if draw.flag(8) {
            tally.judge(gpu.encode_readback(&mut encoder, &parts));
            gpu.queue().submit([encoder.finish()]);
        }
        let name = |draw: &mut Draw| ["x", "y", "weights", "z", ""][draw.0.below(5) as usize];
        let values = vec![draw.factor(); if draw.flag(2) { 16 } else { draw.small().min(1_000) }];
        let given = BTreeMap::from([(name(draw).to_owned(), view(draw, &buffers))]);
        let session = Session::builder(&gpu, plan.clone()).value(name(draw), Data::F32(values.clone()));
        let session = if draw.flag(2) { session.on_buffers(&given) } else { session };
        if let Some(mut session) = tally.judge(session.build()) {
            tally.judge(session.write(name(draw), &Data::F32(values)));
            tally.judge(session.buffer(name(draw)));
        }
        let lanes = if draw.flag(4) { draw.size() } else { 2 };
        let settings = VectorSettings { trace: draw.flag(4), ..VectorSettings::new(lanes, draw.small(), 7) };
        if draw.flag(4) {
            tally.judge(VectorEnvironment::new(&gpu, CartPole, &settings));
        }
        let interface = Interface { inputs: draw.small(), actions: draw.small() };
        let policy = policy(draw);
        let weights = PolicyWeights::Own(vec![0.5; policy.weights(interface).min(2_000)]);
        let acting = PolicyBuffers::new(view(draw, &buffers), view(draw, &buffers));
        tally.judge(VectorPolicy::new(&gpu, policy, interface, weights, acting));
    });
    let outer = OuterTensors::new(&gpu, &[-4.0, -4.0], 1).unwrap();
    let problem = Arc::new(ToyRegression::default());
    try_arguments(7, 60, |draw, tally| {
        let settings = UnrollSettings::new(Estimator::PES, 4, 10, 0.1);
        let source = UnrolledGradient::new(&gpu, problem.clone(), &settings, &outer).unwrap();
        let (beta1, beta2) = (f64::from(draw.factor()), f64::from(draw.factor()));
        let adam = Descent::Adam { beta1, beta2, epsilon: draw.factor(), weight_decay: draw.factor() };
        let descent = if draw.flag(2) { Descent::Sgd } else { adam };
        let clip = draw.flag(3).then(|| draw.factor());
        let settings = OuterSettings { descent, rate: draw.factor(), clip, ring: draw.small() };
        tally.judge(OuterLoop::new(&gpu, outer.clone(), Box::new(source), settings));
        let steps = draw.option();
        let evaluated = EvaluatorSettings { points: draw.small(), episodes: draw.small(), steps, key: 3 };
        tally.judge(Evaluator::new(&gpu, problem.clone(), &evaluated));
    });
}
