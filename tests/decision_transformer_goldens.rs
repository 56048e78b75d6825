//! The decision transformer against PyTorch: predictions, losses, every gradient and twenty losses of training, of the
//! files in `tests/goldens/decision_transformer`, whose README says what they hold.

use std::collections::BTreeMap;
use std::path::Path;

use fourfold::Gpu;
use fourfold::data::{Actions, Checkpoint, FrameShape, Frames, Steps, Trajectories};
use fourfold::graph::{Graph, Plan, Reference, Session, Shape, Tag, TensorType, TwinSession, Values, gradients};
use fourfold::models::decision_transformer::{DecisionTransformer, DropoutRates, Positions, Returns, Settings, Tokens};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, Starts};
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::{Activation, Noise, NormPlacement};
use fourfold::optim::{AdamW, Optimiser, Schedule, clip_by_global_norm};
use fourfold::shaders::{Data, Element, Target};

const STEPS: usize = 20;

/// Half a unit in the last place of the stored f32, and as much again for f64 constants rounded to f32 on the way.
const STORED: f64 = 1.5e-7;
/// The tolerance of a float32 implementation, as the README of the goldens derives it.
const SINGLE: f64 = 1e-5;

/// The training of a golden file.
#[derive(Clone, Copy)]
struct Training {
    rate: f32,
    warm_up: usize,
    clip: f32,
    optimiser: AdamW,
}

/// The paper's settings, but for the length of the warm-up.
const PAPER: Training = Training {
    rate: 1e-4,
    warm_up: 10,
    clip: 0.25,
    optimiser: AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-4 },
};

const FAST: Training = Training {
    rate: 6e-3,
    warm_up: 4,
    clip: 1.0,
    optimiser: AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 },
};

struct Golden {
    file: Checkpoint,
    model: DecisionTransformer,
    training: Training,
    /// Inputs and weights at the starting point.
    start: Values,
}

fn load(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/decision_transformer");
    Checkpoint::load(&folder.join(format!("{name}.safetensors"))).expect("a golden file")
}

fn small(actions: Actions) -> Settings {
    let settings = Settings::gym(4, actions, 5).sized(16, 2, 2);
    Settings { times: Some(9), dropout: DropoutRates::NONE, ..settings }
}

impl Golden {
    fn new(name: &str, settings: Settings, training: Training) -> Self {
        let (file, model) = (load(name), DecisionTransformer::new(settings).expect("sizes of a network"));
        let mut parameters = BTreeMap::new();
        let mut start = Values::new();
        for (tensor, shape, values) in file.tensors() {
            if let Some(name) = tensor.strip_prefix("parameter.") {
                parameters.insert(name.to_owned(), (Shape::from(shape.to_vec()), values.f32().to_vec()));
            } else if ["returns", "observations", "actions", "times", "mask"].contains(&tensor) {
                start.insert(tensor.to_owned(), values.clone());
            }
        }
        start.insert("weights".into(), model.parameters().pack(&parameters).expect("the parameters of the model"));
        Self { file, model, training, start }
    }

    fn continuous() -> Self {
        Self::new("continuous", small(Actions::Continuous(3)), PAPER)
    }

    fn discrete() -> Self {
        Self::new("discrete", small(Actions::Discrete(4)), FAST)
    }

    fn return_classes() -> Self {
        let settings = Settings {
            tokens: Tokens::ObservationReturnAction,
            returns: Returns::Classes(5),
            return_loss: 1.0,
            activation: Activation::GeluErf,
            norm: NormPlacement::After,
            ..small(Actions::Discrete(4))
        };
        Self::new("return_classes", settings, FAST)
    }

    /// Embeddings with a tanh, places in the window and one time for it, a head without bias.
    fn atari() -> Self {
        let settings = Settings::atari(4, 4, 5, 9).sized(16, 2, 2);
        Self::new("atari", Settings { dropout: DropoutRates::NONE, ..settings }, FAST)
    }

