//! Learning from recorded trajectories: windows that the GPU draws, and training on them.

use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::data::{Actions, Checkpoint, Standardisation, Steps, Trajectories};
use fourfold::graph::session::Traffic;
use fourfold::graph::{
    EpisodeTables, Graph, Plan, Reference, Session, Tensor, TensorType, TwinSession, Values, WindowOptions, WindowRows,
};
use fourfold::models::behaviour_cloning::{self, BehaviourCloning};
use fourfold::models::decision_transformer::{self, DecisionTransformer};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo, Starts};
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::{Initialise, Noise, Parameter, Parameters, Weights};
use fourfold::optim::{AdamW, Schedule};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Element, Target, trajectories::windows};

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().unwrap_or_else(|error| panic!("{error}")))
}

/// Windows of 5 steps out of episodes of 3, 9 and 1 steps, with a table of one number a step gathered by them.
fn drawn(graph: &Graph) -> (WindowRows<'_>, Tensor<'_>) {
    let tables = EpisodeTables {
        starts: graph.input("starts", TensorType::u32([13])),
        episodes: graph.input("episodes", TensorType::u32([13])),
        firsts: graph.input("firsts", TensorType::u32([4])),
    };
    let options = WindowOptions { batch: 16, context: 5, restart: false, largest: 6 };
    let rows = graph.input("seed", TensorType::u32([2])).windows(9, tables, options);
    (rows, graph.input("table", TensorType::f32([13, 1])).gather(rows.rows).reshape([16, 5]))
}

#[test]
fn windows_of_a_graph_are_the_same_on_the_gpu_the_twins_and_the_reference() {
    let graph = Graph::new();
    let (WindowRows { rows, times, mask }, gathered) = drawn(&graph);
    let outputs = [("rows", rows), ("times", times), ("mask", mask), ("gathered", gathered)];
    outputs.iter().for_each(|(name, tensor)| graph.output(name, *tensor));
    let (episodes, firsts) = windows::tables(&[3, 9, 1]).unwrap();
    let whole = [("seed", vec![7, 1]), ("starts", (0..13).collect()), ("episodes", episodes), ("firsts", firsts)];
    let table: Vec<f32> = (1..=13).map(|value| value as f32).collect();
    let mut values: Values = whole.iter().map(|(name, values)| (name.to_string(), Data::U32(values.clone()))).collect();
    values.insert("table".into(), Data::F32(table.clone()));
    let mut reference =
        Reference::new(whole.iter().map(|(name, values)| (*name, values.iter().map(|&v| v.into()).collect())));
    reference.set("table", table.iter().map(|&value| value.into()).collect());

    let mut session = Session::new(gpu(), Plan::new(&graph, &gpu().target()).unwrap(), &values).unwrap();
    session.submit(1).unwrap();
    let mut twins = TwinSession::new(Plan::new(&graph, &Target::default()).unwrap(), &values).unwrap();
    twins.run(1);
    for (name, tensor) in outputs {
        let got = session.read(name).unwrap();
        assert_eq!(got, twins.read(name).unwrap(), "{name}");
        let got: Vec<f64> = match got {
            Data::F32(values) => values.into_iter().map(f64::from).collect(),
            Data::U32(values) => values.into_iter().map(f64::from).collect(),
        };
        assert_eq!(got, reference.evaluate(tensor).unwrap(), "{name}");
    }
    // Rows past the table, the padding, gather zeros.
    let (gathered, mask) = (session.read("gathered").unwrap(), session.read("mask").unwrap());
    let padded = gathered.f32().iter().zip(mask.f32()).map(|(value, mask)| (*value == 0.0, *mask == 0.0));
    assert!(padded.clone().all(|(zero, padding)| zero == padding) && padded.clone().any(|(zero, _)| zero));
}

#[test]
fn windows_of_tables_that_are_none_are_refused_with_what_came() {
    let graph = Graph::new();
    let starts = graph.input("starts", TensorType::f32([4]));
    let episodes = graph.input("episodes", TensorType::u32([4]));
    let firsts = graph.input("firsts", TensorType::u32([3]));
    let options = WindowOptions { batch: 2, context: 3, restart: false, largest: 9 };
    let seed = graph.input("seed", TensorType::u32([2]));
    seed.windows(0, EpisodeTables { starts, episodes, firsts }, options);
    let error = graph.check().unwrap_err().to_string();
    assert!(error.starts_with("windows: takes u32 starts (n), episodes (steps) and firsts (episodes + 1)"), "{error}");
    assert!(error.contains("got input F32[4], input U32[4], input U32[3] and 2 windows of 3"), "{error}");
}

