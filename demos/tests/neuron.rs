//! The attention neuron: what shuffled inputs do to it, and `fourfold neuron train` and `reshuffle` as a user runs them.

mod scratch;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::load_flat_vector;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use fourfold_demos::experiments::neuron::evaluation::{Order, Protocol};
use fourfold_demos::experiments::neuron::network::trained;
use serde_json::Value;

use scratch::Scratch;

fn neuron(scratch: &Scratch, arguments: &str) -> Command {
    let mut command = scratch.fourfold();
    command.args(["neuron"]).args(arguments.split_whitespace()).arg("--quiet");
    command
}

fn succeeds(scratch: &Scratch, arguments: &str) -> Output {
    let output = neuron(scratch, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Asserts exit code 2, one sentence with `words`, and no folder left behind.
fn refused(scratch: &Scratch, arguments: &str, words: &[&str]) {
    let before = fs::read_dir(&scratch.0).unwrap().count();
    let output = neuron(scratch, arguments).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{arguments}: {sentence}");
    for word in words {
        assert!(sentence.contains(word), "{arguments}: no `{word}` in: {sentence}");
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), before, "{arguments}: something was left behind");
}

const NETWORK: AttentionNeuron = AttentionNeuron::cart_pole();

#[test]
fn shuffled_inputs_change_an_episodes_actions_by_no_more_than_rounding() {
    let gpu = Gpu::open().unwrap();
    let weights = trained().unwrap();
    let plain = Protocol::plain(12, 3);
    let shuffled = Protocol { order: Order::Shuffled, ..plain };
    let [plain, shuffled] =
        [plain, shuffled].map(|protocol| protocol.trace(&gpu, Arc::new(NETWORK), &weights).unwrap().episodes);
    let mut steps = 0;
    for (plain, shuffled) in plain.iter().zip(&shuffled) {
        // Later on a difference in the last bit has grown with the unstable pole.
        for (plain, shuffled) in plain.iter().zip(shuffled).take(50) {
            assert!((plain.action[0] - shuffled.action[0]).abs() < 1e-4, "{plain:?} {shuffled:?}");
            steps += 1;
        }
    }
    assert!(steps > 200, "episodes are long enough to say something: {steps} steps");
}

#[test]
fn shuffling_between_episodes_leaves_the_mean_score_within_one_standard_error() {
    let gpu = Gpu::open().unwrap();
    let weights = trained().unwrap();
    let plain = Protocol::plain(1_000, 5);
    let five = plain.scores(&gpu, Arc::new(NETWORK), &weights).unwrap();
    let shuffled = Protocol { order: Order::Shuffled, ..plain };
    let shuffled = shuffled.scores(&gpu, Arc::new(NETWORK), &weights).unwrap();
    assert!((five.mean() - shuffled.mean()).abs() < five.error(), "{} {}", five.mean(), shuffled.mean());
    assert!(five.mean() > 300.0, "the built-in weights balance the pole: {}", five.mean());
}

#[test]
fn ten_inputs_at_half_the_sum_are_the_five_they_repeat() {
    let gpu = Gpu::open().unwrap();
    let weights = trained().unwrap();
    let five = Protocol::plain(8, 7);
    let ten = Protocol { copies: 2, ..five };
    let halved = AttentionNeuron { factor: 0.5, ..NETWORK };
    let five = five.trace(&gpu, Arc::new(NETWORK), &weights).unwrap().episodes;
    let ten = ten.trace(&gpu, Arc::new(halved), &weights).unwrap().episodes;
    for (five, ten) in five.iter().zip(&ten) {
        for (five, ten) in five.iter().zip(ten).take(50) {
            assert!((five.action[0] - ten.action[0]).abs() < 1e-4, "{five:?} {ten:?}");
        }
    }
}

/// A training of seconds: PGPE of a small network, two tries.
const SMALL: &str = "train --alone --rows 4 --strategy pgpe --members 16 --episodes 2 --steps 120000 --trial 40000 \
                     --seeds 2 --test-episodes 20 --seed 9";

fn curve(run: &Path) -> String {
    fs::read_to_string(run.join("learning.jsonl")).unwrap()
}

#[test]
fn a_training_that_was_killed_goes_on_to_the_same_bits() {
    let scratch = Scratch::new("killed");
    succeeds(&scratch, &format!("{SMALL} --out whole"));
    let whole = scratch.0.join("whole");
    let rows = curve(&whole);
    assert!(rows.lines().count() > 4, "{rows}");

    let killed = scratch.0.join("killed");
    let mut child =
        neuron(&scratch, &format!("{SMALL} --out killed")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // After the first checkpoint, wherever that is.
    while !killed.join("attention_neuron-1.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("learning.jsonl").exists(), "it was killed before its end");
    succeeds(&scratch, "train --resume killed");
    assert_eq!(curve(&killed), rows);
    let weights = |run: &Path| fs::read(run.join("attention_neuron.safetensors")).unwrap();
    assert!(weights(&killed) == weights(&whole), "other weights");
}

#[test]
fn weights_are_scored_without_training_and_reshuffled() {
    let scratch = Scratch::new("scored");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/attention_neuron.safetensors");
    assert_eq!(load_flat_vector(Path::new(file), None, 913).unwrap(), trained().unwrap());
    let output = succeeds(&scratch, &format!("train --weights {file} --test-episodes 20 --out scored"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("5 and 5 of noise, shuffled"), "{table}");
    let results = fs::read(scratch.0.join("scored/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(results["rows"].as_array().map(Vec::len), Some(5));

    let output = succeeds(&scratch, "reshuffle --intervals 100,500 --episodes 20 --out again");
    assert!(String::from_utf8(output.stdout).unwrap().contains("never"));
    assert!(fs::read(scratch.0.join("again/reshuffle.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn wrong_input_is_one_sentence_and_leaves_nothing() {
    let scratch = Scratch::new("wrong");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/attention_neuron.safetensors");
    refused(&scratch, "train --weights absent.npz", &["absent.npz"]);
    refused(&scratch, &format!("train --weights {file} --rows 8"), &["913"]);
    refused(&scratch, "train --steps -3", &["--steps"]);
    refused(&scratch, "train --trial 0", &["--trial", "0"]);
    refused(&scratch, "train --strategy pgpe --members 3", &["twos", "3"]);
    refused(&scratch, "train --resume absent", &["absent"]);
    refused(&scratch, "reshuffle --intervals 0", &["--intervals", "0"]);
    refused(&scratch, "reshuffle --rows 64", &["--weights"]);
}
