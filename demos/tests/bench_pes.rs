//! `fourfold bench pes` as a user and the comparison with JAX run it.

mod scratch;

use std::fs;

use serde_json::Value;

use scratch::Scratch;

#[test]
fn every_run_gives_seconds_of_an_iteration_and_theta_moves() {
    let scratch = Scratch::new("bench-pes");
    let line = "bench pes --particles 8 --iterations 20 --runs 3 --json --quiet";
    let output = scratch.fourfold().args(line.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    for list in ["wall_s", "cpu_s"] {
        let numbers = printed[list].as_array().unwrap();
        assert!(numbers.len() == 3 && numbers.iter().all(|seconds| seconds.as_f64().unwrap() > 0.0), "{printed}");
    }
    let theta = printed["theta"].as_array().unwrap();
    assert!(theta.iter().all(|theta| (theta.as_f64().unwrap() + 4.0).abs() > 1e-3), "{theta:?}");
}

#[test]
fn wrong_sizes_are_refused_with_one_sentence_and_leave_nothing() {
    let scratch = Scratch::new("bench-pes-wrong");
    for line in ["--particles 7", "--particles 0", "--iterations 0", "--runs 0", "--kernel softmax", "--particles many"]
    {
        let output = scratch.fourfold().args(["bench", "pes"]).args(line.split(' ')).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {sentence}");
        assert_eq!(sentence.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).count(), 1, "{sentence}");
        assert!(output.stdout.is_empty());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0, "{line}");
    }
}
