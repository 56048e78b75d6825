//! The attention neuron on the graph: the values of the authors' PyTorch code, its CPU twin, and what no order of the
//! channels changes.

use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values, gradients};
use fourfold::models::AttentionNeuronModel;
use fourfold::nn::Parameters;
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use fourfold::shaders::{Data, Target};

/// The golden values were computed in f32 too; the twin is in f64 and the kernels are a few units of 2^-24 from it.
const TOLERANCE: f64 = 1e-5;

/// One device for all tests of the file, which share its pipelines.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().expect("an adapter"))
}

/// The golden weights: `0.3 sin(1.7 i)`.
fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|index| (0.3 * (1.7 * index as f64).sin()) as f32).collect()
}

/// Numbers of a batch of episodes, episode after episode within each step.
struct Episodes {
    steps: usize,
    batch: usize,
    channels: usize,
    inputs: Vec<f32>,
    /// Given previous actions; where there are none, actions are fed back.
    previous: Option<Vec<f32>>,
    /// The memory at the start, hidden and cell; zeros where there is none.
    memory: Option<[Vec<f32>; 2]>,
}

/// The outputs of the network, in the order of [`NeuronSteps`](fourfold::models::NeuronSteps).
#[derive(Debug)]
struct Outcome {
    actions: Vec<f32>,
    messages: Vec<f32>,
    attention: Vec<f32>,
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

fn on_the_gpu(network: AttentionNeuron, weights: &[f32], episodes: &Episodes) -> Outcome {
    let &Episodes { steps, batch, channels, .. } = episodes;
    let mut parameters = Parameters::new();
    let model = AttentionNeuronModel::new(&mut parameters, network).unwrap();
    let graph = Graph::new();
    let flat = parameters.state(&graph, "weights");
    let weighted = parameters.of(flat);
    let positions = model.positions(&graph, "positions");
    let inputs = graph.input("inputs", TensorType::f32([steps, batch, channels]));
    let states = TensorType::f32([batch * channels, network.hidden]);
    let [hidden, cell] = ["hidden", "cell"].map(|name| graph.input(name, states.clone()));
    let memory = fourfold::models::NeuronMemory { hidden, cell };
    let mut values = Values::from([
        ("weights".into(), parameters.from_dense(weights).expect("as many weights as the network has")),
        ("positions".into(), model.position_values()),
        ("inputs".into(), Data::F32(episodes.inputs.clone())),
    ]);
    if let Some([hidden, cell]) = &episodes.memory {
        values.insert("hidden".into(), Data::F32(hidden.clone()));
        values.insert("cell".into(), Data::F32(cell.clone()));
    }
    let outcomes = match &episodes.previous {
        Some(previous) => {
            let given = graph.input("previous", TensorType::f32([steps, batch, network.actions]));
            values.insert("previous".into(), Data::F32(previous.clone()));
            vec![model.unroll(&weighted, positions, inputs, given, memory)]
        }
        None => {
            let mut action = graph.full([batch, network.actions], 0.0);
            let mut memory = memory;
            let mut step = |index: usize| {
                let inputs = inputs.narrow(0, index, 1).reshape([batch, channels]);
                let done = model.step(&weighted, positions, inputs, action, memory);
                (action, memory) = (done.actions.reshape([batch, network.actions]), done.memory);
                done
            };
            (0..steps).map(&mut step).collect()
        }
    };
    let last = outcomes.last().expect("at least one step").memory;
    let all = |part: fn(&fourfold::models::NeuronSteps<'_>) -> fourfold::graph::Value| {
        graph.concatenate(&outcomes.iter().map(|steps| graph.tensor(part(steps))).collect::<Vec<_>>(), 0)
    };
    graph.output("actions", all(|steps| steps.actions.value()));
    graph.output("messages", all(|steps| steps.messages.value()));
    graph.output("attention", all(|steps| steps.attention.value()));
    graph.output("last hidden", last.hidden);
    graph.output("last cell", last.cell);
    let plan = Plan::new(&graph, &gpu().target()).expect("a graph without mistakes");
    let mut session = Session::new(gpu(), plan, &values).expect("a session");
    session.submit(1).expect("a run");
    let mut read = |name: &str| session.read(name).expect("an output").f32().to_vec();
    Outcome {
        actions: read("actions"),
        messages: read("messages"),
        attention: read("attention"),
        hidden: read("last hidden"),
        cell: read("last cell"),
    }
}

/// The same by the twin, episode by episode.
fn on_the_twin(network: AttentionNeuron, weights: &[f32], episodes: &Episodes) -> Outcome {
    let &Episodes { steps, batch, channels, .. } = episodes;
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let weights = wide(weights);
    let table = network.score_table(&weights);
    let states = channels * network.hidden;
    let [mut hidden, mut cell] = match &episodes.memory {
        Some(memory) => memory.each_ref().map(|states| wide(states)),
        None => [vec![0.0; batch * states], vec![0.0; batch * states]],
    };
    let mut actions = vec![vec![0.0; network.actions]; batch];
    let mut outcome = Outcome { actions: vec![], messages: vec![], attention: vec![], hidden: vec![], cell: vec![] };
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    for step in 0..steps {
        for (episode, action) in actions.iter_mut().enumerate() {
            let row = step * batch + episode;
            if let Some(previous) = &episodes.previous {
                *action = wide(&previous[row * network.actions..][..network.actions]);
            }
            let inputs = wide(&episodes.inputs[row * channels..][..channels]);
            let (hidden, cell) = (&mut hidden[episode * states..][..states], &mut cell[episode * states..][..states]);
            let mut attention = vec![0.0; network.rows * channels];
            let message = network.message(&weights, &table, hidden, cell, action, &inputs, Some(&mut attention));
            network.head(&weights, &message, action);
            outcome.actions.extend(narrow(action));
            outcome.messages.extend(narrow(&message));
            let transposed = (0..channels).flat_map(|channel| attention.iter().skip(channel).step_by(channels));
            outcome.attention.extend(transposed.map(|&weight| weight as f32));
        }
    }
    Outcome { hidden: narrow(&hidden), cell: narrow(&cell), ..outcome }
}

#[track_caller]
fn assert_near(what: &str, got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance, "{what}: {got} is not {expected}");
}

