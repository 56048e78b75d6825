//! `cargo xtask interruptions`: each long command is interrupted at random moments and resumed, and must end with the bits
//! of a run that never stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::{Failure, Result, cargo, root, runtime_folder};

pub const USAGE: &str = "\
cargo xtask interruptions [WORDS]

Runs every long command at small sizes: once whole, and once interrupted by Ctrl-C at random moments and resumed until it
ends. Weights, pictures and tables must have the same bits. WORDS choose the commands that begin with them. It takes some
ten minutes on a software driver.";

/// Commands, each with the flags of a run of a few seconds.
const RUNS: [(&str, &str); 20] = [
    ("sam", "--quick"),
    ("sam", "--quick --vary rho=0.05,0.2 --validation 100"),
    ("dt shortest-paths", "--quick --training-steps 40"),
    ("dt key-to-door", "--quick"),
    ("dt train", "tests/fixtures/trajectories/d4rl.hdf5 --quick --training-steps 200"),
    ("dt sweep", "--quick"),
    ("dt control", "--quick"),
    ("dt pong", "--quick"),
    ("data collect", "pendulum --quick"),
    ("neuron clone", "--quick"),
    ("neuron train", "--quick --steps 2e6 --trial 5e5"),
    ("neuron reshuffle", "--quick --episodes 600"),
    ("pes", "toy --quick --iterations 6000"),
    ("pes compare", "toy --quick"),
    ("pes hyperparameters", "--quick --data digits"),
    ("pes learned-optimiser", "--quick --digits"),
    ("pes schedule", "--quick --data digits"),
    ("pes control", "--quick --task pendulum"),
    ("pes variance", "--quick"),
    ("verify", "--quick --kernel softmax"),
];

/// The exit code of a run that was stopped.
const STOPPED: i32 = 130;

/// Processes of a run, at most.
const MOST: usize = 40;

/// Interrupts the commands that begin with the given words, or all.
///
/// # Errors
/// A command failed, or ended with other bits.
pub fn run(words: &[String]) -> Result {
    let asked = words.join(" ");
    let chosen: Vec<_> = RUNS.iter().filter(|(command, _)| command.starts_with(&asked)).collect();
    if chosen.is_empty() {
        let commands: Vec<&str> = RUNS.iter().map(|(command, _)| *command).collect();
        return Err(Failure::usage(format!("expected one of {}, got `{asked}`", commands.join(", "))));
    }
    cargo(&["build", "--release", "--package", "fourfold-demos", "--bin", "fourfold"], &[])?;
    let mut moments = Moments::new();
    let failed = chosen.iter().filter(|(command, flags)| {
        let judged = interrupted(command, flags, &mut moments);
        println!("{command}: {}", judged.as_deref().unwrap_or_else(|fault| fault));
        judged.is_err()
    });
    match failed.count() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} commands do not resume to the same bits", chosen.len()))),
    }
}

/// Runs a command whole and interrupted; says how it went, or what is wrong.
fn interrupted(command: &str, flags: &str, moments: &mut Moments) -> std::result::Result<String, String> {
    let folder = root().join("target/interruptions");
    let [whole, cut] = ["whole", "cut"].map(|name| folder.join(name));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let begun = Instant::now();
    let code = wait(start(command, flags, &["--out".as_ref(), &whole])?)?;
    if code != 0 {
        return Err(format!("ended with code {code} when it was not interrupted"));
    }
    let took = begun.elapsed();
    let mut processes = 1;
    let mut code = stop_after(start(command, flags, &["--out".as_ref(), &cut])?, took.mul_f64(moments.next()))?;
    while code == STOPPED && processes < MOST {
        processes += 1;
        // Each gets further than it takes to start.
        let later = Duration::from_secs(1) + took.mul_f64(moments.next());
        code = stop_after(start(command, "", &["--resume".as_ref(), &cut])?, later)?;
    }
    if code != 0 {
        return Err(format!("ended with code {code} in its process {processes}"));
    }
    let [whole, cut] = [hashes(&whole)?, hashes(&cut)?];
    let differ = |name: &&String| whole.get(*name) != cut.get(*name);
    let mut differing: Vec<&String> = whole.keys().chain(cut.keys()).filter(differ).collect();
    differing.dedup();
    match differing.is_empty() {
        true => Ok(format!("the same {} files after {processes} processes", whole.len())),
        false => Err(format!("after {processes} processes {differing:?} differ")),
    }
}

fn start(command: &str, flags: &str, more: &[&Path]) -> std::result::Result<Child, String> {
    let mut process = Command::new(root().join("target/release/fourfold"));
    process.current_dir(root()).args(command.split(' ')).args(flags.split_whitespace()).arg("--quiet").args(more);
    if let Some(folder) = runtime_folder() {
        process.env("XDG_RUNTIME_DIR", folder);
    }
    let started = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.map_err(|error| format!("cannot run fourfold: {error}"))
}

/// Interrupts a process after some time, unless it has ended; returns its exit code.
fn stop_after(mut process: Child, after: Duration) -> std::result::Result<i32, String> {
    let begun = Instant::now();
    while begun.elapsed() < after && process.try_wait().is_ok_and(|ended| ended.is_none()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if process.try_wait().is_ok_and(|ended| ended.is_none()) {
        let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
        sent.map_err(|error| format!("cannot run kill: {error}"))?;
    }
    wait(process)
}

fn wait(mut process: Child) -> std::result::Result<i32, String> {
    let status = process.wait().map_err(|error| error.to_string())?;
    Ok(status.code().unwrap_or(-1))
}

/// Returns the hashes of the weights, pictures and tables in a folder, by their paths. Logs and reports have clocks.
fn hashes(folder: &Path) -> std::result::Result<BTreeMap<String, String>, String> {
    const KINDS: [&str; 4] = ["safetensors", "png", "csv", "jsonl"];
    const CLOCKS: [&str; 2] = ["metrics.jsonl", "cases.jsonl"];
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(inner) = folders.pop() {
        let entries = fs::read_dir(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_kind = path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
            if path.is_dir() {
                folders.push(path);
            } else if is_kind && !CLOCKS.iter().any(|name| path.ends_with(name)) {
                let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                found.insert(name(folder, &path), format!("{:x}", Sha256::digest(bytes)));
            }
        }
    }
    Ok(found)
}

fn name(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

/// Random shares of a run, from 0.1 to 0.9.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 | 1))
    }

    fn next(&mut self) -> f64 {
        // The multiplier of Knuth's MMIX generator, whose high bits are random enough.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        0.1 + 0.8 * (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lie_within_a_run() {
        let mut moments = Moments::new();
        assert!((0..1_000).all(|_| (0.1..0.9).contains(&moments.next())));
    }

    #[test]
    fn words_that_begin_no_command_are_wrong_input() {
        assert_eq!(run(&["dance".to_owned()]).unwrap_err().code, 2);
    }
}
