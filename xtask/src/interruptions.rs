//! `cargo xtask interruptions` and `cargo xtask chaos`: each long command is interrupted, or killed, at random moments and
//! resumed, and must end with the bits of a run that never stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::{Failure, Result, cargo, root, runtime_folder};

pub const USAGE: &str = "\
cargo xtask interruptions [WORDS] [--debug]

Runs every long command at small sizes: once whole, and once interrupted by Ctrl-C at random moments and resumed until it
ends. Weights, pictures and tables must have the same bits. WORDS choose the commands that begin with them. It takes some
ten minutes on a software driver.

  --debug     run the build of the profile dev";

pub const CHAOS_USAGE: &str = "\
cargo xtask chaos [WORDS] [--kills N] [--debug]

Runs every long command at small sizes: once whole, and once killed (as by `kill -9`) at random moments and resumed until it
ends. Weights, pictures and tables must have the same bits, and no part of a file may be left. WORDS choose the commands that
begin with them. It takes some twenty minutes on a software driver.

  --kills N   kills in all (default 100)
  --debug     run the build of the profile dev";

/// Commands, each with the flags of a run of a few seconds.
const RUNS: [(&str, &str); 23] = [
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
    ("neuron drive train", "--quick"),
    ("neuron drive evolve", "--quick --generations 20"),
    ("neuron pong", "--quick --updates 200"),
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

/// What stands for the exit code of a process that a signal ended.
const KILLED: i32 = -1;

/// Processes of a run, at most.
const MOST: usize = 40;

/// Interrupts the commands that begin with the given words, or all.
///
/// # Errors
/// A command failed, or ended with other bits.
pub fn run(words: &[String]) -> Result {
    let (flags, words): (Vec<String>, Vec<String>) = words.iter().cloned().partition(|word| word.starts_with("--"));
    if let Some(flag) = flags.iter().find(|flag| *flag != "--debug") {
        return Err(Failure::usage(format!("expected --debug, got `{flag}`")));
    }
    let chosen = chosen(&words)?;
    let binary = build(!flags.is_empty())?;
    let mut moments = Moments::new();
    report(&chosen, |command, flags| interrupted(&Program { binary: &binary, command, flags }, &mut moments))
}

/// Kills the commands that begin with the given words, or all.
///
/// # Errors
/// A command failed, or ended with other bits.
pub fn chaos(words: &[String]) -> Result {
    let (mut commands, mut kills, mut debug) = (Vec::new(), 100, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--debug" => debug = true,
            "--kills" => {
                let text = words.next().map_or("", String::as_str);
                let wrong = || Failure::usage(format!("--kills: expected a whole number above 0, got `{text}`"));
                kills = text.parse().ok().filter(|kills| *kills > 0).ok_or_else(wrong)?;
            }
            flag if flag.starts_with("--") => {
                return Err(Failure::usage(format!("expected --kills or --debug, got `{flag}`")));
            }
            word => commands.push(word.to_owned()),
        }
    }
    let chosen = chosen(&commands)?;
    let binary = build(debug)?;
    let mut moments = Moments::new();
    let (mut done, mut left) = (0, chosen.len());
    report(&chosen, |command, flags| {
        // What earlier commands have not used falls to the later ones.
        let share = (kills - done) / left;
        left -= 1;
        let judged = killed(&Program { binary: &binary, command, flags }, share, &mut moments)?;
        done += judged;
        Ok(format!("the same bits after {judged} kills, {done} in all"))
    })
}

/// The commands that begin with these words.
fn chosen(words: &[String]) -> Result<Vec<(&'static str, &'static str)>> {
    let asked = words.join(" ");
    let chosen: Vec<_> = RUNS.into_iter().filter(|(command, _)| command.starts_with(&asked)).collect();
    if chosen.is_empty() {
        let commands: Vec<&str> = RUNS.iter().map(|(command, _)| *command).collect();
        return Err(Failure::usage(format!("expected one of {}, got `{asked}`", commands.join(", "))));
    }
    Ok(chosen)
}

/// Builds the command, and returns the path of its program.
fn build(debug: bool) -> Result<PathBuf> {
    if debug {
        cargo(&["build", "--workspace", "--bin", "fourfold"], &[])?;
        return Ok(root().join("target/debug/fourfold"));
    }
    cargo(&["build", "--release", "--package", "fourfold-demos", "--bin", "fourfold"], &[])?;
    Ok(root().join("target/release/fourfold"))
}

/// Judges each command and prints how it went.
fn report(chosen: &[(&str, &str)], mut judge: impl FnMut(&str, &str) -> std::result::Result<String, String>) -> Result {
    let mut failed = 0;
    for (command, flags) in chosen {
        let judged = judge(command, flags);
        println!("{command}: {}", judged.as_deref().unwrap_or_else(|fault| fault));
        failed += usize::from(judged.is_err());
    }
    match failed {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} commands do not resume to the same bits", chosen.len()))),
    }
}

/// A command at small sizes.
struct Program<'a> {
    binary: &'a Path,
    command: &'a str,
    flags: &'a str,
}

