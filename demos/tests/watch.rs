//! `fourfold neuron watch` as a user runs it: what it leaves behind and what it refuses.

mod scratch;

use std::fs;
use std::process::Output;

use fourfold::data::Checkpoint;
use fourfold::shaders::Data;
use serde_json::Value;

use scratch::Scratch;

/// A folder with a file of weights in it.
fn with_weights(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let weights: Vec<f32> = (0..913).map(|index| 0.3 * (1.7 * index as f32).sin()).collect();
    let mut checkpoint = Checkpoint::new();
    checkpoint.insert("weights", &[913], Data::F32(weights));
    checkpoint.save(&scratch.0.join("weights.safetensors")).unwrap();
    scratch
}

/// `fourfold neuron watch` in a folder of its own.
fn watch(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["neuron", "watch", "--quiet"]).args(arguments.split_whitespace());
    command.output().unwrap()
}

#[test]
fn an_episode_leaves_its_pictures_its_steps_and_a_report() {
    let scratch = with_weights("run");
    let arguments =
        "--weights weights.safetensors --shuffle-at 3,6 --forget --noise-channels 2 --quick --every 20 --out run";
    let output = watch(&scratch, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let run = scratch.0.join("run");
    for picture in ["strip.png", "episode.png"] {
        assert!(fs::read(run.join(picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
    let results: Value = serde_json::from_slice(&fs::read(run.join("results.json")).unwrap()).unwrap();
    let stretches = results["stretches"].as_array().unwrap();
    assert_eq!(stretches.iter().map(|stretch| stretch["from"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 3, 6]);
    assert_eq!(stretches[0]["order"][0], "x");
    assert!(results["largest_difference_from_twin"]["first_50_steps"].as_f64().unwrap() < 1e-3);
    let steps = fs::read_to_string(run.join("steps.csv")).unwrap();
    assert_eq!(steps.lines().count() as u64, results["steps"].as_u64().unwrap() + 1);
    assert_eq!(steps.lines().next().unwrap().split(',').count(), 5 + 3 * 7);
    assert!(fs::read_to_string(run.join("report.md")).unwrap().contains("shuffled at steps 3, 6"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("3 shuffled") && !printed.contains('\u{1b}'), "{printed}");
}

#[test]
fn an_episode_is_the_same_whether_it_is_picked_or_named() {
    let scratch = with_weights("same");
    let steps = |arguments: &str, out: &str| {
        let line =
            format!("--weights weights.safetensors --shuffle-at 10 --every 100 --seed 4 --out {out} {arguments}");
        let output = watch(&scratch, &line);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(scratch.0.join(out).join(name)).unwrap();
        let results: Value = serde_json::from_str(&read("results.json")).unwrap();
        (results["episode"].as_u64().unwrap(), read("steps.csv"))
    };
    let (episode, picked) = steps("", "picked");
    let (_, named) = steps(&format!("--episode {episode}"), "named");
    assert_eq!(picked, named);
}

#[test]
fn wrong_input_is_refused_with_one_sentence_and_leaves_nothing() {
    let scratch = with_weights("wrong");
    for (arguments, word) in [
        ("--rows 64", "--weights"),
        ("--tensor best", "--weights"),
        ("--weights nothing.npz", "nothing.npz"),
        ("--weights weights.safetensors --rows 64", "961"),
        ("--weights weights.safetensors --tensor best", "best"),
        ("--weights weights.safetensors --shuffle-at 1000", "--shuffle-at"),
        ("--weights weights.safetensors --shuffle-at 200,500 --forget", "--forget"),
        ("--weights weights.safetensors --never-shuffle --shuffle-at 5", "--never-shuffle"),
        ("--weights weights.safetensors --every 0", "--every"),
        ("--weights weights.safetensors --noise-channels 28", "--noise-channels"),
        ("--weights weights.safetensors --episode 100000", "--episode"),
    ] {
        let output = watch(&scratch, arguments);
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{arguments}: {sentence}");
        assert!(sentence.contains(word), "{arguments}: no `{word}` in: {sentence}");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "{arguments}");
    }
}
