//! Ends that a command did not ask for: kills, full disks, places that cannot be written, and devices that are lost.

#![cfg(unix)]

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fourfold::data::Checkpoint;
use scratch::Scratch;

const TRAINING: &str = "pes toy --iterations 2000 --seeds 2 --quiet";

/// Files of a training that must be the same however often it was ended.
const FILES: [&str; 4] = ["metrics.jsonl", "surface.png", "theta-pes-0.safetensors", "theta-pes-1.safetensors"];

fn whole(scratch: &Scratch) -> Duration {
    let begun = Instant::now();
    let output = scratch.fourfold().args(TRAINING.split(' ')).args(["--out", "whole"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    begun.elapsed()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn resume(scratch: &Scratch, folder: &str) -> Command {
    let mut command = scratch.fourfold();
    command.args(["pes", "--quiet", "--resume", folder]);
    command
}

#[track_caller]
fn assert_same(scratch: &Scratch, folder: &str) {
    for file in FILES {
        let read = |folder: &str| fs::read(scratch.0.join(folder).join(file)).unwrap();
        assert!(read("whole") == read(folder), "{file}");
    }
}

/// Checks that each file of a folder is whole, whatever ended its process.
#[track_caller]
fn assert_whole_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        assert!(!name.ends_with(".part"), "{name} is left");
        let bytes = fs::read(&path).unwrap();
        let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => drop(Checkpoint::from_bytes(&name, &bytes).unwrap()),
            Some("json") => assert!(json(&bytes), "{name}"),
            Some("jsonl") => {
                assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{name}");
                assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.is_empty() || json(line)), "{name}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_training_that_is_killed_at_many_moments_ends_with_the_same_bits() {
    let scratch = Scratch::new("kills");
    let took = whole(&scratch);
    for kill in 1..8 {
        let begun = scratch.0.join("killed/config.json").exists();
        let mut command = if begun { resume(&scratch, "killed") } else { scratch.fourfold() };
        if !begun {
            command.args(TRAINING.split(' ')).args(["--out", "killed"]);
        }
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(took.mul_f64(f64::from(kill) * 0.618 % 1.0));
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
    }
    let output = resume(&scratch, "killed").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&scratch, "killed");
    assert_whole_files(&scratch.0.join("killed"));
}

#[test]
fn a_disk_that_fills_up_ends_a_training_with_a_sentence_and_whole_files_and_it_resumes_to_the_same_bits() {
    let scratch = Scratch::new("full");
    whole(&scratch);
    // A limit on the size of a file, which needs no rights, refuses writes as a full disk does. The signal that comes with it is
    // ignored.
    for blocks in [1, 2, 3, 4] {
        let folder = format!("full-{blocks}");
        let program = env!("CARGO_BIN_EXE_fourfold");
        let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} {TRAINING} --out {folder}");
        let mut limited = Command::new("sh");
        // What Mesa keeps is limited too.
        limited.args(["-c", &line]).current_dir(&scratch.0).env("MESA_SHADER_CACHE_DISABLE", "true");
        limited.env("XDG_RUNTIME_DIR", std::env::temp_dir()).env("XDG_CACHE_HOME", scratch.0.join("cache"));
        let output = limited.output().unwrap();
        assert!(!output.status.success(), "{blocks} blocks are enough");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("cannot write "), "{}", said(&output));
        assert_whole_files(&scratch.0.join(&folder));
        if scratch.0.join(&folder).join("config.json").exists() {
            let output = resume(&scratch, &folder).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            assert_same(&scratch, &folder);
        }
    }
}