    /// The published network for Hopper, its starting point by the rule of the generator.
    fn hopper() -> Self {
        let settings = Settings::gym(11, Actions::Continuous(3), 20);
        let model = DecisionTransformer::new(Settings { dropout: DropoutRates::NONE, ..settings }).unwrap();
        let weights = hashed_weights(&model);
        let file = load("hopper");
        let lengths = file.u32("lengths", &[8]).expect("lengths of the windows");
        let steps: Vec<_> = lengths.iter().enumerate().flat_map(|(i, &n)| (0..20).map(move |k| (i, n, k))).collect();
        let mask: Vec<f32> = steps.iter().map(|&(_, n, k)| f32::from(k + n >= 20)).collect();
        let times = steps.iter().map(|&(i, n, k)| if k + n >= 20 { 113 * i as u32 + k + n - 20 } else { 0 });
        let masked = |number: usize, width: usize, scale: f32| {
            let values = (0..mask.len() * width).map(|index| scale * hashed(number, index) * mask[index / width]);
            Data::F32(values.collect())
        };
        let start = [
            ("returns", masked(101, 1, 2.0)),
            ("observations", masked(102, 11, 2.0)),
            ("actions", masked(103, 3, 1.0)),
            ("times", Data::U32(times.collect())),
            ("mask", Data::F32(mask.clone())),
            ("weights", weights),
        ];
        let start = start.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
        Self { file, model, training: PAPER, start }
    }

    fn window<'g>(&self, graph: &'g Graph) -> Window<'g> {
        let context = self.model.context();
        let batch = self.start["mask"].len() / context;
        let input = |name: &str, width: &[usize]| {
            let shape = [&[batch, context], width].concat();
            graph.input(name, TensorType { element: self.start[name].element(), shape: Shape::from(shape) })
        };
        Window {
            returns: input("returns", &[]),
            observations: input("observations", &[self.model.observations()]),
            actions: input("actions", &[self.model.actions().width()]),
            times: input("times", &[]),
            mask: input("mask", &[]),
        }
    }

    /// The tensor of this name in the file.
    fn stored(&self, name: &str) -> &[f32] {
        let found = self.file.tensors().find(|(tensor, ..)| *tensor == name);
        found.unwrap_or_else(|| panic!("no `{name}` in the golden file")).2.f32()
    }

    /// Checks each parameter's gradient.
    fn check_gradient(&self, flat: &[f64], tolerance: f64) {
        for parameter in self.model.parameters().iter() {
            let got = &flat[parameter.offset..][..parameter.shape.elements()];
            check(
                &format!("gradient.{}", parameter.name),
                got,
                self.stored(&format!("gradient.{}", parameter.name)),
                tolerance,
            );
        }
    }

    /// Checks the largest magnitude, the norm and some elements of each parameter's gradient.
    fn check_summaries(&self, gradient: &[f64]) {
        for parameter in self.model.parameters().iter() {
            let name = &parameter.name;
            let got = &gradient[parameter.offset..][..parameter.shape.elements()];
            let largest = got.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let norm = got.iter().map(|value| value * value).sum::<f64>().sqrt();
            check(&format!("largest.{name}"), &[largest], self.stored(&format!("largest.{name}")), SINGLE);
            check(&format!("norm.{name}"), &[norm], self.stored(&format!("norm.{name}")), SINGLE);
            let sample = self.stored(&format!("sample.{name}"));
            let times = name == "embed_timestep.weight";
            let kept: Vec<f64> = got.iter().copied().filter(|&value| !times || value != 0.0).collect();
            let spread = kept.iter().copied().step_by((kept.len() / 16).max(1)).take(16);
            check_scaled(&format!("sample.{name}"), &spread.collect::<Vec<_>>(), sample, SINGLE * largest);
        }
    }

    /// A training step, with the outputs `actions`, `returns`, `loss` (all before it) and `gradient`.
    fn training_step(&self) -> Graph {
        let graph = Graph::new();
        let window = self.window(&graph);
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([self.model.parameters().length()]));
        let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
        let bound = self.model.parameters().of(weights);
        let outputs = self.model.forward(&bound, &window, Noise::NONE);
        let loss = self.model.loss(&bound, &window, Noise::NONE);
        let gradient = gradients(loss, &[weights])[0];
        graph.output("actions", outputs.actions);
        if let Some(returns) = outputs.returns {
            graph.output("returns", returns);
        }
        graph.output("loss", loss);
        graph.output("gradient", gradient);
        let Training { rate, warm_up, clip, optimiser } = self.training;
        let rate = Schedule::WarmUp { steps: warm_up }.rate(&graph, rate, step);
        Optimiser::AdamW(optimiser).step(weights, clip_by_global_norm(gradient, clip), rate, step);
        graph
    }

    /// Predictions with zeros where there is padding, as the file has them.
    fn masked(&self, predictions: &[f64]) -> Vec<f64> {
        let mask = self.start["mask"].f32();
        let width = predictions.len() / mask.len();
        predictions.iter().enumerate().map(|(index, value)| value * f64::from(mask[index / width])).collect()
    }

    /// Trains twenty steps, and compares each loss and the first step's predictions and gradients.
    fn check_training(&self, mut run: impl FnMut(), read: impl Fn(&str) -> Data, gradient: impl Fn(&[f64])) {
        for step in 0..STEPS {
            run();
            let read = |name: &str| wide(&read(name));
            check(&format!("losses[{step}]"), &read("loss"), &self.stored("losses")[step..][..1], SINGLE);
            if step > 0 {
                continue;
            }
            check("actions", &self.masked(&read("actions")), self.stored("predictions.actions"), SINGLE);
            if self.model.settings().return_loss != 0.0 {
                check("returns", &self.masked(&read("returns")), self.stored("predictions.returns"), SINGLE);
            }
            gradient(&read("gradient"));
        }
    }

    fn check_on_the_gpu(&self, gradient: impl Fn(&[f64])) {
        let gpu = Gpu::open().expect("an adapter");
        let plan = Plan::new(&self.training_step(), &gpu.target()).expect("a graph without mistakes");
        let session = std::cell::RefCell::new(Session::new(&gpu, plan, &self.start).expect("a session"));
        let run = || session.borrow_mut().submit(1).expect("a step");
        self.check_training(run, |name| session.borrow_mut().read(name).expect("a value of the plan"), gradient);
    }

    fn check_on_the_twins(&self) {
        let plan = Plan::new(&self.training_step(), &Target::default()).expect("a graph without mistakes");
        let session = std::cell::RefCell::new(TwinSession::new(plan, &self.start).expect("a session"));
        let run = || session.borrow_mut().run(1);
        let gradient = |flat: &[f64]| self.check_gradient(flat, SINGLE);
        self.check_training(run, |name| session.borrow().read(name).expect("a value of the plan"), gradient);
    }

    /// Predictions, the loss and the gradients by the rules in f64.
    fn check_rules(&self) {
        let graph = Graph::new();
        let window = self.window(&graph);
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([self.model.parameters().length()]));
        let bound = self.model.parameters().of(weights);
        let outputs = self.model.forward(&bound, &window, Noise::NONE);
        let loss = self.model.loss(&bound, &window, Noise::NONE);
        let gradient = gradients(loss, &[weights])[0];
        let reference = Reference::new(self.start.iter().map(|(name, data)| (name.clone(), wide(data))));
        let acting = self.model.act(&bound, &window);
        let asked: Vec<_> = [loss, gradient, outputs.actions, acting].into_iter().chain(outputs.returns).collect();
        let values = reference.evaluate_all(&asked).expect("values for all");
        check("loss", &values[0], self.stored("loss"), STORED);
        self.check_gradient(&values[1], STORED);
        check("actions", &self.masked(&values[2]), self.stored("predictions.actions"), STORED);
        if self.model.settings().positions == Positions::Window {
            check("acting", &values[3], self.stored("predictions.acting"), STORED);
        }
        if let Some(returns) = values.get(4) {
            check("returns", &self.masked(returns), self.stored("predictions.returns"), STORED);
        }
    }
}

