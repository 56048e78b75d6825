//! `fourfold dt key-to-door` as a user runs it: what it leaves behind and what it refuses.

mod scratch;

use std::fs;

use serde_json::Value;

use scratch::Scratch;

#[test]
fn a_quick_run_leaves_its_results_a_report_and_pictures() {
    let scratch = Scratch::new("dt-key-to-door");
    let line = "dt key-to-door --quick --quiet --seed 3 --steps 4 --evaluation 20 --out run";
    let output = scratch.fourfold().args(line.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("%BC") && table.contains("Random play succeeds in"), "{table}");

    let folder = scratch.0.join("run");
    let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    let trials = results["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 3);
    for trial in trials {
        // Of 600 random episodes 20 succeed on average: 5 to 40 are beyond three deviations.
        assert!((5..40).contains(&trial["successes"].as_u64().unwrap()), "{trial}");
        assert_eq!(trial["curve"].as_array().unwrap().len(), 3);
        let (success, key) = (&trial["greedy"]["success"], &trial["greedy"]["key"]);
        assert!(success.as_f64().unwrap() <= key.as_f64().unwrap(), "no door opens without the key: {trial}");
    }
    for group in results["credit"][0]["groups"].as_array().unwrap() {
        let mean = group["mean"].as_array().unwrap();
        assert_eq!(mean.len(), 15);
        assert!(mean.iter().all(|chance| (0.0..=1.0).contains(&chance.as_f64().unwrap())), "{group}");
    }
    for picture in ["success.png", "learning.png", "credit.png"] {
        assert!(fs::read(folder.join(picture)).unwrap().starts_with(b"\x89PNG"), "{picture}");
    }
    assert!(fs::read_to_string(folder.join("report.md")).unwrap().contains("| transformer | 600 |"));
}

#[test]
fn wrong_numbers_are_refused_with_one_sentence_and_leave_nothing() {
    let scratch = Scratch::new("dt-key-to-door-wrong");
    let before = fs::read_dir(&scratch.0).unwrap().count();
    for (line, words) in [
        ("--share 1", "--share: expected a number between 0 and 1, got 1"),
        ("--side 1", "--side: expected 2 to 100, got 1"),
        ("--steps 0", "--steps: expected 1 to 10000000, got 0"),
        ("--points 9 --steps 8", "--points: expected 1 to 8, got 9"),
        ("--width 16 --heads 3", "decision transformer: expected heads that divide the width of 16, got 3"),
    ] {
        let output = scratch.fourfold().args(["dt", "key-to-door", "--quiet"]).args(line.split(' ')).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {sentence}");
        assert!(sentence.contains(words), "{line}: {sentence}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), before);
}

#[test]
fn random_play_without_a_success_is_said_to_teach_nothing() {
    let scratch = Scratch::new("dt-key-to-door-none");
    let line = "dt key-to-door --quiet --episodes 3 --out run";
    let output = scratch.fourfold().args(line.split(' ')).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("0 of 3 random episodes succeeded: there is nothing to learn from"), "{sentence}");
}
