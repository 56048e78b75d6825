//! A run that an earlier process began, as its folder tells.

use std::path::Path;

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Error, file};
use fourfold::shaders::Data;

use super::folder::{CONFIGURATION, RunFolder};
use super::{CHECKPOINT, Configuration, LOG, RESULTS, Record, Run};
use crate::failure::Failure;
use crate::options::Common;

/// A run that an earlier process began.
#[derive(Debug)]
pub struct Earlier {
    folder: RunFolder,
    pub configuration: Configuration,
    lines: Vec<String>,
    record: Record,
    state: Option<Checkpoint>,
}

impl Earlier {
    /// Reads a run's configuration and, where there is one, its checkpoint. Changes nothing.
    ///
    /// # Errors
    /// There is no run of `command` in the folder, or one of its files is damaged.
    pub fn open(path: &Path, command: &str) -> Result<Self, Failure> {
        let folder = RunFolder::open(path)?;
        let (file, checkpoint) = (path.join(CONFIGURATION), path.join(CHECKPOINT));
        if !file.exists() && !checkpoint.exists() {
            let expected =
                format!("expected {CONFIGURATION}, and {CHECKPOINT} where a run has come that far, got neither");
            return Err(Failure::Input(format!("{}: {expected}", path.display())));
        }
        let wrong = |file: &Path, what: &str, got: String| -> Failure {
            let expected = format!("{what} of a run of `fourfold {command}`");
            Error::Content { file: file.display().to_string(), expected, got }.into()
        };
        let state = if checkpoint.exists() { Some(Checkpoint::load(&checkpoint)?) } else { None };
        let (configuration, record) = match &state {
            Some(state) => (
                serde_json::from_str(state.get("settings")?)
                    .map_err(|error| wrong(&checkpoint, "settings", error.to_string()))?,
                serde_json::from_str(state.get("record")?)
                    .map_err(|error| wrong(&checkpoint, "a record", error.to_string()))?,
            ),
            None => {
                let configuration = serde_json::from_slice(&file::read(&file)?);
                let configuration = configuration
                    .map_err(|error: serde_json::Error| wrong(&file, "the configuration", error.to_string()))?;
                (configuration, Record::default())
            }
        };
        let Configuration { command: has, .. } = &configuration;
        if has != command {
            let (expected, got) = (format!("a run of `fourfold {command}`"), format!("one of `fourfold {has}`"));
            return Err(Error::Content { file: path.display().to_string(), expected, got }.into());
        }
        if let Some(tensor) = state.as_ref().and_then(not_a_number) {
            let (expected, got) = ("numbers".into(), "NaN: the training went astray before it was saved".into());
            return Err(Error::Tensor { file: checkpoint.display().to_string(), tensor, expected, got }.into());
        }
        let log = path.join(LOG);
        let text =
            if record.lines > 0 { String::from_utf8_lossy(&file::read(&log)?).into_owned() } else { String::new() };
        let lines: Vec<String> = text.lines().take(record.lines).map(str::to_owned).collect();
        if lines.len() < record.lines {
            let (expected, got) = (record.lines, lines.len());
            return Err(Failure::Input(format!("{}: expected {expected} lines, got {got}", log.display())));
        }
        Ok(Self { folder, configuration, lines, record, state })
    }

    /// Returns true if nothing of it is left to do.
    pub fn is_finished(&self) -> bool {
        self.folder.path().join(RESULTS).exists()
    }

    /// Resumes it.
    ///
    /// # Errors
    /// Another process writes into the folder, or it cannot be written.
    pub fn resume(self, common: &Common, gpu: Gpu) -> Result<Run, Failure> {
        let Self { mut folder, configuration, lines, record, state } = self;
        if !common.ranks.is_root() {
            folder.be_silent();
        }
        common.ranks.agreed(folder.lock())?;
        let run = Run::new(common, gpu, folder, configuration)?;
        Ok(Run { lines, record, restored: state, resumed: true, untouched: true, ..run })
    }
}

/// Returns the refusal of a flag beside `--resume` that would change the run in a folder.
pub fn refuse_change(path: &Path, flag: &str, has: &str, got: &str) -> Failure {
    let hint = "leave it out to resume, or start another run";
    Failure::Input(format!("{}: --{flag} is `{has}` in this run, got `{got}`: {hint}", path.display()))
}

/// Refuses `--out` beside `--resume`.
///
/// # Errors
/// It is given.
pub fn refuse_out(common: &Common) -> Result<(), Failure> {
    match common.is_given("out") {
        true => Err(Failure::input("--out: a resumed run stays in its folder; leave it out beside --resume")),
        false => Ok(()),
    }
}

/// The first tensor that holds a NaN.
fn not_a_number(state: &Checkpoint) -> Option<String> {
    let wrong = |values: &Data| matches!(values, Data::F32(values) if values.iter().any(|value| value.is_nan()));
    state.tensors().find(|(_, _, values)| wrong(values)).map(|(name, _, _)| name.to_owned())
}