/// The starting point of a network by the rule of the generator.
fn hashed_weights(model: &DecisionTransformer) -> Data {
    let mut weights = vec![0.0; model.parameters().length()];
    for (number, parameter) in model.parameters().iter().enumerate() {
        let norm = parameter.name.contains("norm") || parameter.name.contains("ln");
        let one = if norm && parameter.name.ends_with("weight") { 1.0 } else { 0.0 };
        let values = &mut weights[parameter.offset..][..parameter.shape.elements()];
        values.iter_mut().enumerate().for_each(|(index, value)| *value = one + hashed(number, index) / 8.0);
    }
    Data::F32(weights)
}

/// Multiples of 2^-15 from -1 below 1, as the generator makes them: the finaliser of MurmurHash3.
fn hashed(number: usize, index: usize) -> f32 {
    let mut h = index as u32 + ((number as u32) << 24);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^= h >> 16;
    (h >> 16) as f32 / 32768.0 - 1.0
}

/// Each difference must stay below `tolerance` times the largest value.
fn check(name: &str, got: &[f64], expected: &[f32], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let largest = f64::from(expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())));
    check_scaled(name, got, expected, tolerance * largest);
}

fn check_scaled(name: &str, got: &[f64], expected: &[f32], allowed: f64) {
    for (index, (got, &expected)) in got.iter().zip(expected).enumerate() {
        let difference = (got - f64::from(expected)).abs();
        let message = format!("{name}[{index}] is {got}, PyTorch's is {expected}: {difference:.1e} apart");
        assert!(difference <= allowed, "{message}, {allowed:.1e} allowed");
    }
}

