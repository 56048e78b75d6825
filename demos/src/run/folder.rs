//! The folder that a run leaves behind: its configuration, metrics, checkpoint and plots.
//!
//! The folder is made and its `config.json` written before the work begins, so that a place without rights is found
//! out at once and not after a training. Commands read and check their input before that: a run refused for its input
//! leaves nothing. Each file is written whole or not at all.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use fourfold::data::{Checkpoint, Error, file};
use fourfold::{Gpu, wgpu};
use serde_json::{Value, json};

use super::lock::{LOCK, Lock};
use super::record::{self, END, End};
use crate::adapter::adapter_json;
use crate::failure::Failure;

/// An open folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// It was not there before this run.
    made: bool,
    /// No other process writes into it.
    lock: Option<Lock>,
    /// Another rank writes it, and this one nothing.
    silent: bool,
}

/// The file of a run that holds its configuration, its settings as `settings`.
pub const CONFIGURATION: &str = "config.json";

/// The folder of runs without `--out`.
const RUNS: &str = "runs";

impl RunFolder {
    /// Makes the folder `out`, or the next free `runs/COMMAND-NUMBER`, and writes `config.json`: `configuration`, the
    /// command line, the time, versions and the adapter.
    ///
    /// # Errors
    /// The place cannot be written, or `out` is there already and not empty.
    pub fn create(out: Option<&Path>, command: &str, gpu: &Gpu, configuration: Value) -> Result<Self, Failure> {
        let (path, made) = match out {
            Some(path) => given(path)?,
            None => (next_free(Path::new(RUNS), &command.replace(' ', "-"))?, true),
        };
        let mut folder = Self { lock: Some(Lock::take(&path)?), path, made, silent: false };
        if let Err(failure) = folder.write_json(CONFIGURATION, &with_facts(configuration, gpu.info())) {
            folder.discard();
            return Err(failure);
        }
        Ok(folder)
    }

    /// The folder that another rank writes.
    pub fn of_another(path: PathBuf) -> Self {
        Self { path, made: false, lock: None, silent: true }
    }

    /// Leaves all writing to another rank.
    pub fn be_silent(&mut self) {
        self.silent = true;
    }

    /// Writes `end.json`, the end of the run, with the seconds of earlier processes. It has a clock, which no other file
    /// of a resumed run may depend on.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end(&self, end: End) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        let seconds = end.seconds + End::read(&self.path).map_or(0.0, |earlier| earlier.seconds);
        self.write_json(END, &json!(End { seconds, ..end }))
    }

    /// Opens the folder of an earlier run, to go on with it.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match fs::read_dir(path) {
            Ok(_) => Ok(Self { path: path.to_owned(), made: false, lock: None, silent: false }),
            Err(source) => Err(Error::Read { file: path.display().to_string(), source }.into()),
        }
    }

    /// Keeps other processes from writing into it.
    ///
    /// # Errors
    /// One does, or the folder cannot be written.
    pub fn lock(&mut self) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        self.lock = Some(Lock::take(&self.path)?);
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, or replaces it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        Ok(file::write(&self.path.join(name), bytes)?)
    }

    /// Writes a JSON file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<(), Failure> {
        self.write(name, format!("{value:#}\n").as_bytes())
    }

    /// Writes the rows as JSON lines.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_json_lines(&self, name: &str, rows: &[Value]) -> Result<(), Failure> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.write(name, lines.as_bytes())
    }

    /// Writes a table as CSV. Numbers need no quoting; texts with commas, quotes or line breaks are quoted.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_csv(&self, name: &str, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let line = |cells: &mut dyn Iterator<Item = &str>| cells.map(quoted).collect::<Vec<_>>().join(",") + "\n";
        let mut text = line(&mut header.iter().copied());
        for row in rows {
            text += &line(&mut row.iter().map(String::as_str));
        }
        self.write(name, text.as_bytes())
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, name: &str, line: &str) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        let path = self.path.join(name);
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| {
            let length = file.metadata()?.len();
            file.write_all(format!("{line}\n").as_bytes()).inspect_err(|_| {
                // No half of a line stays on a disk that is full.
                let _ = file.set_len(length);
            })
        });
        Ok(written.map_err(|source| Error::Write { file: path.display().to_string(), source })?)
    }

    /// Removes the configuration, and the folder where this run made it, unless anything else lies there.
    pub fn discard(&mut self) {
        if self.silent {
            return;
        }
        self.lock = None;
        let alone = fs::read_dir(&self.path)
            .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == CONFIGURATION));
        if alone {
            let _ = fs::remove_file(self.path.join(CONFIGURATION));
            if self.made {
                let _ = fs::remove_dir(&self.path);
                // Made for this run, unless other runs lie there: then it stays.
                if let Some(parent) = self.path.parent().filter(|&parent| parent == Path::new(RUNS)) {
                    let _ = fs::remove_dir(parent);
                }
            }
        }
    }

    /// Removes the parts of files that a killed run was writing.
    pub fn remove_parts(&self) {
        if !self.silent {
            remove_parts(&self.path);
        }
    }

    /// Writes a checkpoint, or replaces it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_checkpoint(&self, name: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
        if self.silent {
            return Ok(());
        }
        Ok(checkpoint.save(&self.path.join(name))?)
    }
}