#[track_caller]
fn assert_all_near(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_near(&format!("{what}[{index}]"), (*got).into(), (*expected).into(), TOLERANCE);
    }
}

fn cart_pole_inputs(t: usize) -> Vec<f32> {
    let t = t as f64;
    let inputs = [0.1 * (t + 1.0), -0.5 + 0.2 * t, (3.0 + 0.1 * t).cos(), (3.0 + 0.1 * t).sin(), 1.0 - 0.3 * t];
    inputs.map(|input| input as f32).to_vec()
}

#[test]
fn three_steps_of_the_cart_pole_network_are_those_of_pytorch() {
    let golden = [
        ([-0.00205706, -0.03305204, -0.03036014], -0.3177913, -0.3033215),
        ([0.04173331, -0.04776716, -0.14279194], -1.2568271, -0.3253150),
        ([0.07371459, -0.05359072, -0.21625138], -1.8321524, -0.3361570),
    ];
    let inputs = (0..3).flat_map(cart_pole_inputs).collect();
    let episodes = Episodes { steps: 3, batch: 1, channels: 5, inputs, previous: None, memory: None };
    let outcome = on_the_gpu(AttentionNeuron::cart_pole(), &waves(913), &episodes);
    for ((message, action), (rows, sum, expected)) in outcome.messages.chunks(16).zip(outcome.actions).zip(golden) {
        for (row, expected) in [0, 1, 15].into_iter().zip(rows) {
            assert_near("message", message[row].into(), expected, TOLERANCE);
        }
        assert_near("sum", message.iter().map(|&value| f64::from(value)).sum(), sum, TOLERANCE);
        assert_near("action", action.into(), expected, TOLERANCE);
    }
}

