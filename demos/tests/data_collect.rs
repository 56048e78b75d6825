//! `fourfold data collect` as a user runs it: what it leaves behind and what it refuses.

mod scratch;

use std::fs;
use std::process::Output;

use fourfold::data::{Actions, Trajectories};
use serde_json::Value;

use scratch::Scratch;

fn collect(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["data", "collect", "--quiet"]).args(arguments.split_whitespace());
    command.output().unwrap()
}

#[test]
fn a_quick_collection_leaves_files_that_say_where_they_come_from_and_the_same_seed_the_same_bytes() {
    let scratch = Scratch::new("collected");
    let line = "cart-pole --quick --seed 1 --episodes 30 --stage random,medium-replay,expert";
    let output = collect(&scratch, &format!("{line} --out first"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("cart-pole-medium-replay.safetensors"), "{table}");

    let folder = scratch.0.join("first");
    let [random, expert] = ["random", "expert"].map(|stage| {
        let collected = Trajectories::load(&folder.join(format!("cart-pole-{stage}.safetensors"))).unwrap();
        assert_eq!((collected.episodes(), collected.actions()), (30, Actions::Discrete(2)));
        assert_eq!((&*collected.notes()["stage"], &*collected.notes()["seed"]), (stage, "1"));
        collected.returns().iter().sum::<f64>() / 30.0
    });
    assert!(random < 40.0 && expert > 2.0 * random, "{random} {expert}");
    assert!(fs::read(folder.join("learning.png")).unwrap().starts_with(b"\x89PNG"));
    let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["policies"][0]["files"].as_array().map(Vec::len), Some(3));
    let generation = |stage: &str| results["policies"][0][format!("{stage}_generation")].as_u64().unwrap();
    assert!(generation("medium") < generation("expert"));

    collect(&scratch, &format!("{line} --out second"));
    for stage in ["random", "medium-replay", "expert"] {
        let [first, second] = ["first", "second"]
            .map(|folder| fs::read(scratch.0.join(folder).join(format!("cart-pole-{stage}.safetensors"))).unwrap());
        assert!(first == second, "{stage}");
    }
}

#[test]
fn wrong_input_is_refused_in_a_sentence_and_leaves_nothing() {
    let scratch = Scratch::new("collect-refused");
    for (arguments, sentence) in [
        ("cart-pole --episodes 0", "error: --episodes: expected 1 to 100000, got 0"),
        ("moon-lander", "error: invalid value 'moon-lander' for '[ENV]'"),
    ] {
        let output = collect(&scratch, &format!("{arguments} --out run"));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with(sentence), "{message}");
        assert_eq!(output.status.code(), Some(2));
        assert!(!scratch.0.join("run").exists());
    }
}
