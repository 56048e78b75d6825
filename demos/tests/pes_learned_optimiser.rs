//! `fourfold pes learned-optimiser` as a user runs it.

mod scratch;

use std::fs;
use std::process::Output;

use fourfold::models::learned_optimiser::TrainedOptimiser;
use serde_json::Value;

use scratch::Scratch;

fn run(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["pes", "learned-optimiser", "--quiet"]).args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn a_run_leaves_two_optimisers_their_curves_and_contests_in_which_they_can_run_again() {
    let scratch = Scratch::new("pes-learned-optimiser");
    let small = "--digits --quick --iterations 2 --horizon 20 --long 20 --seeds 1";
    let output = run(&scratch, &format!("{small} --out trained"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = scratch.0.join("trained");
    for name in ["config.json", "report.md", "meta-training.png", "trained.png", "longer.png", "unseen.png"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    for curve in results["meta_training"].as_array().unwrap() {
        let points = curve["points"].as_array().unwrap();
        assert_eq!(points.len(), 3, "{curve}");
        assert_eq!(points[2]["iteration"], 2);
    }
    for contest in results["contests"].as_array().unwrap() {
        assert_eq!(contest["competitors"].as_array().unwrap().len(), 4, "{contest}");
        // A tuned rival learns even in so few steps.
        let adam = contest["competitors"][2]["mean_loss_of_the_last_tenth"][0].as_f64().unwrap();
        assert!(adam < 2.0, "{contest}");
    }
    let trained = TrainedOptimiser::load(&folder.join("pes.safetensors")).unwrap();
    assert_ne!(trained.theta, trained.optimiser.initial(0));

    let again = run(&scratch, &format!("{small} --weights trained/pes.safetensors --out again"));
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    let again: Value = serde_json::from_slice(&fs::read(scratch.0.join("again/results.json")).unwrap()).unwrap();
    for (contest, before) in again["contests"].as_array().unwrap().iter().zip(results["contests"].as_array().unwrap()) {
        assert_eq!(contest["competitors"][0]["mean_loss"], before["competitors"][0]["mean_loss"]);
    }
}

#[test]
fn wrong_input_is_refused_by_name() {
    let scratch = Scratch::new("pes-learned-optimiser-refused");
    for (arguments, named) in [
        ("--digits --horizon 0", "--horizon"),
        ("--digits --direction 0", "--direction"),
        ("--digits --particles 3", "3"),
        ("--data-dir nowhere", "nowhere"),
        ("--digits --weights nothing.safetensors", "nothing.safetensors"),
    ] {
        let output = run(&scratch, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(named), "{arguments}: {said}");
        assert!(!scratch.0.join("runs").exists(), "{arguments} left a folder");
    }
}
