//! The decision transformer: what its outputs depend on, in f64, for every variant.

use fourfold::data::Actions;
use fourfold::graph::{AttentionMask, Graph, Reference, Tag, Tensor, TensorType, gradients};
use fourfold::models::decision_transformer::{
    DecisionTransformer, DropoutRates, EmbeddingNorm, Initialisation, Outputs, Positions, Returns, Settings, Tokens,
};
use fourfold::models::offline_training::OfflineSettings;
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::{Activation, Noise, NormPlacement, Parameters, Strided, TransformerBlock, TransformerOptions};
use fourfold::shaders::random::threefry::Random;

/// Two windows of four steps, of which the second begins with two steps of padding.
const BATCH: usize = 2;
const CONTEXT: usize = 4;
const OBSERVATIONS: usize = 3;
const MASK: [f64; 8] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];

fn small(actions: Actions) -> Settings {
    let settings = Settings::gym(OBSERVATIONS, actions, CONTEXT).sized(8, 2, 2);
    Settings { times: Some(6), dropout: DropoutRates::NONE, ..settings }
}

/// One of each variant.
fn variants() -> Vec<Settings> {
    let (continuous, discrete) = (small(Actions::Continuous(2)), small(Actions::Discrete(4)));
    let classes = Settings { tokens: Tokens::ObservationReturnAction, returns: Returns::Classes(5), ..discrete };
    vec![
        continuous,
        discrete,
        Settings { return_loss: 1.0, ..classes },
        Settings { tokens: Tokens::ObservationReturnAction, ..continuous },
        continuous.without_returns(),
        Settings { norm: NormPlacement::After, activation: Activation::GeluErf, ..continuous },
        Settings { embedding_norm: EmbeddingNorm::Tanh, head_bias: false, ..discrete },
        // With times, an action is not what the loss is taken of: see the golden files.
        Settings { positions: Positions::Window, times: None, ..Settings::atari(OBSERVATIONS, 4, CONTEXT, 6) }
            .sized(8, 2, 2),
        Settings { embedding_norm: EmbeddingNorm::None, times: None, bounded: false, ..continuous },
        Settings {
            world_heads: true,
            shift: true,
            activation: Activation::GeluTanh,
            initialisation: Initialisation::Scaled,
            ..continuous
        },
    ]
}

/// A graph's inputs, and values for them.
struct Scene<'g> {
    window: Window<'g>,
    weights: Tensor<'g>,
    values: Reference,
}

fn scene<'g>(graph: &'g Graph, model: &DecisionTransformer) -> Scene<'g> {
    let width = model.actions().width();
    let input = |name: &str, shape: &[usize]| graph.input(name, TensorType::f32(shape));
    let window = Window {
        returns: input("returns", &[BATCH, CONTEXT]),
        observations: input("observations", &[BATCH, CONTEXT, OBSERVATIONS]),
        actions: input("actions", &[BATCH, CONTEXT, width]),
        times: graph.input("times", TensorType::u32([BATCH, CONTEXT])),
        mask: input("mask", &[BATCH, CONTEXT]),
    };
    let length = model.parameters().length();
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([length]));
    let mut random = Random::new(5, 0);
    let mut numbers = |count: usize| (0..count).map(|_| f64::from(random.normal())).collect::<Vec<_>>();
    let returns = match model.settings().returns {
        Returns::Number => numbers(BATCH * CONTEXT),
        Returns::Classes(classes) => (0..BATCH * CONTEXT).map(|step| (step % classes) as f64).collect(),
    };
    let actions = match model.actions() {
        Actions::Continuous(width) => numbers(BATCH * CONTEXT * width),
        Actions::Discrete(choices) => (0..BATCH * CONTEXT).map(|step| (step % choices) as f64).collect(),
    };
    // Biases and scales too, so that each of them shows.
    let initial = model.parameters().initial(1);
    let disturbed = initial.f32().iter().zip(numbers(length)).map(|(&w, noise)| f64::from(w) + 0.1 * noise).collect();
    let values = Reference::new([
        ("observations", numbers(BATCH * CONTEXT * OBSERVATIONS)),
        ("returns", returns),
        ("actions", actions),
        ("times", vec![0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 4.0, 9.0]),
        ("mask", MASK.to_vec()),
        ("weights", disturbed),
    ]);
    Scene { window, weights, values }
}

fn outputs<'g>(model: &DecisionTransformer, scene: &Scene<'g>) -> Outputs<'g> {
    model.forward(&model.parameters().of(scene.weights), &scene.window, Noise::NONE)
}