#[test]
fn two_steps_of_the_layer_for_the_ant_are_those_of_pytorch() {
    let golden = [([0.78151643, 0.83290315, 0.64394647], 23.633734), ([0.85280746, 0.9195904, 0.54281026], 24.457502)];
    let inputs = (0..56).map(|index| (0.3 * f64::from(index % 28) + f64::from(index / 28)).sin() as f32).collect();
    let previous = (0..16).map(|index| 0.1 * (index % 8) as f32 - 0.3).collect();
    let episodes = Episodes { steps: 2, batch: 1, channels: 28, inputs, previous: Some(previous), memory: None };
    let outcome = on_the_gpu(AttentionNeuron::ant(), &waves(2504), &episodes);
    for (message, (rows, sum)) in outcome.messages.chunks(32).zip(golden) {
        for (row, expected) in [0, 1, 31].into_iter().zip(rows) {
            assert_near("message", message[row].into(), expected, TOLERANCE);
        }
        // 32 numbers near 1, each good to half the tolerance of one.
        assert_near("sum", message.iter().map(|&value| f64::from(value)).sum(), sum, 2e-5);
    }
}

fn random_episodes(steps: usize, batch: usize, channels: usize, given: Option<usize>) -> Episodes {
    let mut random = Random::new(41, 0);
    let inputs = (0..steps * batch * channels).map(|_| random.normal()).collect();
    let previous = given.map(|actions| (0..steps * batch * actions).map(|_| random.uniform()).collect());
    let memory = [0, 1].map(|_| (0..batch * channels * 8).map(|_| 0.5 * random.normal()).collect());
    Episodes { steps, batch, channels, inputs, previous, memory: Some(memory) }
}

#[test]
fn steps_agree_with_the_twin_whether_actions_are_given_or_fed_back() {
    let shallow = AttentionNeuron::cart_pole();
    let networks = [
        shallow,
        AttentionNeuron::ant(),
        AttentionNeuron::evojax(),
        AttentionNeuron { factor: 0.5, layers: 2, scale: true, ..shallow },
    ];
    // 8 channels-and-episodes make blocks that are views, 15 and 5 do not.
    for (network, (batch, channels)) in
        networks.into_iter().flat_map(|network| [(8, 5), (3, 5), (1, 5)].map(|sizes| (network, sizes)))
    {
        let weights = waves(network.parameters());
        for given in [None, Some(network.actions)] {
            let episodes = random_episodes(4, batch, channels, given);
            let got = on_the_gpu(network, &weights, &episodes);
            let expected = on_the_twin(network, &weights, &episodes);
            assert_all_near("actions", &got.actions, &expected.actions);
            assert_all_near("messages", &got.messages, &expected.messages);
            assert_all_near("attention", &got.attention, &expected.attention);
            assert_all_near("hidden", &got.hidden, &expected.hidden);
            assert_all_near("cell", &got.cell, &expected.cell);
        }
    }
}

/// `rows` of `length` numbers each, in blocks of `order.len()` rows of which each is put into this order.
fn permuted(rows: &[f32], length: usize, order: &[usize]) -> Vec<f32> {
    let blocks = rows.chunks(length * order.len());
    blocks.flat_map(|block| order.iter().flat_map(|&from| block[from * length..][..length].to_vec())).collect()
}

