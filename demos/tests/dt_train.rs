//! `fourfold dt train` as a user runs it, without Python.

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};

use scratch::Scratch;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/trajectories").join(name)
}

/// Exit code, standard output and standard error.
fn train(scratch: &Scratch, data: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = scratch.fourfold();
    command.args(["dt", "train"]).arg(fixture(data)).args(["--quick", "--quiet"]).args(flags);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_training_leaves_weights_a_report_and_what_weights_lack() {
    let scratch = Scratch::new("dt-train");
    let (code, table, errors) = train(&scratch, "d4rl.hdf5", &["--out", "run"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(table.contains("loss"), "{table}");
    let run = scratch.0.join("run");
    let results: serde_json::Value = serde_json::from_slice(&fs::read(run.join("results.json")).unwrap()).unwrap();
    assert_eq!((&results["data"]["episodes"], &results["data"]["format"]), (&3.into(), &"D4RL (HDF5)".into()));
    let milestones = results["trainings"][0]["milestones"].as_array().unwrap();
    assert_eq!((milestones.len(), &milestones[1]["step"]), (2, &20.into()));
    assert!(milestones[1]["loss"].as_f64().unwrap() < milestones[0]["loss"].as_f64().unwrap());
    for file in ["config.json", "report.md", "loss.png", "training.safetensors", "hugging-face/config.json"] {
        assert!(run.join(file).exists(), "{file}");
    }
    let preparation = fs::read(run.join("preparation.json")).unwrap();
    let preparation: serde_json::Value = serde_json::from_slice(&preparation).unwrap();
    assert_eq!(preparation["observation_mean"].as_array().unwrap().len(), 2);
}

#[test]
fn baselines_train_on_the_best_episodes_of_discrete_actions() {
    for model in ["bc", "transformer-bc"] {
        let scratch = Scratch::new(model);
        let flags = ["--model", model, "--best", "0.5", "--delayed", "--out", "run"];
        let (code, _, errors) = train(&scratch, "imitation-discrete.npz", &flags);
        assert_eq!(code, Some(0), "{errors}");
        let results = fs::read(scratch.0.join("run/results.json")).unwrap();
        let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
        // The first episode is the best one, of 3 steps among 8; the next best has 4, more than half with them.
        assert_eq!(results["data"]["steps_trained_on"], 3);
    }
}

#[test]
fn wrong_input_is_refused_with_one_sentence_and_leaves_nothing() {
    let scratch = Scratch::new("dt-refused");
    for (data, flags, expected) in [
        ("bad/nan.hdf5", &[][..], "in row 5"),
        ("d4rl.hdf5", &["--gymnasium"], "--gymnasium needs --env"),
        (
            "d4rl.hdf5",
            &["--gymnasium", "--env", "Hopper-v5", "--python", "no-such-python"],
            "cannot run `no-such-python`",
        ),
        ("d4rl.hdf5", &["--best", "0"], "--best: expected a number above 0 and up to 1, got 0"),
        ("d4rl.hdf5", &["--scale", "-1"], "--scale: expected a number above 0 and up to 1000000000, got -1"),
        ("d4rl.hdf5", &["--heads", "3"], "heads"),
    ] {
        let (code, _, sentence) = train(&scratch, data, flags);
        assert_eq!(code, Some(2), "{sentence}");
        assert!(sentence.contains(expected) && sentence.lines().count() == 1, "{sentence}");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }
}

#[test]
fn a_worker_that_dies_is_shown_with_its_standard_error() {
    // The command itself stands in for an interpreter that does not know Python.
    let flags = ["--gymnasium", "--env", "Hopper-v5", "--python", env!("CARGO_BIN_EXE_fourfold")];
    let (code, _, errors) = train(&Scratch::new("dt-dies"), "d4rl.hdf5", &flags);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("Gymnasium's worker 0 failed (it ended, ") && errors.contains("unexpected argument"),
        "{errors}"
    );
}

#[test]
fn data_of_our_own_are_played_on_the_gpu_and_leave_an_agent_that_can_be_played() {
    let scratch = Scratch::new("dt-own");
    let succeeds = |line: &str| {
        let output = scratch.fourfold().args(line.split(' ')).args(["--quick", "--quiet"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    succeeds("data collect cart-pole --episodes 20 --stage expert --out data");
    let table = succeeds("dt train data/cart-pole-expert.safetensors --targets 100,50 --out run");
    assert!(table.contains("return") && table.contains("score"), "{table}");
    let results = fs::read(scratch.0.join("run/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    let evaluations = results["trainings"][0]["milestones"][1]["evaluations"].as_array().unwrap();
    assert_eq!(evaluations.len(), 2);
    for evaluation in evaluations {
        let (returns, lengths) = (&evaluation["returns"], &evaluation["lengths"]);
        assert_eq!(returns.as_array().map(Vec::len), Some(4));
        // A step of the cart-pole earns 1.
        assert_eq!(returns[0].as_f64(), lengths[0].as_f64());
    }
    succeeds("play run --out film");
    assert!(fs::read(scratch.0.join("film/film.gif")).unwrap().starts_with(b"GIF89a"));
}
