//! `fourfold pes` as a user runs it: what it leaves behind, what it refuses, and that resuming gives the same bits.

mod scratch;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fourfold::data::Checkpoint;
use serde_json::Value;

use scratch::Scratch;

/// `fourfold pes` in a folder of its own.
fn pes(scratch: &Scratch, arguments: &str) -> Command {
    let mut command = scratch.fourfold();
    command.arg("pes").arg("--quiet").args(arguments.split_whitespace());
    command
}

fn succeeds(scratch: &Scratch, arguments: &str) -> Output {
    let output = pes(scratch, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rows(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_leaves_its_configuration_metrics_results_and_pictures() {
    let scratch = Scratch::new("pes-run");
    let output = succeeds(&scratch, "toy --iterations 30 --seeds 2 --seed 5 --quick --out run");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("pes") && table.contains("30"), "{table}");
    let run = scratch.0.join("run");
    assert_eq!(
        names(&run),
        [
            "checkpoint.safetensors",
            "config.json",
            "end.json",
            "metrics.jsonl",
            "objective.png",
            "report.md",
            "results.json",
            "surface.png",
            "theta-pes-5.safetensors",
            "theta-pes-6.safetensors",
        ]
    );
    let rows = rows(&run);
    assert_eq!(rows.len(), 2 * 31);
    assert!((rows[0]["objective"].as_f64().unwrap() - 2_487.8).abs() < 0.1);
    assert_eq!((rows[30]["iteration"].as_u64(), rows[30]["inner_steps"].as_u64()), (Some(30), Some(30 * 1_000)));
    let theta = Checkpoint::load(&run.join("theta-pes-5.safetensors")).unwrap();
    let last: Vec<f32> = serde_json::from_value(rows[30]["theta"].clone()).unwrap();
    assert_eq!(theta.f32("theta", &[2]).unwrap(), last);
    for picture in ["objective.png", "surface.png"] {
        assert!(fs::read(run.join(picture)).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn a_comparison_has_a_row_for_each_estimator_and_goes_on_where_one_diverges() {
    let scratch = Scratch::new("pes-compare");
    let output = succeeds(&scratch, "compare influence --iterations 100 --particles 20 --seeds 2 --out run");
    let table = String::from_utf8(output.stdout).unwrap();
    for name in ["PES", "RTRL", "UORO", "PES + Analytic", "DODGE", "truncated ES", "TBPTT, K 100"] {
        assert!(table.lines().any(|line| line.trim_start().starts_with(name)), "{name}: {table}");
    }
    let report = fs::read_to_string(scratch.0.join("run/report.md")).unwrap();
    // The reference implementation's values after 100 iterations, under ours.
    assert!(report.contains("*22.4*") && report.contains("| TBPTT, K 10 | 22."), "{report}");
    assert!(names(&scratch.0.join("run")).contains(&"theta.png".to_owned()));

    let diverging = "influence --estimator tbptt --rate 1e30 --iterations 200 --out broken";
    let output = pes(&scratch, diverging).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    let words = ["not finite from iteration ", "tbptt", "seed 0", "--rate"];
    assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    assert!(fs::read_to_string(scratch.0.join("broken/report.md")).unwrap().contains("diverged at"));
}

#[test]
fn wrong_input_is_refused_by_name_and_leaves_nothing() {
    let scratch = Scratch::new("pes-refused");
    fs::write(scratch.0.join("table.csv"), "1,2\n3,x\n").unwrap();
    for (arguments, words) in [
        ("", &["PROBLEM", "toy", "influence"][..]),
        ("poker", &["PROBLEM", "toy", "ridge", "`poker`"]),
        ("toy --frobnicate", &["--frobnicate"]),
        ("toy --estimator reinforce", &["--estimator", "gpes:UNROLLS", "`reinforce`"]),
        ("toy --estimator gpes:0", &["--estimator", "`gpes:0`"]),
        ("toy --particles 7", &["--particles", "even", "7"]),
        ("toy --sigma 0", &["--sigma", "above 0", "got 0"]),
        ("toy --sigma 1 --estimator rtrl", &["--sigma", "rtrl"]),
        ("toy --truncation 0", &["--truncation: expected 1 to ", "got 0"]),
        ("toy --iterations 0", &["--iterations: expected 1 to ", "got 0"]),
        ("toy --particles 20 --chunks 3", &["--chunks", "10 antithetic pairs", "got 3"]),
        ("toy --estimator pes-a --chunks 2", &["--chunks", "pes-a"]),
        ("toy --estimator full-es --truncation 10", &["full-es", "--truncation 100", "10"]),
        ("toy --rate NaN", &["--rate", "NaN"]),
        ("toy --beta1 1", &["--beta1", "less than 1"]),
        ("toy --clip -1", &["--clip", "-1"]),
        ("toy --theta 1,2,3", &["--theta", "2 numbers", "3"]),
        ("toy --seeds 1,1", &["--seeds", "distinct"]),
        ("toy --seeds x", &["--seeds", "`x`"]),
        ("influence --estimator full-es", &["full-es", "ends", "influence"]),
        ("influence --staggered", &["--staggered", "ends", "influence"]),
        ("ridge:nowhere.csv", &["nowhere.csv"]),
        ("ridge:table.csv", &["table.csv", "x"]),
        ("compare", &["PROBLEM"]),
        ("compare poker", &["PROBLEM", "`poker`"]),
        ("compare toy --particles 3", &["--particles", "even", "3"]),
        ("--resume nowhere", &["nowhere"]),
    ] {
        let output = pes(&scratch, arguments).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{arguments}: {sentence}");
        for word in words {
            assert!(sentence.contains(word), "{arguments}: no `{word}` in: {sentence}");
        }
        assert_eq!(names(&scratch.0), ["table.csv"], "{arguments}");
    }
}

#[test]
fn a_run_that_was_killed_and_resumed_ends_in_the_same_bits() {
    let scratch = Scratch::new("pes-killed");
    let arguments = "toy --particles 4000 --chunks 4 --staggered --iterations 300 --seeds 2 --out";
    succeeds(&scratch, &format!("{arguments} whole"));

    let finished = |folder: &str| {
        let checkpoint = Checkpoint::load(&scratch.0.join(folder).join("checkpoint.safetensors")).ok()?;
        let record: Value = serde_json::from_str(checkpoint.get("record").unwrap()).unwrap();
        let finished = record["finished"].as_array().unwrap();
        Some((finished.len(), finished.iter().all(|done| done["stage"] != record["stage"])))
    };
    // In the midst of the first training, then in the midst of the second.
    let mut child = pes(&scratch, &format!("{arguments} broken")).stdout(Stdio::null()).spawn().unwrap();
    for training in [0, 1] {
        while finished("broken") != Some((training, true)) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before training {training} was saved");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (whole, present) = finished("broken").unwrap();
        assert!(whole == training && present, "killed too late");
        child = pes(&scratch, "toy --resume broken").stdout(Stdio::null()).spawn().unwrap();
    }
    assert!(child.wait().unwrap().success());
    for file in ["metrics.jsonl", "theta-pes-0.safetensors", "theta-pes-1.safetensors", "surface.png"] {
        let [whole, broken] = ["whole", "broken"].map(|folder| fs::read(scratch.0.join(folder).join(file)).unwrap());
        assert!(whole == broken, "{file} differs");
    }

    let output = pes(&scratch, "influence --resume broken").output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{sentence}");
    assert!(sentence.contains("`influence`") && sentence.contains("`toy`"), "{sentence}");
}

#[test]
fn another_table_of_the_same_shape_is_refused_on_resuming() {
    let scratch = Scratch::new("pes-table");
    let table = |slope: f32| -> String {
        (0..30).map(|row| format!("{},{}\n", row as f32 * 0.1, (row as f32 * 0.1 * slope).sin())).collect()
    };
    fs::write(scratch.0.join("table.csv"), table(2.0)).unwrap();
    succeeds(&scratch, "ridge:table.csv --iterations 3 --out run");
    succeeds(&scratch, "--resume run");
    fs::write(scratch.0.join("table.csv"), table(3.0)).unwrap();
    for arguments in ["--resume run", "ridge:table.csv --resume run"] {
        let output = pes(&scratch, arguments).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
        assert!(sentence.contains("table.csv") && sentence.contains("SHA-256"), "{arguments}: {sentence}");
    }
}

#[test]
fn the_final_loss_is_shown_where_it_is_trained() {
    let scratch = Scratch::new("pes-final");
    let output = succeeds(&scratch, "toy --objective final --iterations 3 --pixels 2 --out run");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("Final loss after"), "{table}");
    // A hundredth of the sum and less.
    assert!(rows(&scratch.0.join("run"))[0]["objective"].as_f64().unwrap() < 25.0);
}

#[test]
fn control_compares_the_estimators_for_each_task() {
    let scratch = Scratch::new("pes-control");
    let output = succeeds(&scratch, "control --quick --task pendulum --points 2 --episodes 2 --out run");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(["PES", "NRES", "full ES", "truncated ES"].iter().all(|name| table.contains(name)), "{table}");
    let run = scratch.0.join("run");
    let policies = ["NRES", "PES", "full-ES", "truncated-ES"];
    let policies = policies.iter().flat_map(|name| [0, 1].map(|seed| format!("pendulum-{name}-{seed}.safetensors")));
    let head = ["checkpoint.safetensors", "config.json", "end.json", "metrics.jsonl"].map(String::from);
    let tail = ["pendulum.png", "report.md", "results.json"].map(String::from);
    assert_eq!(names(&run), head.into_iter().chain(policies).chain(tail).collect::<Vec<_>>());
    let results: Value = serde_json::from_str(&fs::read_to_string(run.join("results.json")).unwrap()).unwrap();
    let curves = &results["tasks"][0]["estimators"][0]["curves"];
    assert_eq!((curves.as_array().unwrap().len(), curves[0].as_array().unwrap().len()), (2, 3));

    let refused = pes(&scratch, "control --task swimming").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("swimmer-short"));
}

#[test]
fn flags_that_are_not_given_suit_those_that_are() {
    let scratch = Scratch::new("pes-suits");
    let few = "--iterations 2 --pixels 2";
    // The paper's 20 staggered chunks are for perturbed particles in antithetic pairs.
    for given in ["--estimator uoro", "--estimator pes-a", "--particles 14"] {
        succeeds(&scratch, &format!("lorenz {given} {few}"));
    }
}
