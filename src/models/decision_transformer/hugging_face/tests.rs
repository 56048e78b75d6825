//! Invalid files are refused; valid ones round-trip.

use super::*;
use crate::models::decision_transformer::Positions;
use crate::nn::{Activation, NormPlacement};

const NAMES: [&str; 2] = ["folder/config.json", "folder/model.safetensors"];

fn small() -> Settings {
    Settings { times: Some(6), ..Settings::gym(3, Actions::Continuous(2), 4).sized(8, 2, 2) }
}

fn checkpoint(settings: Settings) -> HuggingFaceCheckpoint {
    let model = DecisionTransformer::new(settings).unwrap();
    let weights = model.parameters().initial(3);
    HuggingFaceCheckpoint::new(model, weights).unwrap()
}

fn load(config: &[u8], tensors: &[u8]) -> Result<HuggingFaceCheckpoint, Error> {
    HuggingFaceCheckpoint::from_bytes(NAMES, [config, tensors], 4)
}

/// The error of a file with another value in its configuration.
fn with_entry(key: &str, value: serde_json::Value) -> String {
    let [config, tensors] = checkpoint(small()).to_bytes();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config[key] = value;
    load(config.to_string().as_bytes(), &tensors).unwrap_err().to_string()
}

/// The error of a file with other tensors.
fn with_tensors(change: impl FnOnce(&mut BTreeMap<String, (Vec<usize>, Data)>)) -> String {
    let [config, tensors] = checkpoint(small()).to_bytes();
    let file = Checkpoint::from_bytes("", &tensors).unwrap();
    let mut tensors: BTreeMap<_, _> =
        file.tensors().map(|(name, shape, values)| (name.to_owned(), (shape.to_vec(), values.clone()))).collect();
    change(&mut tensors);
    let mut file = Checkpoint::new();
    tensors.into_iter().for_each(|(name, (shape, values))| file.insert(&name, &shape, values));
    load(&config, &file.to_bytes()).unwrap_err().to_string()
}

#[test]
fn a_model_made_here_comes_back_with_its_heads_and_shift_as_zeros() {
    let made = checkpoint(Settings { activation: Activation::GeluTanh, bounded: false, ..small() });
    let [config, tensors] = made.to_bytes();
    let loaded = load(&config, &tensors).unwrap();
    let settings = *made.model().settings();
    let expected = Settings { shift: true, world_heads: true, ..settings };
    assert_eq!(Settings { initialisation: settings.initialisation, ..*loaded.model().settings() }, expected);

    let before = made.model().parameters().unpack(made.weights().f32());
    let after = loaded.model().parameters().unpack(loaded.weights().f32());
    for (name, (_, values)) in &after {
        match before.get(name) {
            Some((_, expected)) => assert_eq!(values, expected, "{name}"),
            None => assert!(values.iter().all(|&value| value == 0.0), "{name}"),
        }
    }
    assert_eq!(loaded.to_bytes(), [config, tensors]);
}

#[test]
fn a_trained_row_of_positions_stands_in_the_files_first_row() {
    let made = checkpoint(Settings { shift: true, world_heads: true, ..small() });
    let [_, tensors] = made.to_bytes();
    let shift = made.model().parameters().unpack(made.weights().f32()).remove("shift").unwrap().1;
    let file = Checkpoint::from_bytes("", &tensors).unwrap();
    let table = file.f32("encoder.wpe.weight", &[1024, 8]).unwrap();
    assert_eq!(table[..8], shift);
    assert!(table[8..].iter().all(|&value| value == 0.0));
}

