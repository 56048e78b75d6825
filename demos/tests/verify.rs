//! `fourfold verify` as a tool: drivers that crash, hang or lose the device, resumed runs, known failures, comparisons.

mod scratch;

use std::fs;
use std::process::Output;

use scratch::Scratch;
use serde_json::Value;

/// Runs `fourfold verify` on the kernels whose names begin with `softmax`, with faults planted in the driver.
fn verify(scratch: &Scratch, sabotage: &str, more: &[&str]) -> Output {
    let mut command = scratch.fourfold();
    command.args(["verify", "--quiet"]).args(more);
    if !more.contains(&"--resume") {
        command.args(["--kernel", "softmax", "--cases", "4"]);
    }
    command.env("FOURFOLD_SABOTAGE", sabotage).output().unwrap()
}

/// The outcome of each kernel.
fn outcomes(scratch: &Scratch, run: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(scratch.0.join(run).join("kernels.jsonl")).unwrap();
    let kernels = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    kernels
        .map(|kernel| [&kernel["kernel"], &kernel["outcome"]].map(|value| value.as_str().unwrap().to_owned()).into())
        .collect()
}

#[test]
fn a_driver_that_fails_in_one_kernel_costs_that_kernel_alone() {
    let scratch = Scratch::new("sabotage");
    let planted = "softmax.softmax:crash;softmax.softmax_vec4:lose;softmax_backward.softmax_backward:hang";
    let output = verify(&scratch, planted, &["--out", "run", "--time-limit", "20", "--repro", "--json"]);
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{sentence}");
    assert!(sentence.contains("3 of 4 kernels are refused, crash, hang or lose the device"), "{sentence}");
    let expected = [
        ("softmax.softmax", "crashed"),
        ("softmax.softmax_vec4", "lost"),
        ("softmax_backward.softmax_backward", "hung"),
        ("softmax_backward.softmax_backward_vec4", "right"),
    ];
    assert_eq!(outcomes(&scratch, "run"), expected.map(|(kernel, outcome)| (kernel.to_owned(), outcome.to_owned())));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["rows"].as_array().unwrap().len(), 3 + 4, "a row for each case that ran");
    for file in
        ["report.md", "kernel.wgsl", "kernel.spv", "kernel.hlsl", "kernel.metal", "input-x.npy", "expected-y.npy"]
    {
        assert!(scratch.0.join("run/repro/softmax.softmax").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_failure_is_told_with_the_command_that_repeats_it() {
    let scratch = Scratch::new("again");
    let mut command = scratch.fourfold();
    command.args(["verify", "--kernel", "softmax.softmax_vec4", "--cases", "3", "--seed", "5"]);
    let output = command.env("FOURFOLD_SABOTAGE", "softmax.softmax_vec4:crash").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("again: fourfold verify --kernel 'softmax.softmax_vec4' --case 0 --seed 5"), "{told}");
}

#[test]
fn a_run_that_was_interrupted_is_resumed() {
    let scratch = Scratch::new("resume");
    assert_eq!(verify(&scratch, "", &["--out", "run"]).status.code(), Some(0));
    let whole = outcomes(&scratch, "run");
    let path = scratch.0.join("run/cases.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let first: Vec<&str> = text.lines().take(6).collect();
    fs::write(&path, format!("{}\n{}", first[..5].join("\n"), &first[5][..9])).unwrap();
    let output = verify(&scratch, "", &["--resume", "run"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(outcomes(&scratch, "run"), whole);
    let resumed = fs::read_to_string(&path).unwrap();
    assert_eq!(resumed.lines().count(), text.lines().count());
    assert!(resumed.starts_with(&first[..5].join("\n")), "what was done is not done again");
}

#[test]
fn hours_of_cases_end_in_the_table_and_are_gone_on_with() {
    let scratch = Scratch::new("hours");
    let run = |more: &[&str]| {
        let mut command = scratch.fourfold();
        command.args(["verify", "--quiet"]).args(more).output().unwrap()
    };
    // Two seconds: a slow machine may not end a case in them, but another run goes on where this one stopped.
    let hours = ["--hours", "0.0006", "--kernel", "softmax.softmax_vec4", "--out", "run"];
    assert_eq!(run(&hours).status.code(), Some(0));
    let cases = || fs::read_to_string(scratch.0.join("run/cases.jsonl")).map_or(0, |text| text.lines().count());
    let before = cases();
    let output = run(&["--resume", "run", "--hours", "0.006"]);
    assert!(output.status.success() && cases() > before, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("softmax.softmax_vec4"));
}

#[test]
fn known_failures_are_asserted() {
    let scratch = Scratch::new("known");
    fs::write(scratch.0.join("known.txt"), "| softmax.softmax | crashed | planted here\n").unwrap();
    let run = |sabotage| verify(&scratch, sabotage, &["--expectations", "known.txt"]);
    assert_eq!(run("softmax.softmax:crash").status.code(), Some(0));
    let mended = run("");
    assert_eq!(mended.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&mended.stderr).contains("softmax.softmax (planted here)"));
}

#[test]
fn two_runs_are_compared() {
    let scratch = Scratch::new("diff");
    for (name, sabotage) in [("a", ""), ("b", "softmax.softmax:crash"), ("c", "")] {
        verify(&scratch, sabotage, &["--out", name]);
    }
    let compare = |other| scratch.fourfold().args(["verify", "diff", "a", other]).output().unwrap();
    assert_eq!(compare("c").status.code(), Some(0));
    let differing = compare("b");
    assert_eq!(differing.status.code(), Some(1));
    let told = String::from_utf8_lossy(&differing.stdout);
    assert!(told.contains("softmax.softmax") && told.contains("crashed") && told.contains("3 in A alone"), "{told}");
    assert_eq!(scratch.fourfold().args(["verify", "diff", "a", "none"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn kernels_are_sanitized_without_any_driver() {
    let scratch = Scratch::new("sanitize");
    let arguments = ["verify", "--sanitize", "--kernel", "softmax", "--quick", "--quiet", "--json"];
    let output = scratch.fourfold().args(arguments).env("VK_ICD_FILENAMES", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["kernels"].as_array().unwrap().len(), 4);
    assert_eq!(printed["kernels"][0]["findings"], serde_json::json!([]));
}
