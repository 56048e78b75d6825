//! The command without its readers: closed pipes, a full disk, a closed terminal.
#![cfg(unix)]

mod scratch;

use std::fs::File;
use std::io::{PipeWriter, pipe};
use std::process::{Command, Stdio};
use std::time::Duration;

use scratch::Scratch;

/// A pipe whose reader has gone away.
fn unread() -> PipeWriter {
    let (_, writer) = pipe().unwrap();
    writer
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let scratch = Scratch::new("unread");
    for arguments in [&["adapters"][..], &["adapters", "--json"], &["--help"]] {
        let output = scratch
            .fourfold()
            .args(arguments)
            .stdout(unread())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let refused = scratch.fourfold().arg("dance").stdout(unread()).stderr(unread()).status().unwrap();
    assert_eq!(refused.code(), Some(2), "a sentence that nobody reads");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_the_output_is_one_sentence() {
    let scratch = Scratch::new("full");
    for arguments in [&["adapters"][..], &["adapters", "--json"], &["--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = scratch.fourfold();
        let output = command.args(arguments).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = output.unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{sentence}");
        assert!(sentence.starts_with("error: cannot write to the standard output") && sentence.lines().count() == 1);
    }
}

#[test]
fn a_training_outlives_its_terminal() {
    let scratch = Scratch::new("terminal");
    let arguments = ["pes", "toy", "--iterations", "3000", "--out", "run"];
    let mut training = scratch.fourfold().args(arguments).stdout(unread()).stderr(unread()).spawn().unwrap();
    while !scratch.0.join("run/config.json").exists() {
        assert_eq!(training.try_wait().unwrap(), None, "it ended before it began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = Command::new("kill").args(["-HUP", &training.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(training.wait().unwrap().code(), Some(0));
    assert!(scratch.0.join("run/report.md").exists());
}
