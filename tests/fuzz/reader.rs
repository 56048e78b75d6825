//! What a reader is: files that it reads, and how it is called.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of what a reader reads: its files, or what is packed into them.
pub type Parts = Vec<Vec<u8>>;

/// How much memory a reader may take.
#[derive(Debug, Clone, Copy)]
pub enum Memory {
    /// Of the kind of the file's size.
    Plain,
    /// What the file inflates to.
    #[allow(dead_code, reason = "the readers of the command have no packed files")]
    Deflated,
}

/// The name of each file in errors.
pub const FILE: &str = "file";

/// A reader, and files that it reads.
pub struct Reader {
    pub name: &'static str,
    pub seeds: Vec<Parts>,
    /// Makes files of parts, which are mutated before: what is behind a checksum is reached this way.
    pub pack: fn(Parts) -> Parts,
    /// Reads the files, or refuses them in a sentence.
    pub read: fn(&[Vec<u8>]) -> Result<(), String>,
    pub memory: Memory,
}

/// The sentence of a refusal.
pub fn words<T, E: ToString>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

/// A reader of one file that is mutated as it is.
pub fn plain(name: &'static str, seeds: Vec<Parts>, read: fn(&[Vec<u8>]) -> Result<(), String>) -> Reader {
    Reader { name, seeds, pack: |parts| parts, read, memory: Memory::Plain }
}

thread_local! {
    /// The files of this thread as they are: a mutation changes one of several.
    static WRITTEN: RefCell<BTreeMap<PathBuf, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Writes files into a folder of this thread, reads them there, and takes their paths out of the sentence.
pub fn in_folder(
    names: &[String],
    files: &[Vec<u8>],
    read: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let folder = folder();
    if WRITTEN.with_borrow(BTreeMap::is_empty) {
        fs::create_dir_all(&folder).expect("a folder for scratch files");
    }
    for (name, bytes) in names.iter().zip(files) {
        let path = folder.join(name);
        if WRITTEN.with_borrow(|written| written.get(&path) != Some(bytes)) {
            fs::write(&path, bytes).expect("a folder that can be written");
            WRITTEN.with_borrow_mut(|written| written.insert(path, bytes.clone()));
        }
    }
    read(&folder).map_err(|mut sentence| {
        for name in names {
            sentence = sentence.replace(&folder.join(name).display().to_string(), FILE);
        }
        sentence
    })
}

fn folder() -> PathBuf {
    // A folder in memory is a hundred times as fast, where there is one.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let name = format!("fourfold-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
    scratch.join(name.replace(['(', ')'], ""))
}

/// Removes the files of this thread.
pub fn clean() {
    WRITTEN.take();
    let _ = fs::remove_dir_all(folder());
}
