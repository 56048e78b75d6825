//! `fourfold pes schedule` and `fourfold pes hyperparameters` as a user runs them, small.

mod scratch;

use std::fs;
use std::process::Output;

use serde_json::Value;

use scratch::Scratch;

fn pes(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.arg("pes").args(arguments.split_whitespace()).args(["--quick", "--quiet", "--out", "run"]);
    command.output().unwrap()
}

/// The results of a run that succeeds and leaves these files, the pictures among them whole.
fn results(scratch: &Scratch, arguments: &str, pictures: &[&str]) -> Value {
    let output = pes(scratch, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let run = scratch.0.join("run");
    for picture in pictures {
        assert!(fs::read(run.join(picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
    let report = fs::read_to_string(run.join("report.md")).unwrap();
    assert!(pictures.iter().all(|picture| report.contains(&format!("]({picture})"))), "{report}");
    serde_json::from_str(&fs::read_to_string(run.join("results.json")).unwrap()).unwrap()
}

fn objectives(path: &Value) -> Vec<f64> {
    path["objectives"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn a_schedule_is_trained_by_both_estimators_and_drawn_on_its_map() {
    let scratch = Scratch::new("pes-schedule");
    let results = results(
        &scratch,
        "schedule --objective validation-accuracy --start-rate 0.1 --start-decay 1",
        &["map.png", "objective.png"],
    );
    assert_eq!(results["map"].as_array().unwrap().len(), 16);
    let paths = results["paths"].as_array().unwrap();
    assert_eq!(
        paths.iter().map(|path| path["estimator"].as_str().unwrap()).collect::<Vec<_>>(),
        ["PES", "truncated ES"]
    );
    for path in paths {
        // Accuracies of 20 steps, minus their sum.
        let objectives = objectives(path);
        assert_eq!(objectives.len(), 5);
        assert!(objectives.iter().all(|value| (-20.0..=0.0).contains(value)), "{objectives:?}");
        let thetas = path["thetas"].as_array().unwrap();
        assert_ne!(thetas[0][1], thetas[4][1], "theta does not move");
    }
    // Truncated ES has an unperturbed member besides its 8 particles.
    assert_eq!([&paths[0]["inner_steps"], &paths[1]["inner_steps"]], [40, 45]);
}

#[test]
fn hyperparameters_are_compared_with_random_search_for_the_same_inner_steps() {
    let scratch = Scratch::new("pes-hyperparameters");
    let results = results(&scratch, "hyperparameters", &["best.png"]);
    let paths = results["paths"].as_array().unwrap();
    let methods: Vec<_> = paths.iter().map(|path| path["estimator"].as_str().unwrap()).collect();
    assert_eq!(methods, ["PES", "truncated ES", "random search"]);
    for path in paths {
        assert_eq!(path["thetas"][0][1].as_array().unwrap().len(), 29);
        assert!(objectives(path).iter().all(|value| (0.0..=20.0 * 20.0).contains(value)), "{path}");
    }
    // 12 iterations of 4 particles and 5 steps, in trainings of 20.
    assert_eq!(paths[2]["thetas"].as_array().unwrap().last().unwrap()[0], 12);
}

#[test]
fn sizes_of_zero_are_refused_by_the_name_of_their_flag() {
    let scratch = Scratch::new("pes-hyperparameters-refused");
    for (arguments, flag) in [
        ("schedule --horizon 0", "--horizon"),
        ("schedule --particles 3", "--particles"),
        ("hyperparameters --batch 0", "--batch"),
        ("hyperparameters --seeds 0", "--seeds"),
        ("schedule --pool 3", "multiples of 3"),
    ] {
        let output = pes(&scratch, arguments);
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && sentence.contains(flag), "{arguments}: {sentence}");
        assert!(!scratch.0.join("run").exists(), "{arguments} leaves a folder");
    }
}
