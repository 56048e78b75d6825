//! `fourfold tune`, and what later commands do with the file that it writes.

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use scratch::Scratch;
use serde_json::{Value, json};

fn fourfold(scratch: &Scratch, line: &str) -> Output {
    scratch.fourfold().args(line.split(' ')).output().expect("the command runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Measures one small family, and returns the file.
fn tune(scratch: &Scratch) -> PathBuf {
    let output = fourfold(scratch, "tune --quick --quiet --json --family scatter");
    assert!(output.status.success(), "{}", errors(&output));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let shapes = result["shapes"].as_array().expect("shapes");
    let rules =
        shapes.iter().all(|shape| shape["median_seconds"][shape["rule"].as_str().unwrap()].as_f64() > Some(0.0));
    assert!(!shapes.is_empty() && rules, "{result}");
    PathBuf::from(result["file"].as_str().expect("a file"))
}

/// Changes the file.
fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut tuning: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut tuning);
    fs::write(file, tuning.to_string()).unwrap();
}

/// Trains for a moment, and returns the hash of the tuning in the configuration of the run with what was told.
fn train(scratch: &Scratch, out: &str, flags: &str) -> (Value, String) {
    let output = fourfold(scratch, &format!("pes toy --quick --quiet --out {out}{flags}"));
    assert!(output.status.success(), "{}", errors(&output));
    let configuration = fs::read(scratch.0.join(out).join("config.json")).unwrap();
    (serde_json::from_slice::<Value>(&configuration).unwrap()["tuning"].clone(), errors(&output))
}

#[test]
fn a_tuning_is_written_into_the_cache_folder_and_later_runs_name_it_unless_told_not_to() {
    let scratch = Scratch::new("tune");
    assert_eq!(train(&scratch, "before", "").0, Value::Null);
    let file = tune(&scratch);
    assert!(file.starts_with(scratch.0.join("cache/fourfold/tuning")), "{}", file.display());
    let names: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let (hash, told) = train(&scratch, "tuned", "");
    assert_eq!((hash.as_str().map(str::len), &*told), (Some(64), ""));
    assert_eq!(train(&scratch, "plain", " --no-tune").0, Value::Null);

    // Another choice is another hash; what was measured before stays when another family is measured.
    let choice = json!({ "family": "rows", "class": 3, "variant": "4 lanes" });
    edit(&file, |tuning| tuning["choices"] = json!([choice]));
    assert_ne!(train(&scratch, "other", "").0, hash);
    tune(&scratch);
    let tuning: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(tuning["choices"].as_array().unwrap().contains(&choice), "{tuning}");
}

#[test]
fn a_damaged_an_old_or_a_foreign_file_is_ignored_with_one_sentence() {
    let scratch = Scratch::new("tune-ignored");
    let file = tune(&scratch);
    let whole = fs::read(&file).unwrap();
    let refuse = |out: &str, expected: &str, change: &dyn Fn(&mut Value)| {
        fs::write(&file, &whole).unwrap();
        edit(&file, change);
        let (hash, told) = train(&scratch, out, "");
        assert_eq!((hash, told.lines().count()), (Value::Null, 1), "{told}");
        assert!(told.contains("is ignored, `fourfold tune` measures anew: ") && told.contains(expected), "{told}");
    };
    refuse("damaged", "the tuning is damaged", &|tuning| *tuning = json!(7));
    refuse("old", "the tuning is of another version", &|tuning| tuning["fourfold"] = json!("0.0.1"));
    refuse("foreign", "the tuning was measured elsewhere", &|tuning| {
        tuning["adapter"]["driver_info"] = json!("Mesa 99")
    });
}

#[test]
fn a_run_is_resumed_with_the_tuning_that_it_began_with_or_refused() {
    let scratch = Scratch::new("tune-resume");
    let began_without = train(&scratch, "plain", "").0;
    let file = tune(&scratch);
    train(&scratch, "tuned", "");
    let resume = |run: &str, flags: &str| {
        // As if it had been stopped before its last lines.
        let _ = fs::remove_file(scratch.0.join(run).join("results.json"));
        fourfold(&scratch, &format!("pes toy --quiet --resume {run}{flags}"))
    };
    assert_eq!(began_without, Value::Null);
    assert!(resume("plain", "").status.success(), "a run without a tuning goes on without one");
    assert!(resume("tuned", "").status.success());
    let refused = [resume("tuned", " --no-tune"), {
        fs::remove_file(&file).unwrap();
        resume("tuned", "")
    }];
    for output in refused {
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("expected the tuning that the run began with"), "{}", errors(&output));
    }
}

#[test]
fn wrong_input_is_one_sentence() {
    let scratch = Scratch::new("tune-wrong");
    for (line, expected) in [
        ("tune --family frob", "--family: expected the beginning of one of matrix product, convolution"),
        ("tune --file .", "--file: expected a file that can be written, got .: it is a folder"),
        ("tune --no-tune", "--no-tune has no effect on `fourfold tune`"),
        ("verify --no-tune", "--no-tune has no effect on `fourfold verify`"),
    ] {
        let output = fourfold(&scratch, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", errors(&output));
        assert!(
            errors(&output).contains(expected) && errors(&output).lines().count() == 1,
            "{line}: {}",
            errors(&output)
        );
    }
}