fn wide(data: &Data) -> Vec<f64> {
    match data.element() {
        Element::F32 => data.f32().iter().map(|&value| f64::from(value)).collect(),
        Element::U32 => data.u32().iter().map(|&value| f64::from(value)).collect(),
    }
}

#[test]
fn predictions_and_gradients_of_continuous_actions_are_those_of_pytorch() {
    Golden::continuous().check_rules();
}

#[test]
fn predictions_and_gradients_of_discrete_actions_are_those_of_pytorch() {
    Golden::discrete().check_rules();
}

#[test]
fn predictions_and_gradients_with_return_classes_are_those_of_pytorch() {
    Golden::return_classes().check_rules();
}

#[test]
fn predictions_and_gradients_with_places_in_the_window_are_those_of_pytorch() {
    Golden::atari().check_rules();
}

#[test]
fn twenty_losses_of_continuous_actions_are_those_of_pytorch() {
    let golden = Golden::continuous();
    golden.check_on_the_gpu(|gradient| golden.check_gradient(gradient, SINGLE));
}

#[test]
fn twenty_losses_of_discrete_actions_are_those_of_pytorch() {
    let golden = Golden::discrete();
    golden.check_on_the_gpu(|gradient| golden.check_gradient(gradient, SINGLE));
}

#[test]
fn twenty_losses_with_return_classes_are_those_of_pytorch() {
    let golden = Golden::return_classes();
    golden.check_on_the_gpu(|gradient| golden.check_gradient(gradient, SINGLE));
}

#[test]
fn twenty_losses_with_places_in_the_window_are_those_of_pytorch() {
    let golden = Golden::atari();
    golden.check_on_the_gpu(|gradient| golden.check_gradient(gradient, SINGLE));
}

#[test]
fn the_twins_have_the_twenty_losses_of_pytorch() {
    for golden in [Golden::continuous(), Golden::discrete(), Golden::return_classes(), Golden::atari()] {
        golden.check_on_the_twins();
    }
}

#[test]
fn twenty_losses_of_the_published_network_are_those_of_pytorch() {
    let golden = Golden::hopper();
    golden.check_on_the_gpu(|gradient| golden.check_summaries(gradient));
}

/// Standardisation, sums of rewards, padding, masks and times come before the network here.
#[test]
fn twenty_losses_from_recorded_episodes_are_those_of_pytorch() {
    let golden = Golden::new("episodes", small(Actions::Continuous(3)), FAST);
    let lengths = golden.file.u32("recorded.lengths", &[3]).expect("lengths of the episodes");
    let ends = lengths.iter().scan(0, |end, &length| {
        *end += length as usize;
        Some(*end)
    });
    let recorded = |name: &str| golden.stored(&format!("recorded.{name}")).to_vec();
    let steps = Steps {
        observations: recorded("observations"),
        actions: recorded("actions"),
        rewards: recorded("rewards"),
        ends: ends.collect(),
        terminated: vec![true; lengths.len()],
    };
    let data = Trajectories::new("recorded", 4, Actions::Continuous(3), steps).expect("whole episodes");
    let Training { rate, warm_up, clip, optimiser } = golden.training;
    let settings = OfflineSettings {
        batch: 3,
        optimiser,
        rate,
        schedule: Schedule::WarmUp { steps: warm_up },
        clip: Some(clip),
        return_scale: 10.0,
        // All windows begin at the fourth step of the second episode, which has six.
        starts: Starts::Given(vec![6]),
        ..OfflineSettings::gym(&data)
    };
    let gpu = Gpu::open().expect("an adapter");
    let mut training = OfflineTraining::new(&gpu, &golden.model, &data, settings).expect("a training");
    training.set_weights(&golden.start["weights"]).expect("as many weights");
    training.submit(STEPS).expect("steps");
    let losses = training.losses().expect("losses of all steps");
    for (step, (&got, expected)) in losses.iter().zip(golden.stored("losses")).enumerate() {
        check(&format!("losses[{step}]"), &[got.into()], &[*expected], SINGLE);
    }
    assert_eq!(losses.len(), STEPS);
}

