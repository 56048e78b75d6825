//! Decision transformers of HuggingFace's `transformers`, whose folders and predictions `tests/fixtures/hugging_face` holds.

use std::path::{Path, PathBuf};

use fourfold::Gpu;
use fourfold::data::{Actions, Checkpoint};
use fourfold::graph::{Graph, Plan, Session, Shape, TensorType, Values};
use fourfold::models::decision_transformer::{DecisionTransformer, HuggingFaceCheckpoint, Settings};
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::Noise;
use fourfold::shaders::{Data, Element};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hugging_face").join(name)
}

fn predictions(name: &str) -> Checkpoint {
    Checkpoint::load(&fixture(&format!("{name}.predictions.safetensors"))).expect("a file of predictions")
}

/// A folder to write, where nothing is.
fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hugging_face").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("a folder that an earlier run wrote");
    }
    std::fs::create_dir_all(folder.parent().unwrap()).expect("a folder for scratch files");
    folder
}

/// The model's outputs on the GPU for the windows in a file: (name there, shape, values).
fn said(checkpoint: &HuggingFaceCheckpoint, file: &Checkpoint) -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
    let graph = Graph::new();
    let mut values = Values::new();
    let mut input = |name: &str| {
        let (_, shape, data) = file.tensors().find(|(tensor, ..)| *tensor == name).expect("an input");
        let shape = Shape::from(shape.to_vec());
        values.insert(name.to_owned(), data.clone());
        graph.input(name, TensorType { element: data.element(), shape })
    };
    let window = Window {
        returns: input("returns"),
        observations: input("observations"),
        actions: input("actions"),
        times: input("times"),
        mask: input("mask"),
    };
    let parameters = checkpoint.model().parameters();
    let weights = graph.input("weights", TensorType::f32([parameters.length()]));
    values.insert("weights".into(), checkpoint.weights().clone());
    let outputs = checkpoint.model().forward(&parameters.of(weights), &window, Noise::NONE);
    let outputs = [
        ("action_preds", Some(outputs.actions)),
        ("return_preds", outputs.returns),
        ("state_preds", outputs.observations),
    ];
    let outputs: Vec<_> = outputs.into_iter().filter_map(|(name, output)| Some((name, output?))).collect();
    outputs.iter().for_each(|(name, output)| graph.output(name, *output));

    let gpu = Gpu::open().expect("an adapter");
    let plan = Plan::new(&graph, &gpu.target()).expect("a graph without mistakes");
    let mut session = Session::new(&gpu, plan, &values).expect("a session");
    session.submit(1).expect("a run");
    let mut read = |name: &str| session.read(name).expect("an output").f32().to_vec();
    outputs.iter().map(|(name, output)| (*name, output.shape().to_vec(), read(name))).collect()
}

/// Checks every valid position of all three predictions.
fn check_predictions(checkpoint: &HuggingFaceCheckpoint, file: &Checkpoint) {
    let (_, windows, mask) = file.tensors().find(|(name, ..)| *name == "mask").expect("a mask");
    let steps: usize = windows.iter().product();
    let outputs = said(checkpoint, file);
    assert_eq!(outputs.len(), 3);
    for (name, shape, values) in outputs {
        let expected = file.f32(name, &shape).expect("predictions of that shape");
        let width = values.len() / steps;
        let mut compared = 0;
        for (index, (got, expected)) in values.iter().zip(expected).enumerate() {
            if mask.f32()[index / width] > 0.0 {
                assert!((got - expected).abs() < 1e-5, "{name}[{index}]: {got}, transformers says {expected}");
                compared += 1;
            }
        }
        assert_eq!(compared, width * mask.f32().iter().filter(|&&mask| mask > 0.0).count());
    }
}

#[test]
fn predictions_are_those_of_transformers() {
    let file = predictions("relu");
    check_predictions(&HuggingFaceCheckpoint::load(&fixture("relu"), 6).expect("a checkpoint"), &file);
}

#[test]
fn predictions_with_gelu_and_unbounded_actions_are_those_of_transformers() {
    let checkpoint = HuggingFaceCheckpoint::load(&fixture("gelu_new"), 5).expect("a checkpoint");
    assert_eq!((checkpoint.model().settings().hidden, checkpoint.model().settings().bounded), (24, false));
    check_predictions(&checkpoint, &predictions("gelu_new"));
}