/// A small disk of its own, which goes with its value.
#[cfg(target_os = "linux")]
struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    /// A file system in memory of so many KiB in a new folder; `None`, with a sentence, where this user may not mount one.
    fn new(folder: PathBuf, size: usize) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let mounted = Self::mount(&folder, &format!("size={size}k"));
        if !mounted.status.success() {
            eprintln!("skipped: {}", said(&mounted).trim());
            return None;
        }
        Some(Self(folder))
    }

    fn mount(folder: &Path, options: &str) -> Output {
        Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output().unwrap()
    }

    /// Makes room.
    fn grow(&self) {
        let output = Self::mount(&self.0, "remount,size=64m");
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_small_disk_that_fills_up_ends_a_training_with_a_sentence_and_with_room_it_resumes_to_the_same_bits() {
    let scratch = Scratch::new("small-disk");
    whole(&scratch);
    let mut resumed = 0;
    for size in [4, 8, 12, 16, 20] {
        let name = format!("disk-{size}");
        let Some(disk) = Disk::new(scratch.0.join(&name), size) else { return };
        let output =
            scratch.fourfold().args(TRAINING.split(' ')).args(["--out", &format!("{name}/run")]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{size} KiB: {}", said(&output));
        let sentence = said(&output);
        assert!(sentence.contains("cannot write ") && sentence.contains("No space left"), "{size} KiB: {sentence}");
        let run = disk.0.join("run");
        assert_whole_files(&run);
        disk.grow();
        if run.join("config.json").exists() {
            let output = resume(&scratch, &format!("{name}/run")).output().unwrap();
            assert!(output.status.success(), "{size} KiB: {}", said(&output));
            assert_same(&scratch, &format!("{name}/run"));
            resumed += 1;
        }
    }
    assert!(resumed > 1, "{resumed} runs began");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_no_part_of_a_file_of_any_command() {
    let scratch = Scratch::new("full-disk");
    let Some(disk) = Disk::new(scratch.0.join("disk"), 4) else { return };
    fs::write(disk.0.join("filling"), vec![0; 4096]).unwrap();
    for arguments in [
        "data collect pendulum --quick --quiet --out disk/collected",
        "sam --quick --model mlp:8 --seeds 1 --epochs 1 --lanczos 0 --quiet --out disk/sam",
        "verify --quick --kernel softmax --quiet --out disk/verified",
        "bench --quick --kernel softmax --out disk/rows",
        "tune --quick --family rows --file disk/tuning",
    ] {
        let output = scratch.fourfold().args(arguments.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {}", said(&output));
        assert!(said(&output).contains("No space left"), "{arguments}: {}", said(&output));
        let left: Vec<_> = fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["filling"], "{arguments}");
    }
}

/// `fourfold` in this folder, bound by the rights of files even where root runs the tests.
#[cfg(target_os = "linux")]
fn without_privilege(scratch: &Scratch) -> Option<Command> {
    use std::os::unix::fs::MetadataExt;
    let own = scratch.fourfold();
    if fs::metadata(&scratch.0).unwrap().uid() != 0 {
        return Some(own);
    }
    let drop = ["--bounding-set", "-dac_override,-dac_read_search", "--"];
    let tried = Command::new("setpriv").args(drop).arg("true").output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: root ignores the rights of files, and there is no setpriv that takes this from it: {tried:?}"
        );
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(drop).arg(own.get_program()).current_dir(&scratch.0);
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    Some(command)
}

/// Sets the rights of a file or folder.
fn allow(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_nobody_can_write_to_is_refused_in_a_sentence() {
    // Not even root can.
    let scratch = Scratch::new("rights");
    let output = scratch.fourfold().args(TRAINING.split(' ')).args(["--out", "/proc/fourfold"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).starts_with("error: cannot write /proc/fourfold: "), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_without_rights_is_refused_in_a_sentence_and_left_alone() {
    let scratch = Scratch::new("no-rights");
    whole(&scratch);
    let place = scratch.0.join("place");
    fs::create_dir(&place).unwrap();
    fs::write(scratch.0.join("episodes.hdf5"), "precious").unwrap();
    allow(&scratch.0.join("episodes.hdf5"), 0);
    for (mode, arguments, words) in [
        (0o555, "pes toy --quiet --out place/run", "cannot write place/run: "),
        (0o555, "pes toy --quiet --out place", "cannot write place"),
        (0o000, "pes toy --quiet --out place/run", "place/run: "),
        (0o555, "tune --quick --family rows --file place/tuning", "cannot write place/tuning: "),
        (0o555, "compile --kernel softmax --chip none --report place/report.md", "cannot write place/report.md: "),
        (0o555, "dt train episodes.hdf5 --quick --out run", "cannot read episodes.hdf5: "),
    ] {
        allow(&place, mode);
        let Some(mut command) = without_privilege(&scratch) else { return };
        let output = command.args(arguments.split(' ')).output().unwrap();
        allow(&place, 0o755);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", said(&output));
        let sentence = said(&output);
        assert!(sentence.contains(words) && sentence.contains("Permission denied"), "{arguments}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "before any work, {arguments}: {sentence}");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "{arguments}");
        assert!(!scratch.0.join("run").exists(), "{arguments}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_loses_its_rights_ends_a_training_with_a_sentence_and_it_resumes_to_the_same_bits() {
    let scratch = Scratch::new("lost-rights");
    whole(&scratch);
    let Some(mut command) = without_privilege(&scratch) else { return };
    command.args(TRAINING.split(' ')).args(["--out", "run"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let run = scratch.0.join("run");
    while !run.join("checkpoint.safetensors").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before a checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    allow(&run, 0o555);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let sentence = said(&output);
    assert!(sentence.contains("cannot write run/") && sentence.contains("Permission denied"), "{sentence}");
    // A folder that may be read alone is not resumed either.
    let mut again = without_privilege(&scratch).unwrap();
    let output = again.args(["pes", "--quiet", "--resume", "run"]).output().unwrap();
    assert!(said(&output).contains("cannot write run/"), "{}", said(&output));
    allow(&run, 0o755);
    assert_whole_files(&run);
    let output = resume(&scratch, "run").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&scratch, "run");
}

#[test]
fn a_lock_that_a_killed_process_left_keeps_nobody_out() {
    let scratch = Scratch::new("left-lock");
    whole(&scratch);
    fs::create_dir(scratch.0.join("run")).unwrap();
    fs::write(scratch.0.join("run/.lock"), "").unwrap();
    let output = scratch.fourfold().args(TRAINING.split(' ')).args(["--out", "run"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&scratch, "run");
    assert!(!scratch.0.join("run/.lock").exists());
}

#[test]
fn a_training_goes_on_from_its_checkpoint_on_a_device_that_is_opened_for_one_that_was_lost() {
    let scratch = Scratch::new("lost-once");
    whole(&scratch);
    for fault in ["loss@0", "loss@3", "loss@12", "memory@4", "memory@30"] {
        let mut command = scratch.fourfold();
        command.args(TRAINING.split(' ')).args(["--out", fault]).env("FOURFOLD_FAULTS", fault);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{fault}: {}", said(&output));
        assert!(said(&output).contains("The device is opened again, to go on from the last checkpoint."), "{fault}");
        assert_same(&scratch, fault);
    }
}

#[test]
fn a_second_loss_ends_a_training_with_code_3_and_the_line_that_resumes_it() {
    let scratch = Scratch::new("lost-twice");
    whole(&scratch);
    let mut command = scratch.fourfold();
    command.args(TRAINING.split(' ')).args(["--out", "run"]).env("FOURFOLD_FAULTS", "loss@12 loss@6");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("Resume with `fourfold pes --resume run`\n"), "{}", said(&output));
    assert!(said(&output).contains("error: the GPU device was lost"), "{}", said(&output));
    assert_whole_files(&scratch.0.join("run"));
    let output = resume(&scratch, "run").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&scratch, "run");
}

#[test]
fn a_submission_that_is_not_done_in_time_ends_a_training_with_code_3_and_the_name_of_what_ran() {
    let scratch = Scratch::new("hanging");
    let mut command = scratch.fourfold();
    command.args(TRAINING.split(' ')).args(["--out", "run"]).env("FOURFOLD_WAIT_LIMIT", "1e-9");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    for words in
        ["it was not done after 1 ms (last submitted: `outer loop`)", "Resume with `fourfold pes --resume run`"]
    {
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
    let output = resume(&scratch, "run").env("FOURFOLD_WAIT_LIMIT", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("FOURFOLD_WAIT_LIMIT: expected seconds above 0, got `soon`"), "{}", said(&output));
}

#[test]
fn a_loss_ends_commands_without_a_run_to_resume_with_code_3_and_the_command_to_start_again() {
    let scratch = Scratch::new("lost-measurements");
    for (arguments, command_again) in
        [("bench --quick --kernel softmax --out rows", "bench"), ("tune --quick --family rows --file tuning", "tune")]
    {
        let mut command = scratch.fourfold();
        let output = command.args(arguments.split(' ')).env("FOURFOLD_WAIT_LIMIT", "1e-9").output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments}: {}", said(&output));
        let sentence = format!("\nStart `fourfold {command_again}` again.");
        assert!(said(&output).contains(&sentence), "{arguments}: {}", said(&output));
    }
    assert!(!scratch.0.join("tuning").exists());
}

#[test]
fn a_second_signal_ends_a_training_at_once() {
    let scratch = Scratch::new("second-signal");
    let mut child =
        scratch.fourfold().args(TRAINING.split(' ')).args(["--out", "run"]).stderr(Stdio::null()).spawn().unwrap();
    while !scratch.0.join("run/checkpoint.safetensors").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was stopped");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Both wait while it is halted, so that no checkpoint comes between them.
    for signal in ["-STOP", "-INT", "-TERM", "-CONT"] {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
    let code = child.wait().unwrap().code();
    assert!(code == Some(143) || code == Some(130), "{code:?}");
    assert!(!scratch.0.join("run/report.md").exists(), "it ended at its leisure");
}
