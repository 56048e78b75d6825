//! `fourfold bench rollout` as a user and the comparison with EvoJAX run it.

mod scratch;

use std::fs;
use std::process::Output;

use serde_json::Value;

use scratch::Scratch;

impl Scratch {
    /// Runs `fourfold bench rollout` in this folder.
    fn bench(&self, line: &str) -> Output {
        self.run(&format!("bench rollout {line}"))
    }

    fn run(&self, line: &str) -> Output {
        self.fourfold().args(line.split_whitespace()).output().unwrap()
    }

    /// The object that it prints.
    fn json(&self, line: &str) -> Value {
        let output = self.bench(&format!("{line} --json --quiet"));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn every_policy_is_measured_with_a_number_for_each_run() {
    let scratch = Scratch::new("policies");
    let cases = [
        ("linear", "", 6),
        ("perceptron", "--hidden 4", 5 * 4 + 4 + 4 * 4 + 4 + 4 + 1),
        ("attention-neuron", "--hidden 16", 913 + 2 * 32),
    ];
    for (policy, hidden, parameters) in cases {
        let printed = scratch.json(&format!("--policy {policy} {hidden} --members 4 --episodes 3 --steps 20 --runs 2"));
        assert_eq!(printed["policy"], policy);
        assert_eq!(printed["parameters"], parameters);
        assert_eq!(printed["lane_steps"], 4 * 3 * 20);
        for list in ["live_steps", "wall_s", "cpu_s", "mean_return"] {
            assert_eq!(numbers(&printed[list]).len(), 2, "{policy} {list}");
        }
        assert!(numbers(&printed["wall_s"]).iter().all(|&seconds| seconds > 0.0));
        // No episode ends before its first step is done.
        assert!(numbers(&printed["live_steps"]).iter().all(|&live| (12.0..=240.0).contains(&live)), "{printed}");
    }
}

#[test]
fn episodes_last_to_the_end_with_easy_starts_and_small_perturbations() {
    let scratch = Scratch::new("alive");
    let work = "--policy linear --members 8 --episodes 4 --steps 300 --runs 3";
    let full = 8.0 * 4.0 * 300.0;
    assert_eq!(numbers(&scratch.json(&format!("{work} --alive"))["live_steps"]), [full; 3]);
    let hard = numbers(&scratch.json(work)["live_steps"]);
    assert!(hard.iter().sum::<f64>() < 0.9 * 3.0 * full, "{hard:?}");
    assert!(hard[0] != hard[1], "each run is a generation of its own: {hard:?}");
}

#[test]
fn the_table_names_live_steps_and_all_lane_steps_apart() {
    let scratch = Scratch::new("table");
    let output = scratch.bench("--policy linear --members 2 --steps 10 --runs 1 --out run");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for row in ["live steps / s", "all lane steps / s", "episodes / s", "live steps / CPU second"] {
        assert!(text.contains(row), "{text}");
    }
    let read = |name: &str| fs::read(scratch.0.join("run").join(name)).unwrap();
    let result: Value = serde_json::from_slice(&read("result.json")).unwrap();
    assert_eq!(result["members"], 2);
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    assert_eq!(config["settings"]["policy"], "linear");
}

#[test]
fn flags_of_the_whole_command_may_stand_before_the_word_rollout() {
    let scratch = Scratch::new("order");
    let output = scratch.run("bench --json --quiet rollout --policy linear --members 2 --steps 10 --runs 1");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["lane_steps"], 20);

    let refused = scratch.run("bench --kernel softmax rollout --members 2 --steps 10 --runs 1");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--kernel"));
}

#[test]
fn wrong_sizes_are_refused_with_one_sentence_and_leave_nothing() {
    let scratch = Scratch::new("wrong");
    for line in [
        "--policy quadratic",
        "--policy linear --hidden 4",
        "--hidden 0",
        "--hidden 257",
        "--members 0",
        "--members 7",
        "--episodes 0",
        "--steps 0",
        "--steps many",
        "--runs 0",
        "--kernel softmax",
    ] {
        let output = scratch.bench(line);
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        assert!(output.stdout.is_empty());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0, "{line}");
    }
}