fn largest_change(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn channels_with_their_states_in_another_order_give_the_same_actions() {
    let order = [3, 0, 4, 1, 2];
    let network = AttentionNeuron::cart_pole();
    let plain = random_episodes(12, 8, 5, None);
    let shuffled = Episodes {
        inputs: permuted(&plain.inputs, 1, &order),
        memory: plain.memory.as_ref().map(|memory| memory.each_ref().map(|states| permuted(states, 8, &order))),
        previous: None,
        ..plain
    };
    let [first, second] = [&plain, &shuffled].map(|episodes| on_the_gpu(network, &waves(913), episodes));
    assert_all_near("actions", &second.actions, &first.actions);
    assert_all_near("hidden", &second.hidden, &permuted(&first.hidden, 8, &order));
}

#[test]
fn inputs_alone_in_another_order_change_the_message_only_where_there_is_a_memory() {
    let order = [3, 0, 4, 1, 2];
    let network = AttentionNeuron::cart_pole();
    let mut episodes = random_episodes(1, 8, 5, None);
    let mut change = |memory: Option<[Vec<f32>; 2]>| {
        let shuffled = permuted(&episodes.inputs, 1, &order);
        episodes.memory = memory;
        let plain = on_the_gpu(network, &waves(913), &episodes);
        let inputs = std::mem::replace(&mut episodes.inputs, shuffled);
        let shuffled = on_the_gpu(network, &waves(913), &episodes);
        episodes.inputs = inputs;
        largest_change(&plain.messages, &shuffled.messages)
    };
    let memory = random_episodes(1, 8, 5, None).memory;
    let (without, with) = (change(None), change(memory));
    assert!(without < 1e-6, "the message changed by {without} although nothing was remembered");
    assert!(with > 1e-2, "the message changed by {with} only");
}

#[test]
fn repeated_channels_with_a_smaller_factor_give_the_same_actions_from_the_same_weights() {
    let network = AttentionNeuron::cart_pole();
    let plain = random_episodes(6, 8, 5, None);
    let expected = on_the_gpu(
        network,
        &waves(913),
        &Episodes { memory: None, previous: None, inputs: plain.inputs.clone(), ..plain },
    );
    for copies in [2, 3] {
        let inputs = plain.inputs.chunks(5).flat_map(|row| row.repeat(copies)).collect();
        let repeated = Episodes { channels: 5 * copies, inputs, memory: None, previous: None, ..plain };
        let network = AttentionNeuron { factor: 1.0 / copies as f32, ..network };
        let got = on_the_gpu(network, &waves(913), &repeated);
        assert_all_near("actions", &got.actions, &expected.actions);
    }
}

#[test]
fn tensors_of_wrong_shapes_are_refused_with_what_was_expected() {
    let mut parameters = Parameters::new();
    let model = AttentionNeuronModel::new(&mut parameters, AttentionNeuron::cart_pole()).unwrap();
    assert_eq!(parameters.count(), 913);
    let graph = Graph::new();
    let flat = parameters.state(&graph, "weights");
    let positions = model.positions(&graph, "positions");
    let inputs = graph.input("inputs", TensorType::f32([2, 5]));
    let previous = graph.input("previous", TensorType::f32([3, 1]));
    model.step(&parameters.of(flat), positions, inputs, previous, model.blank(&graph, 2, 5));
    let message = graph.check().expect_err("three previous actions for two episodes").to_string();
    assert!(message.contains("previous actions (steps, batch, 1)"), "{message}");
}

/// The dispatches of a training step through so many steps of time.
fn dispatches(steps: usize) -> usize {
    let mut parameters = Parameters::new();
    let model = AttentionNeuronModel::new(&mut parameters, AttentionNeuron::cart_pole()).unwrap();
    let graph = Graph::new();
    let weights = parameters.state(&graph, "weights");
    let positions = model.positions(&graph, "positions");
    let inputs = graph.input("inputs", TensorType::f32([steps, 8, 5]));
    let [previous, target] = ["previous", "target"].map(|name| graph.input(name, TensorType::f32([steps, 8, 1])));
    let done = model.unroll(&parameters.of(weights), positions, inputs, previous, model.blank(&graph, 8, 5));
    graph.output("gradient", gradients(done.actions.mean_squared_error(target), &[weights])[0]);
    Plan::new(&graph, &Target::default()).expect("a graph without mistakes").dispatches.len()
}

#[test]
fn a_step_of_time_costs_few_dispatches_forwards_and_back() {
    // Forwards: product, gates, cell, its tanh, state, and its place among all states. Back: four gates, cell, state,
    // what is before the gates and its place among all steps, two products, the sum over gates; now and then a sum of
    // the gradients of several steps.
    let each = (dispatches(40) - dispatches(20)) as f64 / 20.0;
    assert!(each <= 19.0, "{each} dispatches for each step of time");
}
