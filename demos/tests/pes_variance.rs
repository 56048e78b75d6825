//! `fourfold pes variance` as a user runs it: what it leaves behind, what it refuses, and where the estimators are one.

mod scratch;

use std::fs;
use std::process::Output;

use serde_json::Value;

use scratch::Scratch;

fn variance(scratch: &Scratch, arguments: &str) -> Output {
    let mut command = scratch.fourfold();
    command.args(["pes", "variance", "--quiet"]).args(arguments.split_whitespace()).output().unwrap()
}

const SMALL: &str =
    "--steps 6 --particles 8 --repeats 3 --base-particles 40 --hidden 2 --embedding 2 --linear-repeats 4";

#[test]
fn a_study_leaves_tables_and_a_picture_of_each_text_and_its_estimators_are_one_in_a_full_unroll() {
    let scratch = Scratch::new("variance");
    let output = variance(&scratch, &format!("{SMALL} --truncations 1,6 --seed 7 --out run"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let run = scratch.0.join("run");
    let mut names: Vec<_> = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "checkpoint.safetensors",
        "config.json",
        "end.json",
        "random.png",
        "real.png",
        "repeat.png",
        "report.md",
        "results.json",
    ];
    assert_eq!(names, expected);

    let results: Value = serde_json::from_slice(&fs::read(run.join("results.json")).unwrap()).unwrap();
    let studies = results["findings"]["network"].as_array().unwrap();
    assert_eq!(studies.len(), 3);
    for study in studies {
        let measurements = study["measurements"].as_array().unwrap();
        assert_eq!(measurements.len(), 6);
        let of = |estimator: u64, truncation: u64| {
            let found = measurements.iter().find(|m| m["estimator"] == estimator && m["truncation"] == truncation);
            found.unwrap()["exact"].as_f64().unwrap()
        };
        // PES, NRES and truncated ES, over the whole text in one unroll: to the last bit.
        assert_eq!(of(0, 6), of(1, 6), "{study}");
        assert_eq!(of(0, 6), of(2, 6), "{study}");
        assert_ne!(of(0, 1), of(1, 1), "{study}");
        assert_ne!(of(0, 1), of(2, 1), "{study}");
        // The differences of the losses in f32 are near those in f64.
        let differences = study["agreement"]["differences"].as_f64().unwrap();
        assert!(differences > 0.0 && differences < 2e-3, "{differences}");
    }
    assert_eq!(results["findings"]["linear"].as_array().unwrap().len(), 5);
}

#[test]
fn settings_that_make_no_sense_are_refused_in_one_sentence() {
    let scratch = Scratch::new("variance-refused");
    for (arguments, word) in [
        ("--truncations 4", "expected a divisor of --steps 6, got unrolls of 4 steps"),
        ("--particles 7", "--particles: expected an even number (antithetic pairs), got 7"),
        ("--repeats 1", "--repeats: expected 2 to 1000000, got 1"),
        ("--base-particles 30", "a multiple of 20"),
        ("--sigma -1", "--sigma: expected a number above 0 and up to 1000000, got -1"),
        ("--hidden 0", "--hidden: expected 1 to 1024, got 0"),
    ] {
        let flag = arguments.split(' ').next().unwrap();
        let others: Vec<&str> = SMALL.split(' ').collect();
        let others: Vec<&str> =
            others.chunks(2).filter(|pair| pair[0] != flag).flat_map(|pair| pair.iter().copied()).collect();
        let output = variance(&scratch, &format!("{} {arguments} --out run", others.join(" ")));
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {sentence}");
        assert!(sentence.contains(word), "{arguments}: {sentence}");
        assert!(!scratch.0.join("run").exists(), "{arguments}");
    }
}
