//! Trainings that are killed and resumed end with the bits of those that were not.

mod scratch;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};
use fourfold_demos::failure::Failure;
use fourfold_demos::options::Common;
use fourfold_demos::run::{Earlier, Run};
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

/// Starts a training, and waits until it has saved a checkpoint.
#[cfg(unix)]
fn under_way(scratch: &Scratch, arguments: &str, folder: &str) -> std::process::Child {
    let mut call = scratch.fourfold();
    call.args(arguments.split(' ')).args(["--out", folder]).stdout(std::process::Stdio::piped());
    let mut child = call.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let checkpoint = scratch.0.join(folder).join("checkpoint.safetensors");
    while !checkpoint.exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was stopped");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[cfg(unix)]
fn send(signal: &str, child: &std::process::Child) {
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[cfg(unix)]
const TRAINING: &str = "pes toy --iterations 2000 --seeds 2";

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_training_with_a_checkpoint_a_partial_report_and_the_line_that_resumes_it() {
    let scratch = Scratch::new("ctrl-c");
    let whole = scratch.fourfold().args(TRAINING.split(' ')).args(["--quiet", "--out", "whole"]).output().unwrap();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let child = under_way(&scratch, TRAINING, signal.trim_start_matches('-'));
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let (said, folder) = (String::from_utf8(output.stderr).unwrap(), signal.trim_start_matches('-'));
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.ends_with(&format!("Resume with `fourfold pes --resume {folder}`\n")), "{said}");
        let path = |file: &str| scratch.0.join(folder).join(file);
        assert!(fs::read_to_string(path("report.md")).unwrap().contains("stopped before its end"));
        assert!(!path("results.json").exists() && !path(".lock").exists());

        let output = scratch.fourfold().args(["pes", "--quiet", "--resume", folder]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in ["metrics.jsonl", "surface.png", "theta-pes-0.safetensors", "theta-pes-1.safetensors"] {
            assert!(fs::read(scratch.0.join("whole").join(file)).unwrap() == fs::read(path(file)).unwrap(), "{file}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_folder_in_use_and_a_finished_run_are_left_alone() {
    let scratch = Scratch::new("in-use");
    let child = under_way(&scratch, TRAINING, "run");
    let second = scratch.fourfold().args(["pes", "--resume", "run"]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    assert!(child.wait_with_output().unwrap().status.success());

    let files = || {
        let entries = fs::read_dir(scratch.0.join("run")).unwrap().map(Result::unwrap);
        let mut files: Vec<_> =
            entries.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    let again = scratch.fourfold().args(["pes", "--resume", "run"]).output().unwrap();
    assert!(
        again.status.success() && String::from_utf8(again.stdout).unwrap().starts_with("The run in run is finished")
    );
    assert_eq!(files(), before);
}

#[test]
fn variance() {
    let arguments = "--steps 12 --truncations 1 --particles 8 --repeats 400 --base-particles 40 --linear-repeats 4";
    resumes_to_the_same_bits(&Scratch::new("resume-variance"), "pes variance", arguments, &["report.md", "real.png"]);
}

/// Trains within a stage of the run, and saves after each 10 of 40 iterations; breaks off once `end` are done and saved.
fn trained(run: &mut Run, end: Option<u32>) -> Result<Vec<f32>, Failure> {
    run.stage("training", 40, |run| {
        let theta = OuterTensors::new(&run.gpu(), &ToyRegression::START, 3)?;
        let settings = UnrollSettings::new(Estimator::PES, 20, 10, 0.3);
        let source = UnrolledGradient::new(&run.gpu(), Arc::new(ToyRegression::default()), &settings, &theta)?;
        let settings = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 10 };
        let mut outer = OuterLoop::new(&run.gpu(), theta, Box::new(source), settings)?;
        if let Some(checkpoint) = run.restored() {
            outer.restore(&checkpoint)?;
        }
        loop {
            if end.is_some_and(|end| outer.iteration() >= end) {
                return Err(Failure::run("broken off"));
            }
            if outer.iteration() == 40 {
                return Ok(outer.parameters()?);
            }
            outer.run(10)?;
            run.save(|checkpoint| Ok(outer.save(checkpoint)?))?;
        }
    })
}

#[test]
fn a_training_goes_on_from_the_state_that_the_run_has_saved() {
    let (scratch, gpu) = (Scratch::new("resume-state"), Gpu::open().unwrap());
    let common = |folder: &str| Common { out: Some(scratch.0.join(folder)), quiet: true, ..Common::default() };
    let new = |folder: &str| Run::of_command(&common(folder), "test", &gpu, serde_json::Value::Null).unwrap();
    let whole = trained(&mut new("whole"), None).unwrap();
    let checkpoint = |folder: &str| fs::read(scratch.0.join(folder).join("checkpoint.safetensors")).unwrap();

    // In the middle, and between the last state and the end of the stage.
    for end in [20, 40] {
        let broken = format!("broken-{end}");
        trained(&mut new(&broken), Some(end)).unwrap_err();
        let earlier = Earlier::open(&scratch.0.join(&broken), "test").unwrap();
        let mut resumed = earlier.resume(&common(&broken), gpu.clone()).unwrap();
        assert_eq!(trained(&mut resumed, None).unwrap(), whole);
        assert!(checkpoint("whole") == checkpoint(&broken), "{broken}");
    }
}