/// The network for Atari with its convolutions, on pictures of 44 x 44, and the recorded steps by the rule of the generator.
fn seen() -> (Golden, Trajectories) {
    let shape = FrameShape { rows: 44, columns: 44, stack: 4 };
    let settings = Settings::atari_frames(shape, 4, 5, 9).sized(16, 2, 2);
    let model = DecisionTransformer::new(Settings { dropout: DropoutRates::NONE, ..settings }).unwrap();
    let numbers = |number: usize, count: usize| (0..count).map(move |index| hashed(number, index));
    let steps = Steps {
        observations: Vec::new(),
        actions: numbers(103, 11).map(|number| ((number + 1.0) * 2.0).floor()).collect(),
        rewards: numbers(102, 11).map(|number| 2.0 * number).collect(),
        ends: vec![3, 9, 11],
        terminated: vec![true; 3],
    };
    let pixels = numbers(101, 11 * shape.pixels()).map(|number| ((number + 1.0) * 128.0).floor() as u8).collect();
    let data = Trajectories::of_frames("seen", Frames { shape, pixels }, Actions::Discrete(4), steps).unwrap();
    let start = Values::from([("weights".to_owned(), hashed_weights(&model))]);
    (Golden { file: load("frames"), model, training: FAST, start }, data)
}

/// Bytes, stacks that begin before their episode, and decay of matrices alone come before and behind the network here.
#[test]
fn twenty_losses_from_recorded_pictures_are_those_of_pytorch() {
    let (golden, data) = seen();
    let Training { rate, warm_up, clip, optimiser } = golden.training;
    let settings = OfflineSettings {
        batch: 2,
        optimiser,
        rate,
        schedule: Schedule::WarmUp { steps: warm_up },
        clip: Some(clip),
        starts: Starts::Given(vec![4]),
        ..OfflineSettings::atari(&data, 5)
    };
    let gpu = Gpu::open().expect("an adapter");
    let mut training = OfflineTraining::new(&gpu, &golden.model, &data, settings).expect("a training");
    training.set_weights(&golden.start["weights"]).expect("as many weights");
    training.submit(STEPS).expect("steps");
    for (step, (&got, expected)) in training.losses().unwrap().iter().zip(golden.stored("losses")).enumerate() {
        check(&format!("losses[{step}]"), &[got.into()], &[*expected], SINGLE);
    }
}

#[test]
fn gradients_of_the_network_that_sees_are_those_of_pytorch() {
    let (mut golden, data) = seen();
    let (shape, range) = (data.frames().unwrap().shape, data.range(1));
    let pixel = |step: usize, place: usize| {
        let (pixel, k) = (place / shape.stack, place % shape.stack);
        let frame = (step + k + 1).checked_sub(shape.stack).filter(|frame| range.contains(frame));
        frame.map_or(0.0, |frame| f32::from(data.frames().unwrap().pixels[frame * shape.pixels() + pixel]) / 255.0)
    };
    let steps = || 4..range.end;
    let columns = data.columns();
    let to_go = steps().map(|step| columns.rewards[step..range.end].iter().sum());
    golden.start.extend([
        ("returns".to_owned(), Data::F32(to_go.collect())),
        (
            "observations".to_owned(),
            Data::F32(
                steps()
                    .flat_map(|step| (0..shape.numbers()).map(move |place| (step, place)))
                    .map(|(step, place)| pixel(step, place))
                    .collect(),
            ),
        ),
        ("actions".to_owned(), Data::F32(columns.actions[steps()].to_vec())),
        ("times".to_owned(), Data::U32(steps().map(|step| (step - range.start) as u32).collect())),
        ("mask".to_owned(), Data::F32(vec![1.0; 5])),
    ]);
    let gpu = Gpu::open().expect("an adapter");
    let plan = Plan::new(&golden.training_step(), &gpu.target()).expect("a graph without mistakes");
    let mut session = Session::new(&gpu, plan, &golden.start).expect("a session");
    session.submit(1).expect("a step");
    check("loss", &wide(&session.read("loss").unwrap()), golden.stored("loss"), SINGLE);
    golden.check_summaries(&wide(&session.read("gradient").unwrap()));
}