/// Removes each `.NAME.PID.part` of a folder.
fn remove_parts(path: &Path) {
    let is_part = |name: &str| {
        let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
        inner.and_then(|inner| inner.rsplit_once('.')).is_some_and(|(_, process)| process.parse::<u32>().is_ok())
    };
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if is_part(&entry.file_name().to_string_lossy()) {
            let path = entry.path();
            // One that cannot be removed does no harm.
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Checks the place of a run before any work.
///
/// # Errors
/// It is there already and not empty, or no folder.
pub fn check(path: &Path) -> Result<(), Failure> {
    let named = || path.display().to_string();
    remove_parts(path);
    // A run that was killed before it began leaves its lock, which nobody holds.
    let counts = |entry: &fs::DirEntry| entry.file_name() != LOCK;
    match fs::read_dir(path) {
        Ok(entries) => match entries.flatten().find(counts) {
            None => Ok(()),
            Some(_) => {
                let (expected, got) = ("a new or empty folder".to_owned(), "one with files in it".to_owned());
                Err(Error::Content { file: named(), expected, got }.into())
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Read { file: named(), source }.into()),
    }
}

/// The folder that the user named, made where it is missing; whether we made it.
fn given(path: &Path) -> Result<(PathBuf, bool), Failure> {
    check(path)?;
    let made = !path.exists();
    let unwritten = |source| Error::Write { file: path.display().to_string(), source };
    fs::create_dir_all(path).map_err(unwritten)?;
    Ok((path.to_owned(), made))
}

/// Makes `COMMAND-NUMBER` below `runs`, with the first number that is free: two runs at once get two folders.
fn next_free(runs: &Path, command: &str) -> Result<PathBuf, Failure> {
    let failed = |path: &Path, source| Error::Write { file: path.display().to_string(), source };
    fs::create_dir_all(runs).map_err(|source| failed(runs, source))?;
    let mut number = 1;
    loop {
        let path = runs.join(format!("{command}-{number:03}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(failed(&path, source).into()),
        }
    }
}

/// Adds what the run does not decide itself: the command line, the time, versions and the adapter.
fn with_facts(mut configuration: Value, adapter: &wgpu::AdapterInfo) -> Value {
    let line: Vec<String> = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into()).collect();
    configuration["command_line"] = json!(line);
    configuration["unix_time"] = json!(record::now());
    configuration["versions"] = json!({ "fourfold": env!("CARGO_PKG_VERSION"), "wgpu": wgpu_version() });
    configuration["git_commit"] = json!(record::commit());
    configuration["adapter"] = adapter_json(adapter);
    configuration
}

/// The version of wgpu that this was built with, which wgpu itself does not tell.
fn wgpu_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock.split_once("name = \"wgpu\"\nversion = \"");
    entry.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that disappears with its value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("fourfold-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn runs_without_a_place_are_numbered() {
        let scratch = Scratch::new("numbered");
        assert_eq!(next_free(&scratch.0, "sam").unwrap(), scratch.0.join("sam-001"));
        assert_eq!(next_free(&scratch.0, "sam").unwrap(), scratch.0.join("sam-002"));
        assert_eq!(next_free(&scratch.0, "bench").unwrap(), scratch.0.join("bench-001"));
    }

    #[test]
    fn a_folder_with_files_in_it_is_refused_and_left_alone() {
        let scratch = Scratch::new("occupied");
        fs::write(scratch.0.join("thesis.txt"), "precious").unwrap();
        let failure = given(&scratch.0).unwrap_err();
        let sentence = format!("{}: expected a new or empty folder, got one with files in it", scratch.0.display());
        assert_eq!(failure, Failure::Input(sentence));
        assert_eq!(fs::read_to_string(scratch.0.join("thesis.txt")).unwrap(), "precious");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let scratch = Scratch::new("file");
        let path = scratch.0.join("out");
        fs::write(&path, "").unwrap();
        assert_eq!(given(&path).unwrap_err().code(), 2);
        assert_eq!(given(&path.join("deeper")).unwrap_err().code(), 2);
    }

    #[test]
    fn parts_of_a_killed_run_are_removed_and_do_not_occupy_a_folder() {
        let scratch = Scratch::new("parts");
        for name in [".config.json.123.part", ".a.part", ".report.md.12x.part"] {
            fs::write(scratch.0.join(name), "").unwrap();
        }
        assert_eq!(given(&scratch.0).unwrap_err().code(), 2);
        assert!(!scratch.0.join(".config.json.123.part").exists());
        fs::remove_file(scratch.0.join(".a.part")).unwrap();
        fs::remove_file(scratch.0.join(".report.md.12x.part")).unwrap();
        fs::write(scratch.0.join(".config.json.123.part"), "").unwrap();
        assert_eq!(given(&scratch.0).unwrap(), (scratch.0.clone(), false));
    }

    #[test]
    fn texts_are_quoted_in_csv_where_they_must_be() {
        let scratch = Scratch::new("csv");
        let folder = RunFolder { path: scratch.0.clone(), made: false, lock: None, silent: false };
        folder.write_csv("a.csv", &["name", "loss"], &[vec!["a, \"b\"".into(), "0.5".into()]]).unwrap();
        assert_eq!(fs::read_to_string(scratch.0.join("a.csv")).unwrap(), "name,loss\n\"a, \"\"b\"\"\",0.5\n");
    }

    #[test]
    fn the_version_of_wgpu_is_known() {
        assert!(wgpu_version().starts_with("30."));
    }
}