#[test]
fn a_folder_that_was_loaded_and_saved_holds_the_same_tensors_and_entries() {
    for name in ["relu", "gelu_new"] {
        let folder = fresh(name);
        let loaded = HuggingFaceCheckpoint::load(&fixture(name), 5).expect("a checkpoint");
        loaded.save(&folder).expect("a folder");

        let tensors = |folder: &Path| Checkpoint::load(&folder.join("model.safetensors")).expect("tensors");
        let (ours, theirs) = (tensors(&folder), tensors(&fixture(name)));
        assert!(ours.tensors().eq(theirs.tensors()), "{name}");
        assert_eq!(ours.get("format").unwrap(), theirs.get("format").unwrap());
        let entries = |folder: &Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
        };
        assert_eq!(entries(&folder), entries(&fixture(name)));

        let again = HuggingFaceCheckpoint::load(&folder, 5).expect("what was saved");
        assert_eq!(again.to_bytes(), loaded.to_bytes());
        assert_eq!(again.weights(), loaded.weights());
    }
}

/// `generate.py --check` compares the folder and the predictions that this test leaves with `transformers`.
#[test]
fn a_model_made_here_says_the_same_when_its_folder_is_loaded_again() {
    let (folder, settings) = (fresh("made_here"), Settings::gym(11, Actions::Continuous(3), 20).sized(32, 2, 4));
    let model = DecisionTransformer::new(settings).unwrap();
    let weights = model.parameters().initial(8);
    let made = HuggingFaceCheckpoint::new(model, weights).expect("a network that HuggingFace has");
    made.save(&folder).expect("a folder");
    let loaded = HuggingFaceCheckpoint::load(&folder, 20).expect("what was saved");

    let mut file = Checkpoint::new();
    let lengths = [20, 7, 1];
    let steps: Vec<_> = lengths.into_iter().flat_map(|length| (0..20).map(move |step| (length, step))).collect();
    let mask = steps.iter().map(|(length, step)| f32::from(step + length >= 20)).collect();
    let times = steps.iter().map(|&(length, step): &(u32, u32)| (step + length).saturating_sub(20) + length).collect();
    let wave = |count: usize, pace: f32| Data::F32((0..count).map(|index| (pace * index as f32).sin()).collect());
    file.insert("mask", &[3, 20], Data::F32(mask));
    file.insert("times", &[3, 20], Data::U32(times));
    file.insert("returns", &[3, 20], wave(60, 0.3));
    file.insert("observations", &[3, 20, 11], wave(660, 0.7));
    file.insert("actions", &[3, 20, 3], wave(180, 1.1));

    let (before, after) = (said(&made, &file), said(&loaded, &file));
    assert_eq!(before, after[..1]);
    for (name, shape, values) in after {
        file.insert(name, &shape, Data::F32(values));
    }
    file.save(&folder.with_extension("predictions.safetensors")).expect("a file of predictions");
}

#[test]
fn a_folder_with_a_pickle_alone_is_refused_with_the_command_that_converts_it() {
    let folder = fresh("pickle");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(fixture("relu").join("config.json"), folder.join("config.json")).unwrap();
    std::fs::write(folder.join("pytorch_model.bin"), b"PK").unwrap();
    let error = HuggingFaceCheckpoint::load(&folder, 5).unwrap_err().to_string();
    assert!(
        error.contains("expected `model.safetensors`, which `python -c") && error.contains("save_pretrained"),
        "{error}"
    );
    assert!(error.ends_with("got `pytorch_model.bin` alone"), "{error}");
}

#[test]
fn a_folder_that_holds_something_is_not_written_over() {
    let parent = fresh("taken");
    let folder = parent.join("folder");
    let checkpoint = HuggingFaceCheckpoint::load(&fixture("relu"), 5).expect("a checkpoint");
    std::fs::create_dir_all(&folder).unwrap();
    checkpoint.save(&folder).expect("an empty folder takes it");
    let error = checkpoint.save(&folder).unwrap_err().to_string();
    assert!(error.contains("expected no folder, or an empty one, got one that holds `"), "{error}");
    let nowhere = folder.join("no/such/place");
    assert!(checkpoint.save(&nowhere).unwrap_err().to_string().starts_with("cannot write "));
    // No part of what was not written is left.
    assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 1);
}

#[test]
fn an_observation_table_of_integers_is_refused_by_name() {
    let mut file = Checkpoint::load(&fixture("relu").join("model.safetensors")).expect("tensors");
    file.insert("embed_state.weight", &[16, 5], Data::U32(vec![0; 80]));
    let config = std::fs::read(fixture("relu").join("config.json")).unwrap();
    let bytes = file.to_bytes();
    let error = HuggingFaceCheckpoint::from_bytes(["config.json", "model.safetensors"], [&config, &bytes], 5);
    assert_eq!(
        error.unwrap_err().to_string(),
        "model.safetensors: tensor `embed_state.weight`: expected F32 of shape [16, 5], got U32 of shape [16, 5]"
    );
    assert_eq!(file.tensors().filter(|(.., data)| data.element() == Element::U32).count(), 1);
}
