//! `fourfold dt control` and `fourfold dt sweep` as a user runs them: what they leave behind and what they refuse.

mod scratch;

use std::fs;
use std::process::Output;

use serde_json::Value;

use scratch::Scratch;

fn dt(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["dt", "--quiet"]).args(arguments.split_whitespace());
    command.output().unwrap()
}

fn json(scratch: &Scratch, file: &str) -> Value {
    serde_json::from_slice(&fs::read(scratch.0.join(file)).unwrap()).unwrap()
}

#[test]
fn a_quick_control_experiment_leaves_scores_of_all_contenders_and_the_same_seed_the_same_scores() {
    let scratch = Scratch::new("control");
    let output = dt(&scratch, "control --quick --out first");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("cart-pole-imitation") && table.contains("25 % BC"), "{table}");
    assert!(fs::read(scratch.0.join("first/scores.png")).unwrap().starts_with(b"\x89PNG"));
    let results = json(&scratch, "first/results.json");
    let trials = results["data_sets"][0]["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 7);
    assert!(trials.iter().all(|trial| trial["scores"].as_array().unwrap().len() == 1), "{results}");

    dt(&scratch, "control --quick --out second");
    let scores = |results: &Value| -> Vec<Value> {
        results["data_sets"][0]["trials"].as_array().unwrap().iter().map(|trial| trial["scores"].clone()).collect()
    };
    assert_eq!(scores(&json(&scratch, "second/results.json")), scores(&results));
}

#[test]
fn a_quick_sweep_leaves_a_picture_and_a_correlation() {
    let scratch = Scratch::new("sweep");
    let output = dt(&scratch, "sweep --quick --out run");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let results = json(&scratch, "run/results.json");
    assert_eq!(results["sweeps"][0]["achieved"][0].as_array().map(Vec::len), Some(4));
    let correlation = results["sweeps"][0]["correlation"].as_f64().unwrap();
    assert!((-1.0..=1.0).contains(&correlation), "{correlation}");
    assert!(fs::read(scratch.0.join("run/pendulum-imitation.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn wrong_input_is_refused_in_a_sentence_and_leaves_nothing() {
    let scratch = Scratch::new("control-refused");
    for (arguments, sentence) in [
        (
            "control --data hopper-medium",
            "error: invalid value 'hopper-medium' for '--data <NAMES>': expected an environment and a stage",
        ),
        ("control --dropout 1", "error: --dropout: expected 0 to less than 1, got 1"),
        ("sweep --targets 2", "error: --targets: expected 3 to 1000, got 2"),
    ] {
        let output = dt(&scratch, &format!("{arguments} --out run"));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with(sentence), "{message}");
        assert_eq!(output.status.code(), Some(2));
        assert!(!scratch.0.join("run").exists());
    }
}
