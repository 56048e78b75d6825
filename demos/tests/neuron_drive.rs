//! `fourfold neuron drive` as a user runs it: its table, and what it refuses.

mod scratch;

use std::fs;
use std::process::Output;

use fourfold::models::TrainedVision;
use fourfold::shaders::vision::{AttentionAgent, DrivingNetwork};
use serde_json::Value;

use scratch::Scratch;

fn drive(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["neuron", "drive", "--quiet"]).args(arguments.split_whitespace());
    command.output().unwrap()
}

#[test]
fn a_short_drive_has_a_row_for_each_order_and_shuffling_once_changes_nothing() {
    let scratch = Scratch::new("drive");
    let weights = (0..7_212).map(|index| (0.1 * (1.7 * f64::from(index)).sin()) as f32).collect();
    let trained = TrainedVision::new(DrivingNetwork::car_racing(), weights).unwrap();
    fs::write(scratch.0.join("made.safetensors"), trained.to_checkpoint().to_bytes()).unwrap();
    let line = "--weights made.safetensors --episodes 2 --horizon 4 --intervals 2 --missing 0.5 --out run";
    let output = drive(&scratch, line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    for row in ["in order", "shuffled every 2 steps", "50 % missing"] {
        assert!(table.contains(row), "{table}");
    }
    let results: Value = serde_json::from_slice(&fs::read(scratch.0.join("run/results.json")).unwrap()).unwrap();
    let rows = results["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0]["returns"], rows[1]["returns"]);
    assert_eq!(rows[0]["steps"], serde_json::json!([4, 4]));
}

#[test]
fn the_length_of_its_file_says_that_the_attention_agent_drives() {
    let scratch = Scratch::new("drive-agent");
    let weights = (0..3_667).map(|index| (0.3 * (2.07 * f64::from(index)).sin()) as f32).collect();
    let trained = TrainedVision::new(AttentionAgent::car_racing(), weights).unwrap();
    fs::write(scratch.0.join("made.safetensors"), trained.to_checkpoint().to_bytes()).unwrap();
    let line = "--weights made.safetensors --episodes 2 --horizon 4 --intervals 2 --missing 0.5 --out run";
    let output = drive(&scratch, line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read_to_string(scratch.0.join("run/report.md")).unwrap();
    assert!(report.contains("The AttentionAgent drives") && report.contains("901 ± 54"), "{report}");
    let results: Value = serde_json::from_slice(&fs::read(scratch.0.join("run/results.json")).unwrap()).unwrap();
    let rows = results["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3]["steps"], serde_json::json!([4, 4]));
}

#[test]
fn evolved_networks_of_each_kind_drive_and_the_same_seed_gives_them_again() {
    let scratch = Scratch::new("drive-evolve");
    let quick = "evolve --quick --generations 2 --members 2 --steps 4 --horizon 4";
    for (network, parameters) in [("student", 31_107), ("small-agent", 2_715)] {
        let evolve = |out: &str| {
            let output = drive(&scratch, &format!("{quick} --network {network} --out {network}-{out}"));
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            fs::read(scratch.0.join(format!("{network}-{out}/evolved-0.safetensors"))).unwrap()
        };
        let (first, second) = (evolve("first"), evolve("second"));
        assert!(first == second && first.len() > 4 * parameters, "{network}: {} bytes", first.len());
        let results = fs::read(scratch.0.join(format!("{network}-first/results.json"))).unwrap();
        let results: Value = serde_json::from_slice(&results).unwrap();
        assert_eq!(results["networks"][0]["generations"].as_array().unwrap().len(), 2, "{results}");
        let weights = format!("--weights {network}-first/evolved-0.safetensors");
        let output = drive(&scratch, &format!("{weights} --episodes 2 --horizon 4 --out {network}-driven"));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn weights_of_another_network_are_refused_and_leave_nothing() {
    let scratch = Scratch::new("drive-wrong");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/numpy/stored.npz");
    let output = drive(&scratch, &format!("--weights {file} --out run"));
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message
            .trim_end()
            .ends_with("stored.npz: tensor `params`: expected 7212 or 3667 or 31107 or 2715 values, got shape [3]"),
        "{message}"
    );
    assert!(!scratch.0.join("run").exists());
}

#[test]
fn a_missing_interpreter_is_told_and_leaves_nothing() {
    let scratch = Scratch::new("drive-python");
    let trained = TrainedVision::new(DrivingNetwork::car_racing(), vec![0.1; 7_212]).unwrap();
    fs::write(scratch.0.join("made.safetensors"), trained.to_checkpoint().to_bytes()).unwrap();
    let output = drive(&scratch, "--weights made.safetensors --gymnasium --python no-such-python --out run");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("cannot run `no-such-python`") && message.contains("gymnasium[box2d]"), "{message}");
    assert!(!scratch.0.join("run").exists());
}
