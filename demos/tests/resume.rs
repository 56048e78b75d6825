//! Trainings that are killed and resumed end with the bits of those that were not.

mod scratch;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use scratch::Scratch;

/// Runs a command whole, and again killed at its first checkpoint and resumed: all of `files` are equal.
fn resumes_to_the_same_bits(scratch: &Scratch, command: &str, arguments: &str, files: &[&str]) {
    let call = |rest: &str| {
        let mut call = scratch.fourfold();
        call.args(command.split(' ')).arg("--quiet").args(rest.split(' '));
        call
    };
    let output = call(&format!("{arguments} --out whole")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let checkpoint = scratch.0.join("killed/checkpoint.safetensors");
    let mut child = call(&format!("{arguments} --out killed")).spawn().unwrap();
    let begun = Instant::now();
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!scratch.0.join("killed/results.json").exists(), "it ended before it was killed");

    let output = call("--resume killed").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |folder: &str, file: &str| fs::read(scratch.0.join(folder).join(file)).unwrap();
    for file in files.iter().chain(&["results.json"]) {
        assert!(read("whole", file) == read("killed", file), "{file}");
    }
}

#[test]
fn control() {
    let arguments = "--quick --steps 150 --cloning-steps 60 --seeds 1";
    resumes_to_the_same_bits(&Scratch::new("resume-control"), "dt control", arguments, &["report.md"]);
}

#[test]
fn sweep() {
    let arguments = "--quick --steps 150 --seeds 2";
    resumes_to_the_same_bits(&Scratch::new("resume-sweep"), "dt sweep", arguments, &["pendulum-imitation.png"]);
}

#[test]
fn train() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/trajectories/d4rl.hdf5");
    let arguments = format!("{} --quick --training-steps 300 --seeds 2", data.display());
    let files = ["seed-0-training.safetensors", "seed-1-training.safetensors", "loss.png"];
    resumes_to_the_same_bits(&Scratch::new("resume-train"), "dt train", &arguments, &files);
}

#[test]
fn collection() {
    let files = ["cart-pole-medium-replay.safetensors", "cart-pole-expert.safetensors", "checkpoint.safetensors"];
    let arguments = "cart-pole --quick --seed 1 --episodes 20 --stage medium-replay,expert";
    resumes_to_the_same_bits(&Scratch::new("resume-collect"), "data collect", arguments, &files);
}
