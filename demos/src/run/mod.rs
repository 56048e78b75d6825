//! A run: its GPU, seeds, folder, progress, log and checkpoint.

mod earlier;
mod ending;
mod entries;
mod events;
pub mod folder;
mod lock;
mod partial_report;
pub mod record;
pub mod report;
mod several;
pub mod stop;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use earlier::{Earlier, refuse_change, refuse_out};
pub use entries::{entry, set_entry};
pub use events::EVENTS;

use crate::adapter::{adapter_json, describe, software_warning};
use crate::failure::Failure;
use crate::guide;
use crate::options::Common;
use crate::progress::Progress;
use crate::ranks::Ranks;
use crate::table::{broken, width};
use crate::tuning;
use events::Events;
use folder::RunFolder;
use record::FINISHED;
use report::Report;

/// The file of a run's log, a JSON object a line.
pub const LOG: &str = "metrics.jsonl";

/// The file of a run's checkpoint.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// The file of a report.
pub const REPORT: &str = "report.md";

/// The file of the numbers of a finished run.
pub const RESULTS: &str = "results.json";

/// Time between two checkpoints of a stage that saves when it is due.
const BETWEEN: Duration = Duration::from_secs(20);

/// All that decides the numbers of a run besides the adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The command, as in `dt control`.
    pub command: String,
    pub seed: u64,
    /// The seeds of an experiment; none for a command that has only `--seed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u32>,
    #[serde(default)]
    pub quick: bool,
    /// SHA-256 of the files and folders that the run reads, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of the tuning that chose between variants of kernels, if there was one; [`Run::create`] sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<String>,
    pub settings: Value,
}

/// The progress of a run, as its checkpoint keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Lines of the log.
    lines: usize,
    finished: Vec<Finished>,
    /// The stage whose state the checkpoint holds.
    stage: Option<String>,
    /// The stage ends with this state if it saves no other.
    #[serde(default)]
    kept: bool,
}

/// A finished stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Finished {
    stage: String,
    outcome: Value,
}

/// A run in progress.
#[derive(Debug)]
pub struct Run {
    ranks: Ranks,
    gpu: Gpu,
    folder: RunFolder,
    configuration: Configuration,
    quiet: bool,
    progress: Option<Progress>,
    lines: Vec<String>,
    record: Record,
    /// Names of the stages that were asked for.
    asked: Vec<String>,
    /// The state that the checkpoint of a finished stage keeps.
    state: Option<Checkpoint>,
    /// The checkpoint that the run was resumed from, until its stage takes it.
    restored: Option<Checkpoint>,
    /// None before the first checkpoint of a stage.
    saved: Option<Instant>,
    /// An earlier process began it.
    resumed: bool,
    /// The folder is still as that process left it.
    untouched: bool,
    /// The time at which this process began.
    begun: Instant,
    /// True with `--tensorboard`; the file is made with the first row.
    tensorboard: bool,
    events: Option<Events>,
}

impl Run {
    /// Makes the folder of a run, by this name and a number where `--out` gives none, and writes its configuration.
    ///
    /// # Errors
    /// The folder cannot be written, or is there already and not empty.
    pub fn create(common: &Common, gpu: Gpu, name: &str, configuration: Configuration) -> Result<Self, Failure> {
        let configuration = Configuration { tuning: tuning::hash(&gpu), ..configuration };
        let folder = several::folder(common, &gpu, name, &configuration)?;
        Self::new(common, gpu, folder, configuration)
    }