/// Runs a command whole and interrupted; says how it went, or what is wrong.
fn interrupted(program: &Program, moments: &mut Moments) -> std::result::Result<String, String> {
    let ([whole, cut], took) = program.whole()?;
    let mut processes = 1;
    let mut code = stop_after(program.start(true, &["--out".as_ref(), &cut])?, took.mul_f64(moments.next()), "-INT")?;
    while code == STOPPED && processes < MOST {
        processes += 1;
        // Each gets further than it takes to start.
        let later = Duration::from_secs(1) + took.mul_f64(moments.next());
        code = stop_after(program.start(false, &["--resume".as_ref(), &cut])?, later, "-INT")?;
    }
    if code != 0 {
        return Err(format!("ended with code {code} in its process {processes}"));
    }
    let count = compared(&whole, &cut).map_err(|fault| format!("after {processes} processes {fault}"))?;
    Ok(format!("the same {count} files after {processes} processes"))
}

/// Runs a command whole, and killed and resumed so many times; returns the number of kills, or what is wrong.
fn killed(program: &Program, kills: usize, moments: &mut Moments) -> std::result::Result<usize, String> {
    let ([whole, cut], took) = program.whole()?;
    let mut done = 0;
    let mut attempts = 0;
    loop {
        attempts += 1;
        // A run that was killed before it wrote its configuration begins anew.
        let begun = cut.join("config.json").exists();
        let process = match begun {
            true => program.start(false, &["--resume".as_ref(), &cut])?,
            false => program.start(true, &["--out".as_ref(), &cut])?,
        };
        let code = if done < kills && attempts < 4 * kills {
            stop_after(process, took.mul_f64(moments.next()), "-KILL")?
        } else {
            wait(process)?
        };
        match code {
            KILLED => done += 1,
            0 if done >= kills || attempts >= 4 * kills => break,
            // It ended before it was killed: the next kills hit another run.
            0 => {
                compared(&whole, &cut).map_err(|fault| format!("after {done} kills {fault}"))?;
                fs::remove_dir_all(&cut).map_err(|error| format!("{}: {error}", cut.display()))?;
            }
            code => return Err(format!("ended with code {code} after {done} kills")),
        }
    }
    compared(&whole, &cut).map_err(|fault| format!("after {done} kills {fault}"))?;
    Ok(done)
}

/// Compares the folders of two runs; returns the number of files, or what differs.
fn compared(whole: &Path, cut: &Path) -> std::result::Result<usize, String> {
    let parts = parts(cut);
    if !parts.is_empty() {
        return Err(format!("{parts:?} are left"));
    }
    let [whole, cut] = [hashes(whole)?, hashes(cut)?];
    let differ = |name: &&String| whole.get(*name) != cut.get(*name);
    let mut differing: Vec<&String> = whole.keys().chain(cut.keys()).filter(differ).collect();
    differing.dedup();
    if differing.is_empty() { Ok(whole.len()) } else { Err(format!("{differing:?} differ")) }
}

/// The files of a folder that a process was writing, and its lock.
fn parts(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".part") || name == ".lock").collect()
}

impl Program<'_> {
    /// Runs it whole, in the first of two new folders; returns how long it took.
    fn whole(&self) -> std::result::Result<([PathBuf; 2], Duration), String> {
        let folder = root().join("target/interruptions");
        let [whole, cut] = ["whole", "cut"].map(|name| folder.join(name));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let begun = Instant::now();
        let code = wait(self.start(true, &["--out".as_ref(), &whole])?)?;
        if code != 0 {
            return Err(format!("ended with code {code} when it was not interrupted"));
        }
        Ok(([whole, cut], begun.elapsed()))
    }

    fn start(&self, with_flags: bool, more: &[&Path]) -> std::result::Result<Child, String> {
        let flags = if with_flags { self.flags } else { "" };
        let mut process = Command::new(self.binary);
        process.current_dir(root()).args(self.command.split(' ')).args(flags.split_whitespace());
        process.arg("--quiet").args(more);
        if let Some(folder) = runtime_folder() {
            process.env("XDG_RUNTIME_DIR", folder);
        }
        let started = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        started.map_err(|error| format!("cannot run fourfold: {error}"))
    }
}

/// Sends a signal to a process after some time, unless it has ended; returns its exit code.
fn stop_after(mut process: Child, after: Duration, signal: &str) -> std::result::Result<i32, String> {
    let begun = Instant::now();
    while begun.elapsed() < after && process.try_wait().is_ok_and(|ended| ended.is_none()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if process.try_wait().is_ok_and(|ended| ended.is_none()) {
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        sent.map_err(|error| format!("cannot run kill: {error}"))?;
    }
    wait(process)
}

fn wait(mut process: Child) -> std::result::Result<i32, String> {
    let status = process.wait().map_err(|error| error.to_string())?;
    Ok(status.code().unwrap_or(KILLED))
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
        assert_eq!(chaos(&["dance".to_owned()]).unwrap_err().code, 2);
        for flags in [&["--kills"][..], &["--kills", "0"], &["--quick"]] {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            assert_eq!(chaos(&flags).unwrap_err().code, 2, "{flags:?}");
        }
    }
}
