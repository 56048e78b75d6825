//! Random mutations of the files of all readers: a few hundred in the suite, any number by `cargo xtask fuzz`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::bounds::judge;
use super::mutation::{Random, mutate};
use super::reader::{Parts, Reader};

/// Files of each reader in the suite.
const FILES: u64 = 150;

/// A reader that takes so long will never end: the process does.
const HUNG: Duration = Duration::from_secs(20);

/// Finds of one kind that are shown.
const SHOWN: usize = 3;

/// What `cargo xtask fuzz` asks for, by the environment.
struct Order {
    reader: Option<String>,
    /// Of each reader.
    files: u64,
    first: u64,
    seed: u64,
}

impl Order {
    fn read() -> Self {
        let number = |name: &str, default| {
            let text = std::env::var(format!("FOURFOLD_FUZZ_{name}"));
            text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("FOURFOLD_FUZZ_{name}: `{text}`")))
        };
        let reader = std::env::var("FOURFOLD_FUZZ_READER").ok();
        Self { reader, files: number("FILES", FILES), first: number("FIRST", 0), seed: number("SEED", 1) }
    }
}

/// The parts of a mutated file.
fn parts(reader: &Reader, seed: u64, file: u64) -> Parts {
    let mut random = Random::new(seed, reader.name, file);
    let mut parts = reader.seeds[random.below(reader.seeds.len())].clone();
    let part = random.below(parts.len());
    let other = &reader.seeds[random.below(reader.seeds.len())];
    let other = &other[random.below(other.len())];
    mutate(&mut random, &mut parts[part], other);
    parts
}

/// Mutates files of the readers and judges each.
///
/// # Panics
/// If a bound was broken; the message says how to make the file again.
pub fn run(readers: &[Reader]) {
    let order = Order::read();
    let chosen: Vec<&Reader> =
        readers.iter().filter(|reader| order.reader.as_ref().is_none_or(|name| name == reader.name)).collect();
    let names: Vec<&str> = readers.iter().map(|reader| reader.name).collect();
    if chosen.is_empty() {
        // The other package may have it.
        println!("none of {} is asked for", names.join(", "));
        return;
    }
    let now: Mutex<Option<(&'static str, u64, Instant)>> = Mutex::new(None);
    let mut rows = vec!["| reader | files | read | refused | finds | seconds |\n|---|---|---|---|---|---|".to_owned()];
    let mut finds = Vec::new();
    std::thread::scope(|scope| {
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        let now = &now;
        scope.spawn(move || watch(now, &is_over));
        for reader in chosen {
            let begun = Instant::now();
            let (mut read, mut broken) = (0, BTreeMap::<String, Vec<String>>::new());
            for file in order.first..order.first + order.files {
                *now.lock().expect("the watch does not panic") = Some((reader.name, file, Instant::now()));
                if order.files >= 100_000 && file.is_multiple_of(order.files / 10) {
                    eprintln!("{}: {file} files", reader.name);
                }
                let files = (reader.pack)(parts(reader, order.seed, file));
                match judge(reader, &files) {
                    Ok(was_read) => read += u64::from(was_read),
                    Err(fault) => {
                        // Numbers differ from file to file where the place is the same.
                        let kind: String = fault.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                        let same = broken.entry(kind).or_default();
                        if same.len() < SHOWN {
                            keep(reader, file, &files);
                        }
                        same.push(format!("{} {file} (seed {}): {fault}", reader.name, order.seed));
                    }
                }
            }
            let count: usize = broken.values().map(Vec::len).sum();
            let seconds = begun.elapsed().as_secs_f64();
            let refused = order.files - read - count as u64;
            rows.push(format!("| {} | {} | {read} | {refused} | {count} | {seconds:.1} |", reader.name, order.files));
            finds.extend(broken.into_values().flat_map(|same| {
                {
                    let more = same.len().saturating_sub(SHOWN);
                    let shown: Vec<String> = same.into_iter().take(SHOWN).collect();
                    format!("{}\n  and {more} more of the kind", shown.join("\n"))
                }
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
            }));
        }
        drop(over);
    });
    println!("{}", rows.join("\n"));
    assert!(finds.is_empty(), "bounds were broken:\n{}", finds.join("\n"));
}

/// Keeps the files that broke a bound, to look at.
fn keep(reader: &Reader, file: u64, files: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    for (part, bytes) in files.iter().enumerate() {
        let _ = std::fs::create_dir_all(&folder);
        let _ = std::fs::write(folder.join(format!("{}-{file}-{part}", reader.name)), bytes);
    }
}

/// Ends the process if a file is read for too long, which nothing else can end.
fn watch(now: &Mutex<Option<(&'static str, u64, Instant)>>, over: &std::sync::mpsc::Receiver<()>) {
    while over.recv_timeout(Duration::from_secs(1)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        let Some((reader, file, begun)) = *now.lock().expect("the campaign does not panic here") else { continue };
        if begun.elapsed() > HUNG {
            eprintln!("bounds were broken:\n{reader} {file}: time: it does not end");
            std::process::exit(1);
        }
    }
}
