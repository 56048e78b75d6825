//! `fourfold neuron clone` as a user runs it: what it leaves behind and what it refuses.

mod scratch;

use std::fs;
use std::process::Output;

use fourfold::data::load_flat_vector;
use serde_json::Value;

use scratch::Scratch;

fn clone(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["neuron", "clone", "--quiet"]).args(arguments.split_whitespace());
    command.output().unwrap()
}

#[test]
fn a_quick_cloning_leaves_weights_scores_and_plots_and_the_same_seed_the_same_student() {
    let scratch = Scratch::new("quick");
    let line =
        "--quick --seed 5 --batch 8 --trajectories 8 --window 10 --steps 20 --teacher-generations 8 --episodes 20";
    let output = clone(&scratch, &format!("{line} --out first"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("student, inputs shuffled"), "{table}");

    let folder = scratch.0.join("first");
    let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["scores"].as_array().map(Vec::len), Some(4));
    assert_eq!(fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines().count(), 3);
    for plot in ["loss.png", "score.png"] {
        assert!(fs::read(folder.join(plot)).unwrap().starts_with(b"\x89PNG"), "{plot}");
    }
    let student = load_flat_vector(&folder.join("student.safetensors"), Some("weights"), 913).unwrap();
    assert_eq!(load_flat_vector(&folder.join("teacher.safetensors"), None, 113).unwrap().len(), 113);

    let teacher = folder.join("teacher.safetensors");
    let line = line.replace(" --teacher-generations 8", "");
    let output = clone(&scratch, &format!("{line} --out second --teacher {}", teacher.display()));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let again = load_flat_vector(&scratch.0.join("second/student.safetensors"), None, 913).unwrap();
    assert!(student == again, "the same seed and teacher gave another student");
}

#[test]
fn weights_of_another_network_are_refused_and_leave_nothing() {
    let scratch = Scratch::new("wrong");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/numpy/stored.npz");
    let output = clone(&scratch, &format!("--teacher {file} --out run"));
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.trim_end().ends_with("stored.npz: tensor `params`: expected 113 values, got shape [3]"),
        "{message}"
    );
    assert!(!scratch.0.join("run").exists());
}