    /// Makes the folder of a command other than an experiment.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn of_command(common: &Common, command: &str, gpu: &Gpu, settings: Value) -> Result<Self, Failure> {
        let (name, command) = (command, command.to_owned());
        let (seed, quick) = (common.seed, common.quick);
        Self::create(
            common,
            gpu.clone(),
            name,
            Configuration { command, seed, quick, settings, ..Configuration::default() },
        )
    }

    /// Leaves the folder to a command that keeps its own records.
    pub fn into_folder(self) -> RunFolder {
        self.folder
    }

    fn new(common: &Common, gpu: Gpu, folder: RunFolder, configuration: Configuration) -> Result<Self, Failure> {
        if let Some(warning) = software_warning(gpu.info()).filter(|_| !common.quiet) {
            crate::tell!("{warning}");
        }
        let run = Self {
            ranks: common.ranks.clone(),
            gpu,
            folder,
            configuration,
            quiet: common.quiet,
            progress: None,
            lines: Vec::new(),
            record: Record::default(),
            asked: Vec::new(),
            state: None,
            restored: None,
            saved: None,
            resumed: false,
            untouched: false,
            begun: Instant::now(),
            tensorboard: common.tensorboard && common.ranks.is_root(),
            events: None,
        };
        run.join()?;
        Ok(run)
    }

    /// Returns the adapter.
    pub fn gpu(&self) -> Gpu {
        self.gpu.clone()
    }

    /// Returns the seeds, in the order in which they are trained.
    pub fn seeds(&self) -> Vec<u32> {
        self.configuration.seeds.clone()
    }

    /// Returns `--seed`, for what all seeds of an experiment share.
    pub fn seed(&self) -> u64 {
        self.configuration.seed
    }

    /// Returns true with `--quiet`.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Begins to show the progress of `total` steps, and ends what was shown before.
    pub fn progress(&mut self, label: &str, total: u64) {
        self.end_progress();
        self.progress = Some(Progress::new(label, total, self.quiet));
    }

    /// Ends what is shown as progress.
    pub fn end_progress(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }

    /// Counts finished steps.
    pub fn advance(&mut self, steps: u64) {
        if let Some(progress) = &mut self.progress {
            progress.advance(steps);
        }
    }

    /// Counts steps that an earlier process did.
    pub fn skip(&mut self, steps: u64) {
        if let Some(progress) = &mut self.progress {
            progress.skip(steps);
        }
    }

    /// Shows a short message beside the progress, as the last loss.
    pub fn say(&mut self, message: impl Into<String>) {
        let slowest = self.slowest();
        if let Some(progress) = &mut self.progress {
            progress.say(message.into() + &slowest);
        }
    }

    /// Prints a line that stays, above the progress.
    pub fn note(&self, text: &str) {
        if let Some(progress) = &self.progress {
            progress.note(text);
        }
    }

    /// Appends a row to the log. Clocks belong here and not into checkpoints: equal runs have equal checkpoints.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn log(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        self.touch()?;
        let row = serde_json::to_value(row).map_err(Failure::run)?;
        let line = row.to_string();
        self.folder.append(LOG, &line)?;
        if self.tensorboard {
            self.append_events(&row)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Appends a row to the event file, which begins with the rows of earlier processes.
    fn append_events(&mut self, row: &Value) -> Result<(), Failure> {
        let events = match &mut self.events {
            Some(events) => events,
            none => {
                let events = none.insert(Events::create(self.folder.path())?);
                for line in &self.lines {
                    if let Ok(Value::Object(row)) = serde_json::from_str(line) {
                        events.append(&row)?;
                    }
                }
                events
            }
        };
        row.as_object().map_or(Ok(()), |row| events.append(row))
    }

    /// Returns all rows of the log, those of earlier processes first.
    ///
    /// # Errors
    /// A row is not a `T`.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, Failure> {
        let wrong = |error| Failure::Input(format!("{}: {error}", self.path().join(LOG).display()));
        self.lines.iter().map(|line| serde_json::from_str(line).map_err(wrong)).collect()
    }

    /// Does a stage of the run, `steps` of its progress, or returns the outcome of an earlier process that finished it.
    /// The checkpoint keeps the outcome. Within the stage, [`save`](Self::save) and [`restored`](Self::restored) are
    /// about this stage alone.
    ///
    /// The outcome goes through JSON in either case, so that a resumed run sees what an uninterrupted one sees: a
    /// number that is not finite must be an `Option`.
    ///
    /// # Errors
    /// Those of `work`; the folder cannot be written; the checkpoint holds another kind of outcome.
    ///
    /// # Panics
    /// A run has two stages of one name.
    pub fn stage<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        steps: u64,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        assert!(!self.asked.iter().any(|asked| asked == name), "two stages of a run are named `{name}`");
        self.asked.push(name.to_owned());
        let end = self.progress.as_ref().map_or(0, Progress::done) + steps;
        let finished = self.record.finished.iter().find(|finished| finished.stage == name);
        let outcome = match finished.map(|finished| finished.outcome.clone()) {
            Some(outcome) => outcome,
            None => {
                self.stop_if_asked()?;
                if self.record.stage.as_deref() != Some(name) {
                    self.restored = None;
                }
                self.record.stage = Some(name.to_owned());
                (self.state, self.saved) = (None, None);
                if self.record.kept {
                    // An earlier process may have saved it last, and ended before the stage did.
                    self.state = self.restored.clone();
                }
                let outcome = serde_json::to_value(work(self)?).map_err(Failure::run)?;
                self.record.finished.push(Finished { stage: name.to_owned(), outcome: outcome.clone() });
                let state = self.state.take().unwrap_or_default();
                self.write_state(state, false)?;
                outcome
            }
        };
        if let Some(progress) = &mut self.progress {
            progress.skip(end.saturating_sub(progress.done()));
        }
        let file = self.path().join(CHECKPOINT);
        serde_json::from_value(outcome)
            .map_err(|error| Failure::Input(format!("{}: outcome of `{name}`: {error}", file.display())))
    }

    /// Returns the state that an earlier process saved within this stage, once.
    pub fn restored(&mut self) -> Option<Checkpoint> {
        self.restored.take()
    }

    /// Saves the state of this stage now; the checkpoint keeps it when the stage has ended.
    ///
    /// # Errors
    /// Those of `fill`, or the folder cannot be written.
    ///
    /// # Panics
    /// `fill` sets `settings` or `record`, which are the run's own.
    pub fn save(&mut self, fill: impl FnOnce(&mut Checkpoint) -> Result<(), Failure>) -> Result<(), Failure> {
        self.state = Some(self.save_state(fill, true)?);
        Ok(())
    }

    fn save_state(
        &mut self,
        fill: impl FnOnce(&mut Checkpoint) -> Result<(), Failure>,
        kept: bool,
    ) -> Result<Checkpoint, Failure> {
        let mut state = Checkpoint::new();
        fill(&mut state)?;
        for own in ["settings", "record"] {
            assert!(state.get(own).is_err(), "`{own}` in a checkpoint is the run's own");
        }
        self.compare(&state)?;
        self.write_state(state, kept)
    }

    /// Saves the state of this stage if it has none yet, the last checkpoint is old enough, or the run is asked to stop;
    /// call it as often as you like.
    ///
    /// # Errors
    /// As [`save`](Self::save); [`Failure::Stopped`] after Ctrl-C, when the state is saved.
    pub fn save_if_due(&mut self, fill: impl FnOnce(&mut Checkpoint) -> Result<(), Failure>) -> Result<(), Failure> {
        let stopped = self.stopped()?;
        if stopped || self.is_due()? {
            self.save_state(fill, false)?;
            // The last state of a stage depends on the clock; the checkpoint of a finished stage must not.
            self.state = None;
        }
        if stopped { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Stops the run if it was asked to: between two steps of something long whose state was saved before.
    ///
    /// # Errors
    /// [`Failure::Stopped`] after Ctrl-C.
    pub fn stop_if_asked(&self) -> Result<(), Failure> {
        if self.stopped()? { Err(Failure::Stopped) } else { Ok(()) }
    }

    fn write_state(&mut self, mut state: Checkpoint, kept: bool) -> Result<Checkpoint, Failure> {
        self.touch()?;
        (self.record.lines, self.record.kept) = (self.lines.len(), kept);
        state.set("settings", serde_json::to_string(&self.configuration).map_err(Failure::run)?);
        state.set("record", serde_json::to_string(&self.record).map_err(Failure::run)?);
        self.folder.write_checkpoint(CHECKPOINT, &state)?;
        self.saved = Some(Instant::now());
        Ok(state)
    }

    /// Writes a file of the run, or replaces it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.touch()?;
        self.folder.write(name, bytes)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_json(&mut self, name: &str, value: &Value) -> Result<(), Failure> {
        self.touch()?;
        self.folder.write_json(name, value)
    }

    /// Writes rows as JSON lines.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_json_lines(&mut self, name: &str, rows: &[Value]) -> Result<(), Failure> {
        self.touch()?;
        self.folder.write_json_lines(name, rows)
    }

    /// Writes a table as CSV.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_csv(&mut self, name: &str, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.touch()?;
        self.folder.write_csv(name, header, rows)
    }

    /// Writes tensors of the run, as trained weights, to a file.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_checkpoint(&mut self, name: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.touch()?;
        self.folder.write_checkpoint(name, checkpoint)
    }

    /// Before the first write of a resumed run: removes what a killed process left half-written, and what it logged
    /// after its last checkpoint.
    fn touch(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.untouched) {
            self.folder.remove_parts();
            if self.path().join(LOG).exists() {
                let kept: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
                self.folder.write(LOG, kept.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Ends the run: writes `report.md`, `results.json` and the pictures, and returns the text for the terminal.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn publish(&mut self, report: &Report) -> Result<String, Failure> {
        self.end_progress();
        self.touch()?;
        let mut results = report.results().clone();
        results.insert("settings".into(), self.configuration.settings.clone());
        results.insert("seeds".into(), json!(self.configuration.seeds));
        results.insert("adapter".into(), adapter_json(self.gpu.info()));
        for (file, bytes) in report.pictures() {
            self.folder.write(file, bytes)?;
        }
        let adapter = format!("Adapter: {}.", describe(self.gpu.info()));
        self.folder.write(REPORT, format!("{}\n{adapter}\n", report.markdown()).as_bytes())?;
        self.end(FINISHED, report.headline())?;
        // The last file: a run that has it is finished.
        self.folder.write_json(RESULTS, &results.into())?;
        let ending = guide::ending(&self.configuration.command, Some(self.path()), report.next_command());
        Ok(format!("{}\n\n{}\n{ending}", report.terminal(), broken(&adapter, width())))
    }

    /// Returns the last lines of a command that writes no report: where the run is, and the command to try next.
    pub fn ending(&self) -> String {
        guide::ending(&self.configuration.command, Some(self.path()), None)
    }
}