/// The largest change of each step's actions (B, K) as an input takes other values at some of its steps.
fn change(settings: Settings, input: &str, steps: &[usize]) -> Vec<f64> {
    let model = DecisionTransformer::new(settings).unwrap();
    let graph = Graph::new();
    let mut scene = scene(&graph, &model);
    let actions = outputs(&model, &scene).actions;
    let before = scene.values.evaluate(actions).unwrap();
    let tensor = match input {
        "returns" => scene.window.returns,
        "observations" => scene.window.observations,
        _ => scene.window.actions,
    };
    let mut values = scene.values.evaluate(tensor).unwrap();
    let width = values.len() / (BATCH * CONTEXT);
    for &step in steps {
        // Classes and choices stay what they may be.
        values[step * width..][..width].iter_mut().for_each(|value| *value = (*value - 1.0).abs());
    }
    scene.values.set(input, values);
    let after = scene.values.evaluate(actions).unwrap();
    let outputs = settings.actions.outputs();
    let difference = |step: usize| {
        let row = step * outputs..(step + 1) * outputs;
        before[row.clone()].iter().zip(&after[row]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    (0..BATCH * CONTEXT).map(difference).collect()
}

#[test]
fn the_hopper_network_has_as_many_trained_parameters_as_the_papers_code() {
    let model = DecisionTransformer::new(Settings::gym(11, Actions::Continuous(3), 20)).unwrap();
    assert_eq!(model.parameters().count(), 726_019);
}

#[test]
fn an_action_depends_on_its_own_observation_and_on_nothing_later() {
    for settings in variants() {
        let moved = change(settings, "observations", &[2]);
        assert!(moved[..2].iter().chain(&moved[4..]).all(|&moved| moved == 0.0), "{settings:?}: {moved:?}");
        assert!(moved[2] > 1e-6 && moved[3] > 1e-6, "{settings:?}: {moved:?}");
    }
}

#[test]
fn an_action_does_not_depend_on_the_action_that_is_in_its_place_but_later_ones_do() {
    for settings in variants() {
        let moved = change(settings, "actions", &[2]);
        assert!(moved[..3].iter().all(|&moved| moved == 0.0), "{settings:?}: {moved:?}");
        assert!(moved[3] > 1e-6, "{settings:?}: {moved:?}");
    }
}

#[test]
fn attention_weights_are_shares_of_the_tokens_that_a_query_may_see() {
    for settings in variants() {
        let model = DecisionTransformer::new(settings).unwrap();
        let graph = Graph::new();
        let scene = scene(&graph, &model);
        let step = settings.tokens.of_a_step();
        let tokens = step * CONTEXT;
        let blocks = model.attention_weights(&model.parameters().of(scene.weights), &scene.window);
        assert_eq!(blocks.len(), settings.layers);
        for rows in scene.values.evaluate_all(&blocks).unwrap() {
            assert_eq!(rows.len(), BATCH * settings.heads * tokens * tokens);
            for (place, row) in rows.chunks_exact(tokens).enumerate() {
                let (query, batch) = (place % tokens, place / (tokens * settings.heads));
                let real = |token: usize| MASK[batch * CONTEXT + token / step] != 0.0;
                if !real(query) {
                    continue;
                }
                let sum: f64 = row.iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{settings:?}: {sum}");
                let seen = |key: usize| key <= query && real(key);
                assert!(
                    row.iter().enumerate().all(|(key, &share)| (share > 0.0) == seen(key)),
                    "{settings:?}: {row:?}"
                );
            }
        }
    }
}

#[test]
fn an_action_depends_on_its_return_unless_there_are_none() {
    for settings in variants() {
        let moved = change(settings, "returns", &[1]);
        let without = settings.tokens == Tokens::ObservationAction;
        assert_eq!(moved[1] > 1e-6, !without, "{settings:?}: {moved:?}");
        assert_eq!(moved[0], 0.0);
    }
}

#[test]
fn what_stands_in_padding_changes_nothing() {
    for settings in variants() {
        for input in ["observations", "actions", "returns"] {
            let moved = change(settings, input, &[4, 5]);
            let real = moved.iter().zip(MASK).filter(|(_, mask)| *mask > 0.0);
            assert!(real.clone().all(|(&moved, _)| moved == 0.0), "{settings:?}, {input}: {moved:?}");
        }
    }
}

#[test]
fn the_action_of_a_window_is_that_of_its_last_step() {
    for settings in variants() {
        let model = DecisionTransformer::new(settings).unwrap();
        let graph = Graph::new();
        let scene = scene(&graph, &model);
        let all = scene.values.evaluate(outputs(&model, &scene).actions).unwrap();
        let last = model.act(&model.parameters().of(scene.weights), &scene.window);
        let last = scene.values.evaluate(last).unwrap();
        let outputs = model.actions().outputs();
        let expected = [&all[3 * outputs..4 * outputs], &all[7 * outputs..]].concat();
        assert_eq!(last, expected, "{settings:?}");
    }
}

#[test]
fn a_block_of_one_token_in_three_gives_what_the_whole_block_gives_there() {
    for norm in [NormPlacement::Before, NormPlacement::After] {
        let mut parameters = Parameters::new();
        let options = TransformerOptions { norm, ..TransformerOptions::new(8, 2) };
        let block = TransformerBlock::new(&mut parameters, "block", options, 0);
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 12, 8]));
        let keys = graph.input("keys", TensorType::f32([2, 12]));
        let flat = graph.state("weights", Tag::Weights, TensorType::f32([parameters.length()]));
        let weights = parameters.of(flat);
        let tokens = Strided { every: 3, at: 1 };
        let mask = AttentionMask { causal: true, keys: Some(keys) };
        let whole = tokens.of(block.forward(&weights, x, mask, Noise::NONE));
        let part = block.forward_strided(&weights, x, tokens, Some(keys), Noise::NONE);
        let mut random = Random::new(3, 0);
        let mut numbers = |count: usize| (0..count).map(|_| f64::from(random.normal())).collect::<Vec<_>>();
        let initial = parameters.initial(2).f32().iter().map(|&weight| f64::from(weight)).collect();
        let padded = [vec![0.0; 6], vec![1.0; 6]].concat();
        let keys = [vec![1.0; 12], padded].concat();
        let values = Reference::new([("x", numbers(192)), ("keys", keys), ("weights", initial)]);
        let difference = (whole - part).abs().maximum(2).maximum(1);
        assert!(values.evaluate(difference).unwrap().iter().all(|&off| off < 1e-12), "{norm:?}");
    }
}

