//! Runs and their folders as a user sees them: presets, the settings of another run, the record of the end, event files,
//! and the list of runs.

mod scratch;

use std::fs;
use std::process::Output;

use scratch::Scratch;
use serde_json::Value;

fn fourfold(scratch: &Scratch, line: &str) -> Output {
    scratch.fourfold().args(line.split_whitespace()).arg("--quiet").output().unwrap()
}

fn succeeds(scratch: &Scratch, line: &str) -> String {
    let output = fourfold(scratch, line);
    assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn configuration(scratch: &Scratch, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(scratch.0.join(folder).join("config.json")).unwrap()).unwrap()
}

#[test]
fn a_run_records_its_end_and_its_settings_start_another() {
    let scratch = Scratch::new("runs");
    succeeds(&scratch, "pes toy --preset quick --particles 6 --iterations 5 --seed 4 --tensorboard --out runs/a");
    let first = configuration(&scratch, "runs/a");
    let end: Value = serde_json::from_slice(&fs::read(scratch.0.join("runs/a/end.json")).unwrap()).unwrap();
    assert_eq!((end["outcome"].as_str(), first["quick"].as_bool()), (Some("finished"), Some(true)));
    assert!(end["seconds"].as_f64().unwrap() > 0.0 && end["unix_time"].as_u64() >= first["unix_time"].as_u64());
    assert!(first.get("git_commit").is_some());
    assert!(fs::metadata(scratch.0.join("runs/a/events.out.tfevents.fourfold")).unwrap().len() > 100);

    succeeds(&scratch, "pes toy --config runs/a/config.json --out runs/b");
    let second = configuration(&scratch, "runs/b");
    for key in ["settings", "seed", "seeds", "quick"] {
        assert_eq!(second[key], first[key], "{key}");
    }
    let theta = |folder: &str| fs::read(scratch.0.join(folder).join("theta-pes-4.safetensors")).unwrap();
    assert_eq!(theta("runs/a"), theta("runs/b"));
    assert!(!scratch.0.join("runs/b/events.out.tfevents.fourfold").exists());

    succeeds(&scratch, "pes toy --config runs/a --iterations 3 --seed 9 --out runs/c");
    let third = configuration(&scratch, "runs/c");
    assert_eq!((third["settings"]["iterations"].as_u64(), third["seed"].as_u64()), (Some(3), Some(9)));
    assert_eq!(third["settings"]["particles"], first["settings"]["particles"]);

    let listed = succeeds(&scratch, "runs");
    for word in ["a", "b", "c"].map(|name| format!("runs/{name}")) {
        assert!(listed.contains(&word), "{listed}");
    }
    assert!(listed.contains("fourfold pes toy") && listed.contains("finished"), "{listed}");
    assert!(listed.lines().all(|line| line.chars().count() <= 80), "{listed}");
    let compared = succeeds(&scratch, "runs runs/a runs/c");
    assert!(compared.contains("iterations") && !compared.contains("particles"), "{compared}");
}

#[test]
fn presets_and_settings_that_do_not_fit_are_refused_with_one_sentence() {
    let scratch = Scratch::new("runs-wrong");
    fs::write(scratch.0.join("other.json"), r#"{"command":"sam","seed":0,"settings":{}}"#).unwrap();
    for (line, words) in [
        ("sam --preset paper", "--preset paper: expected quick or default"),
        ("sam --preset huge", "--preset"),
        ("pes toy --quick --preset paper", "--quick: expected no other --preset"),
        ("pes toy --config other.json", "got one of `fourfold sam`"),
        ("pes toy --config nowhere.json", "nowhere.json"),
        ("pes toy --config other.json --resume here", "--config"),
        ("runs nowhere", "nowhere: expected a run or a folder of runs"),
    ] {
        let output = fourfold(&scratch, line);
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {sentence}");
        assert!(sentence.lines().count() == 1 && sentence.contains(words), "{line}: {sentence}");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "{line}");
    }
}

#[test]
fn an_end_that_took_longer_than_a_duration_holds_is_listed_without_a_time() {
    let scratch = Scratch::new("endless");
    fs::create_dir_all(scratch.0.join("runs/a")).unwrap();
    fs::write(scratch.0.join("runs/a/config.json"), r#"{ "command": "pes" }"#).unwrap();
    let end = r#"{ "unix_time": 1795956134, "seconds": 1e300, "outcome": "stopped" }"#;
    fs::write(scratch.0.join("runs/a/end.json"), end).unwrap();
    assert!(succeeds(&scratch, "runs").contains("stopped"));
}
