//! Classifiers that PyTorch made, read and evaluated here, and one that was written here for PyTorch to open: the files and
//! the script of `tests/fixtures/pytorch`.

use std::path::{Path, PathBuf};

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Standardisation};
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::models::{Classifier, TrainedClassifier};
use fourfold::shaders::Data;

const IMAGES: usize = 6;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch").join(format!("{name}.safetensors"))
}

fn classifier(model: &str) -> Classifier {
    Classifier::new(&model.parse().unwrap(), [28, 28], 10, 0.0).unwrap()
}

/// The logits in evaluation of images with pixels by the rule of the script.
fn logits(classifier: &Classifier, weights: Data, statistics: Data) -> Vec<f32> {
    let pixels = (0..IMAGES * 784).map(|j| (0.37 * j as f64 + 0.11 * (j % 13) as f64).sin() as f32);
    let graph = Graph::new();
    let x = graph.input("images", TensorType::f32([IMAGES, 784]));
    let mode = Classifier::evaluation(classifier.running(&graph, "statistics"));
    graph.output("logits", classifier.forward(classifier.parameters().state(&graph, "weights"), x, mode));
    let values = [("images", Data::F32(pixels.collect())), ("weights", weights), ("statistics", statistics)];
    let gpu = Gpu::open().expect("an adapter");
    let values: Values = values.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    let plan = Plan::new(&graph, &gpu.target()).expect("a plan");
    let mut session = Session::new(&gpu, plan, &values).expect("a session");
    session.submit(1).expect("a step");
    session.read("logits").expect("logits").f32().to_vec()
}

/// Each logit within 1e-5 of the largest: float32 beside PyTorch's float64.
fn check(model: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-5 * largest, "{model}: {got} beside {expected} of at most {largest}");
    }
}

#[test]
fn networks_of_pytorch_give_its_logits_here() {
    for (model, file) in [("cnn", "cnn"), ("resnet:8,4", "resnet-8-4"), ("wrn-conv:10,1", "wrn-conv-10-1")] {
        let classifier = classifier(model);
        let [weights, statistics] = classifier.load_state(&fixture(file)).expect("a state_dict");
        let expected = Checkpoint::load(&fixture(&format!("{file}.logits"))).unwrap();
        check(model, &logits(&classifier, weights, statistics), expected.f32("logits", &[IMAGES, 10]).unwrap());
    }
}

/// Both have the layers of `wrn-conv` but for the shortcuts.
#[test]
fn the_other_forms_of_a_wide_network_give_the_logits_of_pytorch_too() {
    let all = Checkpoint::from_bytes_where("wrn", &std::fs::read(fixture("wrn-conv-10-1")).unwrap(), |name| {
        !name.contains("shortcut") && !name.ends_with("num_batches_tracked")
    });
    let path = std::env::temp_dir().join(format!("fourfold-wrn-{}.safetensors", std::process::id()));
    all.unwrap().save(&path).unwrap();
    let expected = Checkpoint::load(&fixture("wrn-conv-10-1.logits")).unwrap();
    for form in ["wrn", "wrn-same"] {
        let model = format!("{form}:10,1");
        let classifier = classifier(&model);
        let [weights, statistics] = classifier.load_state(&path).expect("a state_dict");
        let expected = expected.f32(&format!("logits.{form}"), &[IMAGES, 10]).unwrap();
        check(&model, &logits(&classifier, weights, statistics), expected);
    }
    std::fs::remove_file(&path).unwrap();
}

/// `written-here.safetensors` was opened by the script in PyTorch, whose logits stand in `written-here.logits.safetensors`.
#[test]
fn a_network_written_here_is_the_file_that_pytorch_opened_and_gives_its_logits() {
    let classifier = classifier("resnet:8,4");
    let running: Vec<f32> = (0..classifier.statistics().count()).map(|i| 0.5 + 0.01 * i as f32).collect();
    let trained = TrainedClassifier {
        weights: classifier.parameters().initial(3),
        statistics: classifier.statistics().from_dense(&running).unwrap(),
        classifier,
        standardisation: Standardisation { mean: vec![0.0; 784], deviation: vec![1.0; 784] },
    };
    let bytes = trained.to_checkpoint().to_bytes();
    assert!(bytes == std::fs::read(fixture("written-here")).unwrap(), "the file has changed: open it in PyTorch again");
    let expected = Checkpoint::load(&fixture("written-here.logits")).unwrap();
    let got = logits(&trained.classifier, trained.weights, trained.statistics);
    check("resnet:8,4", &got, expected.f32("logits", &[IMAGES, 10]).unwrap());
}

#[test]
fn a_state_of_another_network_is_refused_by_the_tensor_that_differs() {
    let error = classifier("resnet:8,8").load_state(&fixture("resnet-8-4")).unwrap_err().to_string();
    let expected = "resnet-8-4.safetensors: tensor `conv1.weight`: expected F32 of shape [8, 1, 3, 3], got F32 of shape [4, 1, 3, 3]";
    assert!(error.ends_with(expected), "{error}");
    let error = classifier("wrn:10,1").load_state(&fixture("wrn-conv-10-1")).unwrap_err().to_string();
    assert!(
        error.contains("expected the parameters of `wrn:10,1` and no other tensor, got `block2.0.shortcut.weight`"),
        "{error}"
    );
}
