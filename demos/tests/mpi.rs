//! Runs of several processes under `mpirun` end with the bits of one process.

mod scratch;

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use scratch::Scratch;

/// `mpirun -n RANKS fourfold ARGUMENTS`.
fn mpirun(scratch: &Scratch, ranks: usize, arguments: &str) -> Command {
    let own = scratch.fourfold();
    let mut command = Command::new("mpirun");
    // Open MPI asks root and machines of few cores for a word of consent, and keeps its sockets under short names.
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string()]).env("TMPDIR", "/tmp");
    command.arg(own.get_program()).args(arguments.split_whitespace());
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir(&scratch.0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// Asserts that two runs left the same log, checkpoint and trained files.
fn equal(scratch: &Scratch, one: &str, other: &str) {
    let files = fs::read_dir(scratch.0.join(one)).unwrap().map(|entry| entry.unwrap().file_name());
    let endings = ["metrics.jsonl", ".safetensors"];
    let files: Vec<_> = files.filter(|name| endings.iter().any(|end| name.to_string_lossy().ends_with(end))).collect();
    assert!(files.len() >= 3, "{files:?}");
    for name in files {
        let read = |folder: &str| fs::read(scratch.0.join(folder).join(&name)).unwrap();
        assert!(read(one) == read(other), "{other}: {}", name.display());
    }
}

/// Runs a command by one process, by two and by four.
fn has_the_bits_of_one_process(scratch: &Scratch, arguments: &str) {
    let mut alone = scratch.fourfold();
    alone.args(format!("{arguments} --out 1").split_whitespace());
    succeeds(alone);
    for ranks in [2, 4] {
        let text = succeeds(mpirun(scratch, ranks, &format!("{arguments} --out {ranks}")));
        assert_eq!(text.matches("The run is in").count(), 1, "only the root speaks: {text}");
        equal(scratch, "1", &ranks.to_string());
    }
}

#[test]
fn a_population_over_processes_has_the_bits_of_one() {
    // 260 pairs, which three processes of the test below share unevenly.
    let arguments = "pes toy --quick --iterations 300 --particles 520 --chunks 5 --pixels 8";
    has_the_bits_of_one_process(&Scratch::new("mpi-pes"), arguments);
}

#[test]
fn the_chunks_of_sam_over_processes_have_the_bits_of_one() {
    let arguments = "sam --quick --data digits --chunks 4 --seeds 1 --epochs 2 --lanczos 0";
    has_the_bits_of_one_process(&Scratch::new("mpi-sam"), arguments);
}

#[test]
fn synchronised_batch_norm_over_processes_has_the_bits_of_one() {
    let arguments = "sam --data digits --images 400 --model resnet:8,2 --batch 200 --chunks 4 --sync-batch-norm --vary rho=0.1 \
                     --seeds 1 --epochs 1 --lanczos 0 --curvature-images 100";
    has_the_bits_of_one_process(&Scratch::new("mpi-synchronised"), arguments);
}

/// The processes of a run other than `mpirun`, by the command line that the system shows of each.
fn ranks_of(scratch: &Scratch) -> Vec<u32> {
    let folder = scratch.0.display().to_string();
    let own = |id: &u32| {
        let link = fs::read_link(format!("/proc/{id}/cwd"));
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        link.is_ok_and(|link| link.display().to_string() == folder) && !line.starts_with("mpirun")
    };
    let mut ids: Vec<u32> =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect();
    ids.retain(own);
    ids
}

fn wait(child: &mut Child, most: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < most {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_process_that_is_killed_ends_the_others_with_a_sentence_and_one_process_goes_on() {
    let scratch = Scratch::new("mpi-killed");
    let arguments = "pes toy --iterations 3000 --particles 520 --chunks 5 --pixels 8 --quiet --out";
    let mut alone = scratch.fourfold();
    alone.args(format!("{arguments} whole").split_whitespace());
    succeeds(alone);

    let mut child = mpirun(&scratch, 3, &format!("{arguments} killed")).spawn().unwrap();
    let checkpoint = scratch.0.join("killed/checkpoint.safetensors");
    let begun = Instant::now();
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ranks = ranks_of(&scratch);
    assert_eq!(ranks.len(), 3, "{ranks:?}");
    let killed = Command::new("kill").args(["-9", &ranks[1].to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(wait(&mut child, Duration::from_secs(20)), "the others still run");
    let mut sentences = String::new();
    child.stderr.take().unwrap().read_to_string(&mut sentences).unwrap();
    assert_eq!(sentences.matches("expected numbers of all other ranks, got none").count(), 2, "{sentences}");
    assert!(sentences.contains("fourfold pes --resume killed`, by as many ranks as you like"), "{sentences}");
    assert!(!scratch.0.join("killed/results.json").exists(), "it ended before it was killed");

    // `mpirun` does not wait for all threads of those that it has killed, and one of them holds the lock of the folder.
    let (begun, lock) = (Instant::now(), scratch.0.join("killed/.lock"));
    while fs::File::open(&lock).is_ok_and(|file| file.try_lock().is_err()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the others still run");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut alone = scratch.fourfold();
    alone.args(["pes", "--quiet", "--resume", "killed"]);
    succeeds(alone);
    equal(&scratch, "whole", "killed");
}

#[test]
fn wrong_input_is_told_once() {
    let scratch = Scratch::new("mpi-refused");
    for (arguments, sentence) in [
        ("pes poker", "PROBLEM"),
        ("data collect pendulum", "fourfold data collect: expected one process, got 2"),
        ("sam --quick", "--chunks: expected at least 2"),
    ] {
        let output = mpirun(&scratch, 2, arguments).output().unwrap();
        assert_eq!((output.status.code(), text(&output).matches(sentence).count()), (Some(2), 1), "{}", text(&output));
    }
}