#[test]
fn configurations_of_other_networks_are_refused_by_their_key() {
    let cases = [
        ("model_type", "\"gpt2\"".parse().unwrap(), "`model_type` to be \"decision_transformer\", got \"gpt2\""),
        ("layer_norm_epsilon", 1e-6.into(), "`layer_norm_epsilon` to be 1e-5, got 1e-6"),
        ("n_head", 3.into(), "`n_head` to be a divisor of the hidden_size of 8, got 3"),
        ("n_layer", (-1).into(), "`n_layer` to be a number from 1 to 1048576, got -1"),
        ("state_dim", (1_u64 << 40).into(), "`state_dim` to be a number from 1 to 1048576, got 1099511627776"),
        ("scale_attn_weights", false.into(), "`scale_attn_weights` to be true, got false"),
        ("scale_attn_by_inverse_layer_idx", true.into(), "`scale_attn_by_inverse_layer_idx` to be false, got true"),
        ("attn_pdrop", 1.into(), "`attn_pdrop` to be a number from 0 to below 1, got 1.0"),
        ("action_tanh", 1.into(), "`action_tanh` to be true or false, got 1"),
    ];
    for (key, value, expected) in cases {
        assert_eq!(with_entry(key, value), format!("folder/config.json: expected {expected}"));
    }
    let activation = with_entry("activation_function", "silu".into());
    assert!(activation.contains("`activation_function` to be one of relu, gelu, ") && activation.ends_with("\"silu\""));
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_refused_by_name_and_shape() {
    assert_eq!(
        with_entry("state_dim", 5.into()),
        "folder/model.safetensors: tensor `embed_state.weight`: expected F32 of shape [8, 5], got F32 of shape [8, 3]"
    );
    let name = "encoder.h.1.mlp.c_fc.weight";
    let missing = with_tensors(|tensors| drop(tensors.remove(name)));
    assert_eq!(
        missing,
        format!("folder/model.safetensors: tensor `{name}`: expected F32 of shape [8, 32], got no such tensor")
    );
    // As PyTorch's own affine layers have it, (outputs, inputs).
    let turned = with_tensors(|tensors| tensors.get_mut(name).unwrap().0.reverse());
    assert!(turned.ends_with("expected F32 of shape [8, 32], got F32 of shape [32, 8]"), "{turned}");
    assert_eq!(
        with_entry("n_layer", 1.into()),
        "folder/model.safetensors: expected the tensors of a decision transformer of 1 layers and no other, got \
         `encoder.h.1.attn.c_attn.bias` [24]"
    );
}

#[test]
fn masks_that_old_versions_stored_are_passed_over() {
    let made = checkpoint(small());
    let [config, tensors] = made.to_bytes();
    // Eight-bit elements, which nothing else here may have.
    let header_length = u64::from_le_bytes(tensors[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&tensors[8..8 + header_length]).unwrap();
    let end = tensors.len() - 8 - header_length;
    header["encoder.h.0.attn.bias"] =
        serde_json::json!({ "dtype": "BOOL", "shape": [1, 1, 2, 2], "data_offsets": [end, end + 4] });
    let header = header.to_string().into_bytes();
    let mut old = (header.len() as u64).to_le_bytes().to_vec();
    old.extend(header);
    old.extend(&tensors[8 + header_length..]);
    old.extend([1, 0, 1, 1]);
    assert_eq!(load(&config, &old).unwrap().to_bytes(), [config, tensors]);
}

#[test]
fn truncated_files_are_refused() {
    let [config, tensors] = checkpoint(small()).to_bytes();
    let cut = load(&config[..config.len() / 2], &tensors).unwrap_err().to_string();
    assert!(cut.starts_with("folder/config.json: expected a JSON object, got EOF"), "{cut}");
    for length in [0, 5, 100, tensors.len() - 1] {
        let cut = load(&config, &tensors[..length]).unwrap_err().to_string();
        assert!(cut.starts_with("folder/model.safetensors: expected a whole safetensors file"), "{cut}");
    }
}

#[test]
fn networks_that_huggingface_does_not_have_are_refused() {
    let refused = |settings: Settings| {
        let model = DecisionTransformer::new(settings).unwrap();
        let weights = model.parameters().initial(1);
        HuggingFaceCheckpoint::new(model, weights).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Settings { actions: Actions::Discrete(2), ..small() }),
        "decision transformer: expected continuous actions for HuggingFace's network, got Discrete(2)"
    );
    assert!(refused(Settings { norm: NormPlacement::After, ..small() }).contains("got After and LayerNorm"));
    assert!(refused(small().without_returns()).contains("tokens in the paper's order"));
    assert!(refused(Settings { times: None, ..small() }).contains("an embedding of times"));
    let places = refused(Settings { positions: Positions::Window, ..small() });
    assert!(places.ends_with("an embedding of each step's time for HuggingFace's network, got Window"), "{places}");
    let error = checkpoint(small()).with_weights(Data::F32(vec![0.0; 3])).unwrap_err().to_string();
    assert!(error.ends_with("weights of F32, got 3 of F32"), "{error}");
}