#[test]
fn every_parameter_with_a_loss_has_the_gradient_of_finite_differences() {
    for settings in variants() {
        let model = DecisionTransformer::new(settings).unwrap();
        let graph = Graph::new();
        let mut scene = scene(&graph, &model);
        let loss = model.loss(&model.parameters().of(scene.weights), &scene.window, Noise::NONE);
        let gradient = gradients(loss, &[scene.weights])[0];
        let gradient = scene.values.evaluate(gradient).unwrap();
        let start = scene.values.evaluate(scene.weights).unwrap();
        // One direction through all parameters of each tensor, so that none is left out.
        for (stream, parameter) in model.parameters().iter().enumerate() {
            let place = parameter.offset..parameter.offset + parameter.shape.elements();
            let mut random = Random::new(11, stream as u32);
            let direction: Vec<f64> = place.clone().map(|_| f64::from(random.normal())).collect();
            let at = |scale: f64, values: &mut Reference| {
                let mut moved = start.clone();
                moved[place.clone()].iter_mut().zip(&direction).for_each(|(w, d)| *w += scale * d);
                values.set("weights", moved);
                values.evaluate(loss).unwrap()[0]
            };
            let step = 1e-5;
            let slope = (at(step, &mut scene.values) - at(-step, &mut scene.values)) / (2.0 * step);
            let expected: f64 = gradient[place].iter().zip(&direction).map(|(g, d)| g * d).sum();
            // Differences err by the square of the step and by rounding of the loss over the step.
            let error = (slope - expected).abs();
            assert!(error < 1e-6 * expected.abs().max(1e-2), "{settings:?}: {}: {slope} {expected}", parameter.name);
        }
    }
}

#[test]
fn returns_past_the_last_class_are_in_the_last() {
    let settings = variants()[2];
    let model = DecisionTransformer::new(settings).unwrap();
    let graph = Graph::new();
    let mut scene = scene(&graph, &model);
    let loss = model.loss(&model.parameters().of(scene.weights), &scene.window, Noise::NONE);
    let mut with = |last: f64| {
        scene.values.set("returns", vec![last, 1.0, last, 3.0, 0.0, 0.0, last, 2.0]);
        scene.values.evaluate(loss).unwrap()[0]
    };
    let within = with(4.0);
    assert_eq!(with(5.0), within);
    assert_eq!(with(17.0), within);
    assert_ne!(with(3.0), within);
}

#[test]
fn settings_that_describe_no_network_are_refused_in_a_sentence() {
    let base = small(Actions::Continuous(2));
    let refused = |settings: Settings| DecisionTransformer::new(settings).unwrap_err().to_string();
    let heads = refused(Settings { heads: 3, ..base });
    assert_eq!(heads, "decision transformer: expected heads that divide the width of 8, got 3");
    let layers = refused(Settings { layers: 0, ..base });
    assert_eq!(layers, "decision transformer: expected at least 1 for layers, got 0");
    assert!(refused(Settings { return_loss: 1.0, ..base }).contains("a loss of returns takes return classes"));
    let order = Settings { world_heads: true, tokens: Tokens::ObservationReturnAction, ..base };
    assert!(refused(order).contains("take tokens in the paper's order"));
}

#[test]
fn weight_decay_of_matrices_spares_the_tables_of_choices_classes_places_and_times() {
    let settings =
        Settings { returns: Returns::Classes(5), ..Settings::atari(OBSERVATIONS, 4, CONTEXT, 6).sized(8, 1, 2) };
    let model = DecisionTransformer::new(settings).unwrap();
    let decayed = model.parameters().iter().filter(|parameter| OfflineSettings::matrices(parameter));
    let names: Vec<_> = decayed.map(|parameter| parameter.name.as_str()).collect();
    let block = ["qkv", "proj", "fc1", "fc2"].map(|layer| format!("block0.{layer}.weight"));
    let expected = ["embed_state.weight"].into_iter().chain(block.iter().map(String::as_str));
    assert_eq!(names, expected.chain(["predict_action.weight"]).collect::<Vec<_>>());
}
