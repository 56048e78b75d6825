//! `fourfold data` as a user runs it.

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use scratch::Scratch;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/trajectories").join(name)
}

fn inspect(scratch: &Scratch, path: &Path) -> Output {
    scratch.fourfold().args(["data", "inspect"]).arg(path).output().unwrap()
}

fn shown(name: &str) -> String {
    let output = inspect(&Scratch::new("inspect"), &fixture(name));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one sentence with which a file is refused.
fn refusal(path: &Path) -> String {
    // Tests run at once, and each removes its folder.
    let name = path.file_name().unwrap().to_string_lossy();
    let output = inspect(&Scratch::new(&format!("refusal-{name}")), path);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{sentence}");
    assert!(output.stdout.is_empty() && sentence.lines().count() == 1, "{sentence}");
    sentence
}

#[test]
fn files_of_every_format_are_told_apart() {
    for (name, format) in [
        ("d4rl.hdf5", "D4RL (HDF5)"),
        ("minari", "Minari (HDF5)"),
        ("minari-dictionary/data/main_data.hdf5", "Minari (HDF5)"),
        ("imitation.npz", "imitation (npz)"),
    ] {
        let text = shown(name);
        assert!(text.contains(format), "{text}");
        assert!(text.contains("3 (2 terminated, 1 truncated)"), "{text}");
    }
}

#[test]
fn a_file_shows_its_returns_statistics_and_metadata() {
    let text = shown("experts/pendulum.npz");
    assert!(text.contains("56 (56 terminated, 0 truncated)") && text.contains("11200"), "{text}");
    assert!(text.contains("-548.06") && text.contains("-189.4005"), "{text}");
    let text = shown("minari");
    assert!(text.contains("algorithm_name: formula") && text.contains("dataset_id: fixture/minari-v0"), "{text}");
}

#[test]
fn a_bad_file_is_refused_with_array_and_row_and_exit_code_2() {
    let sentence = refusal(&fixture("bad/nan.hdf5"));
    assert!(sentence.ends_with("nan.hdf5: tensor `observations`: expected finite numbers, got NaN in row 5\n"));
    let sentence = refusal(&fixture("nowhere.hdf5"));
    assert!(sentence.starts_with("error: cannot read ") && sentence.contains("nowhere.hdf5"), "{sentence}");
}

#[test]
fn names_in_a_file_reach_the_terminal_without_control_characters() {
    let sentence = refusal(&fixture("bad/control-characters.hdf5"));
    assert!(!sentence.trim_end().contains(char::is_control), "{sentence:?}");
}

#[test]
fn a_cut_file_is_refused_with_its_length() {
    let scratch = Scratch::new("cut");
    let path = scratch.0.join("cut.hdf5");
    fs::write(&path, &fs::read(fixture("d4rl.hdf5")).unwrap()[..20_000]).unwrap();
    assert!(refusal(&path).contains("expected a whole HDF5 file of 24536 bytes, got 20000 bytes"));
}
