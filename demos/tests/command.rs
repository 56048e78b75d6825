//! The `fourfold` command as a user runs it: exit codes, sentences, and what a run leaves behind.

mod scratch;

use std::fs;
use std::process::Output;

use scratch::Scratch;

/// Runs `fourfold` in a folder of its own.
fn fourfold(scratch: &Scratch, arguments: &[&str]) -> Output {
    let mut command = scratch.fourfold();
    command.args(arguments).output().unwrap()
}

/// Asserts that the input is refused with exit code 2 and one sentence, and that nothing is left behind.
fn refused(scratch: &Scratch, arguments: &[&str]) -> String {
    let before = fs::read_dir(&scratch.0).unwrap().count();
    let output = fourfold(scratch, arguments);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), before);
    sentence
}

#[test]
fn wrong_flags_and_values_are_refused_with_one_sentence() {
    let scratch = Scratch::new("flags");
    for arguments in [
        &["verify", "--frobnicate"][..],
        &["dance"],
        &[],
        &["--seed", "-1", "adapters"],
        &["verify", "--cases", "0"],
        &["verify", "--cases", "5", "--case", "1"],
        &["verify", "--kernel"],
        &["bench", "--kernel", "sofmax"],
    ] {
        refused(&scratch, arguments);
    }
}

#[test]
fn an_unknown_kernel_is_refused_with_the_names_there_are() {
    let sentence = refused(&Scratch::new("kernel"), &["verify", "--kernel", "sofmax"]);
    assert!(sentence.contains("softmax") && sentence.contains("`sofmax`"), "{sentence}");
}

#[test]
fn an_unknown_adapter_is_refused_with_the_names_there_are() {
    let scratch = Scratch::new("adapter");
    for command in ["adapters", "verify"] {
        let sentence = refused(&scratch, &[command, "--adapter", "no such adapter"]);
        assert!(sentence.contains("--adapter: expected") && sentence.contains("`no such adapter`"), "{sentence}");
    }
}

#[test]
fn a_folder_that_cannot_take_the_run_is_refused_and_left_alone() {
    let scratch = Scratch::new("out");
    fs::write(scratch.0.join("file"), "precious").unwrap();
    for out in ["file", "file/deeper", "."] {
        let sentence = refused(&scratch, &["verify", "--quick", "--kernel", "cross_entropy", "--out", out]);
        assert!(sentence.contains(out), "{sentence}");
    }
    assert_eq!(fs::read_to_string(scratch.0.join("file")).unwrap(), "precious");
}

#[test]
fn a_verification_leaves_its_configuration_and_results() {
    let scratch = Scratch::new("verify");
    let arguments = ["verify", "--kernel", "cross_entropy", "--cases", "3", "--seed", "9", "--json", "--out", "run"];
    let output = fourfold(&scratch, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["kernels"][0]["cases"], 3);
    let read = |name: &str| fs::read_to_string(scratch.0.join("run").join(name)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&read("config.json")).unwrap();
    assert_eq!(config["seed"], 9);
    assert_eq!(config["command_line"][1], "--kernel");
    assert!(!config["adapter"]["name"].as_str().unwrap().is_empty());
    let line: serde_json::Value = serde_json::from_str(read("kernels.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(line, printed["kernels"][0]);
    assert_eq!(read("cases.jsonl").lines().count(), 3);
    assert_eq!(fs::read_dir(scratch.0.join("run")).unwrap().count(), 3);
}

#[test]
fn a_benchmark_leaves_its_figures_and_a_plot() {
    let scratch = Scratch::new("bench");
    let arguments = ["bench", "--quick", "--kernel", "mean_squared_error", "--json", "--out", "run"];
    let output = fourfold(&scratch, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = &printed["problems"][0];
    assert_eq!(problem["kernels"], "mean_squared_error");
    let ratio = problem["gb_per_s"].as_f64().unwrap() / printed["ceiling"]["copy_gb_per_s"].as_f64().unwrap();
    assert!((problem["share_of_copy_bandwidth"].as_f64().unwrap() - ratio).abs() < 1e-6 * ratio);
    assert!(fs::read(scratch.0.join("run/shares.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(scratch.0.join("run/config.json").is_file() && scratch.0.join("run/kernels.jsonl").is_file());
}

#[test]
fn the_same_seed_draws_the_same_cases() {
    let scratch = Scratch::new("seed");
    let run = |seed: &str| {
        let arguments = ["verify", "--kernel", "cross_entropy", "--cases", "4", "--seed", seed, "--json", "--quiet"];
        serde_json::from_slice::<serde_json::Value>(&fourfold(&scratch, &arguments).stdout).unwrap()
    };
    assert_eq!(run("3"), run("3"));
    assert_ne!(run("3")["kernels"], run("4")["kernels"]);
}

#[test]
fn quiet_runs_say_nothing_but_their_result() {
    let output = fourfold(&Scratch::new("quiet"), &["verify", "--kernel", "cross_entropy", "--cases", "2", "--quiet"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("cross_entropy"));
}

#[test]
fn a_session_without_a_runtime_folder_prints_no_line_of_the_driver() {
    let scratch = Scratch::new("runtime");
    let arguments = ["verify", "--kernel", "cross_entropy", "--cases", "2", "--quiet"];
    let output = scratch.fourfold().env_remove("XDG_RUNTIME_DIR").args(arguments).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn adapters_are_listed_with_their_limits() {
    let output = fourfold(&Scratch::new("adapters"), &["adapters", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(list[0]["limits"]["max_storage_buffers_per_shader_stage"].as_u64().unwrap() >= 8);
}