/// Episodes in which somebody answered what he saw: actions are the tanh of the sum of both numbers, or whether it is
/// positive, and rewards count the steps of the episode.
fn answers(actions: Actions) -> Trajectories {
    let mut random = Random::new(5, 0);
    let lengths = [7, 1, 12, 4, 30];
    let count: usize = lengths.iter().sum();
    let observations: Vec<f32> = (0..2 * count).map(|_| 2.0 * random.normal() + 1.0).collect();
    let answer = |seen: &[f32]| match actions {
        Actions::Continuous(_) => (0.5 * (seen[0] + seen[1])).tanh(),
        Actions::Discrete(_) => f32::from(u8::from(seen[0] > seen[1])),
    };
    let steps = Steps {
        actions: observations.chunks(2).map(answer).collect(),
        observations,
        rewards: lengths.iter().flat_map(|&length| (1..=length).map(|step| step as f32)).collect(),
        ends: lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect(),
        terminated: vec![true; lengths.len()],
    };
    Trajectories::new("answers", 2, actions, steps).unwrap()
}

fn cloning(data: &Trajectories, context: usize) -> BehaviourCloning {
    let settings = behaviour_cloning::Settings::new(2, data.actions(), context);
    BehaviourCloning::new(behaviour_cloning::Settings { width: 16, layers: 2, dropout: 0.0, ..settings }).unwrap()
}

fn quick(data: &Trajectories) -> OfflineSettings {
    OfflineSettings { batch: 16, rate: 1e-2, losses: 200, ..OfflineSettings::behaviour_cloning(data) }
}

fn train(model: &dyn SequenceModel, data: &Trajectories, settings: OfflineSettings) -> OfflineTraining {
    OfflineTraining::new(gpu(), model, data, settings).unwrap_or_else(|error| panic!("{error}"))
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

#[test]
fn training_steps_upload_nothing_and_read_nothing_back() {
    let data = answers(Actions::Continuous(1));
    let settings = OfflineSettings { steps_per_submission: 8, ..quick(&data) };
    let mut training = train(&cloning(&data, 2), &data, settings);
    assert_eq!(training.session().traffic(), Traffic::default());
    training.submit(20).unwrap();
    assert_eq!(training.session().traffic(), Traffic { submissions: 3, uploads: 0, readbacks: 0 });
    assert_eq!(training.losses().unwrap().len(), 20);
    assert_eq!(training.session().traffic().readbacks, 1);
}

#[test]
fn behaviour_cloning_fits_continuous_and_discrete_actions() {
    for (actions, bound) in [(Actions::Continuous(1), 0.01), (Actions::Discrete(2), 0.15)] {
        let data = answers(actions);
        let mut training = train(&cloning(&data, 3), &data, quick(&data));
        training.submit(200).unwrap();
        let losses = training.losses().unwrap();
        let (first, last) = (mean(&losses[..20]), mean(&losses[180..]));
        assert!(last < bound && last < first / 4.0, "{actions:?}: {first} to {last}");
    }
}

#[test]
fn the_decision_transformer_learns_on_the_gpu_with_its_dropout() {
    let data = answers(Actions::Continuous(1));
    let settings = decision_transformer::Settings::gym(2, data.actions(), 4).sized(16, 1, 2);
    let model = DecisionTransformer::new(settings).unwrap();
    let settings = OfflineSettings { rate: 1e-2, schedule: Schedule::WarmUp { steps: 10 }, ..quick(&data) };
    let mut training = train(&model, &data, OfflineSettings { return_scale: 100.0, clip: Some(0.25), ..settings });
    training.submit(120).unwrap();
    let losses = training.losses().unwrap();
    let (first, last) = (mean(&losses[..10]), mean(&losses[100..]));
    assert!(last < first / 3.0, "{first} to {last}");
}

#[test]
fn a_restored_training_goes_on_to_the_same_bits() {
    let data = answers(Actions::Continuous(1));
    let settings = decision_transformer::Settings::gym(2, data.actions(), 3).sized(8, 1, 1);
    let model = DecisionTransformer::new(settings).unwrap();
    let mut whole = train(&model, &data, quick(&data));
    whole.submit(9).unwrap();
    let mut checkpoint = Checkpoint::new();
    whole.save(&mut checkpoint, "training.").unwrap();
    whole.submit(6).unwrap();

    let checkpoint = Checkpoint::from_bytes("checkpoint", &checkpoint.to_bytes()).unwrap();
    let mut resumed = train(&model, &data, quick(&data));
    resumed.restore(&checkpoint, "training.").unwrap();
    assert_eq!(resumed.steps(), 9);
    resumed.submit(6).unwrap();
    assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
    assert_eq!(resumed.losses().unwrap(), whole.losses().unwrap());

    let other = train(&cloning(&data, 2), &data, quick(&data)).restore(&checkpoint, "training.").unwrap_err();
    assert!(other.to_string().starts_with("checkpoint: tensor `training."), "{other}");
}

/// The part of its window that a [`Probe`] calls its loss.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Returns,
    Times,
    FirstObservation,
}

/// A model whose loss is the mean of something that its window holds, whatever its weights.
#[derive(Debug)]
struct Probe(Parameters, Reading, usize);

impl Probe {
    fn new(reading: Reading, context: usize) -> Self {
        let mut parameters = Parameters::new();
        parameters.add("matrix", [2, 2], Initialise::Constant(4.0));
        parameters.add("bias", [2], Initialise::Constant(4.0));
        Self(parameters, reading, context)
    }
}

impl SequenceModel for Probe {
    fn parameters(&self) -> &Parameters {
        &self.0
    }

