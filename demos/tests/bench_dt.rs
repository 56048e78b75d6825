//! `fourfold bench dt` as a user and the comparison with PyTorch run it.

mod scratch;

use std::fs;

use serde_json::Value;

use scratch::Scratch;

const SMALL: &str = "bench dt --batch 2 --context 3 --steps 1 --runs 2 --quiet";

#[test]
fn every_run_gives_seconds_of_a_step_and_the_profile_names_the_kernels() {
    let scratch = Scratch::new("bench-dt");
    let output = scratch.fourfold().args(SMALL.split(' ')).args(["--json", "--profile"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let printed = &result["trainings"][0];
    for list in ["wall_s", "cpu_s"] {
        let numbers = printed[list].as_array().unwrap();
        assert!(numbers.len() == 2 && numbers.iter().all(|seconds| seconds.as_f64().unwrap() > 0.0), "{printed}");
    }
    assert!(printed["loss"].as_f64().unwrap() > 0.0, "{printed}");
    let kernels = printed["kernels"].as_array().unwrap();
    let counted: u64 = kernels.iter().map(|kernel| kernel["count"].as_u64().unwrap()).sum();
    assert_eq!(Some(counted), printed["dispatches"].as_u64());
    assert_eq!(printed["timeline"].as_array().unwrap().len() as u64, counted);
    assert!(kernels.iter().any(|kernel| kernel["kernel"] == "windows"), "{printed}");
}

/// A Python that answers as the script does, without PyTorch.
#[cfg(unix)]
fn stand_in(scratch: &Scratch, text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = scratch.0.join("python");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn pytorch_is_timed_turn_and_turn_about() {
    let scratch = Scratch::new("bench-dt-torch");
    let script = "#!/bin/sh\necho '{\"torch\": \"9.9\", \"threads\": 2, \"device\": \"cpu\"}'\n\
                  while read steps; do echo '{\"wall_s\": 2.5, \"cpu_s\": 5.0}'; done\n";
    let python = stand_in(&scratch, script);
    let output = scratch.fourfold().args(SMALL.split(' ')).arg("--json").arg("--torch").arg(python).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["torch"]["torch"], "9.9");
    let printed = &result["trainings"][0];
    assert_eq!(printed["torch"]["wall_s"], serde_json::json!([2.5, 2.5]));
    let ours = printed["wall_s"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    assert!((printed["torch_over_fourfold"].as_f64().unwrap() * ours - 2.5).abs() < 1e-9, "{printed}");
}

#[cfg(unix)]
#[test]
fn a_python_without_pytorch_is_refused_by_its_name() {
    let scratch = Scratch::new("bench-dt-none");
    let python = stand_in(&scratch, "#!/bin/sh\nexit 1\n");
    let output = scratch.fourfold().args(SMALL.split(' ')).arg("--torch").arg(&python).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{sentence}");
    assert!(sentence.contains("--torch: expected a Python with PyTorch, got"), "{sentence}");
}