    fn observations(&self) -> usize {
        2
    }

    fn actions(&self) -> Actions {
        Actions::Continuous(1)
    }

    fn context(&self) -> usize {
        self.2
    }

    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, _: Noise<'g>) -> Tensor<'g> {
        let read = match self.1 {
            Reading::Returns => window.returns,
            Reading::Times => window.times.cast(Element::F32),
            Reading::FirstObservation => window.observations.narrow(2, 0, 1).reshape(window.mask.shape()),
        };
        (read * window.mask).sum_all() / window.mask.sum_all() + weights.flat().sum_all() * 0.0
    }

    fn act<'g>(&self, _: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        window.mask
    }
}

/// The numbers that a probe reads in its first step, of windows that all begin at `start`.
fn read(reading: Reading, context: usize, start: u32, change: impl FnOnce(&mut OfflineSettings)) -> f32 {
    let data = answers(Actions::Continuous(1));
    let mut settings = OfflineSettings { starts: Starts::Given(vec![start]), standardisation: None, ..quick(&data) };
    change(&mut settings);
    let mut training = train(&Probe::new(reading, context), &data, settings);
    training.submit(1).unwrap();
    training.losses().unwrap()[0]
}

#[test]
fn returns_are_summed_to_the_episodes_end_scaled_delayed_or_given() {
    // The third episode, steps 8 to 19, pays 1 to 12. Its last three steps have 33, 23 and 12 to come.
    let close = |got: f32, expected: f32| assert!((got - expected).abs() < 1e-5 * expected, "{got}, not {expected}");
    close(read(Reading::Returns, 1, 8, |_| {}), 78.0);
    close(read(Reading::Returns, 5, 17, |_| {}), (33.0 + 23.0 + 12.0) / 3.0);
    close(read(Reading::Returns, 5, 17, |settings| settings.return_scale = 10.0), 6.8 / 3.0);
    close(read(Reading::Returns, 5, 17, |settings| settings.returns = ReturnsToGo::Delayed), 78.0);
    let given = (0..54).map(|step| step as f32).collect();
    close(read(Reading::Returns, 5, 17, |settings| settings.returns = ReturnsToGo::Given(given)), 18.0);
}

#[test]
fn times_count_from_the_episode_or_from_the_window() {
    assert_eq!(read(Reading::Times, 5, 17, |_| {}), 10.0);
    assert_eq!(read(Reading::Times, 5, 17, |settings| settings.restart_times = true), 1.0);
}

#[test]
fn observations_are_standardised_once_by_what_was_given() {
    let data = answers(Actions::Continuous(1));
    let seen = data.observation(8)[0];
    assert_eq!(read(Reading::FirstObservation, 1, 8, |_| {}), seen);
    let given = Standardisation { mean: vec![1.0, 7.0], deviation: vec![0.5, 3.0] };
    let standardised = read(Reading::FirstObservation, 1, 8, |settings| settings.standardisation = Some(given));
    assert_eq!(standardised, (seen - 1.0) / 0.5);
}

#[test]
fn weight_decay_spares_what_the_settings_say() {
    let data = answers(Actions::Continuous(1));
    let decayed = |decays: fn(&Parameter) -> bool| {
        let optimiser = AdamW { weight_decay: 0.5, ..AdamW::default() };
        let settings = OfflineSettings { optimiser, decays, rate: 0.25, ..quick(&data) };
        let mut training = train(&Probe::new(Reading::Times, 2), &data, settings);
        training.submit(2).unwrap();
        let weights = training.weights().unwrap();
        (weights.f32()[3], weights.f32()[64 + 1])
    };
    // Each step leaves 1 - 0.25 * 0.5 of a weight whose gradient is zero.
    assert_eq!(decayed(|_| true), (3.0625, 3.0625));
    assert_eq!(decayed(OfflineSettings::matrices), (3.0625, 4.0));
}

#[test]
fn settings_that_do_not_fit_are_refused_with_what_was_expected() {
    let data = answers(Actions::Continuous(1));
    let refused = |model: &dyn SequenceModel, change: &dyn Fn(&mut OfflineSettings)| {
        let mut settings = quick(&data);
        change(&mut settings);
        OfflineTraining::new(gpu(), model, &data, settings).unwrap_err().to_string()
    };
    let model = cloning(&data, 2);
    assert_eq!(
        refused(&model, &|settings| settings.batch = 0),
        "offline training: expected a batch of at least 1, got 0"
    );
    assert_eq!(
        refused(&model, &|settings| settings.starts = Starts::Given(vec![3, 54])),
        "offline training: expected starts of steps below 54, got 54"
    );
    assert_eq!(
        refused(&model, &|settings| settings.returns = ReturnsToGo::Given(vec![0.0; 53])),
        "offline training: expected returns of one number for each of 54 steps, got 53 numbers"
    );
    let discrete = answers(Actions::Discrete(2));
    assert_eq!(
        refused(&cloning(&discrete, 2), &|_| {}),
        "offline training: expected model actions of Continuous(1), as answers has, got Discrete(2)"
    );
}
