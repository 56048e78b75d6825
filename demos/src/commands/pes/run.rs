//! Trainings one after the other, resumable.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};

use super::{Settings, report};
use crate::failure::Failure;
use crate::options::Common;
use crate::pes::{Entry, Judge, Task, Trace, Training, catalogue};
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// The name of the checkpoint in a run's folder.
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Time between two checkpoints.
const BETWEEN: Duration = Duration::from_secs(5);

/// Points of which the objective is evaluated at a time.
const POINTS: usize = 16;

/// What has been done so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    finished: Vec<Trace>,
    /// The training that goes on.
    present: Option<Trace>,
}

/// A run in progress.
#[derive(Debug)]
pub struct Experiment {
    gpu: Gpu,
    folder: RunFolder,
    settings: Settings,
    task: Task,
    judge: Rc<dyn Judge>,
    record: Record,
    /// The checkpoint of a training that was interrupted.
    interrupted: Option<Checkpoint>,
}

impl Experiment {
    /// Opens the adapter, checks all input, and makes the run's folder.
    pub fn begin(common: &Common, settings: Settings) -> Result<Self, Failure> {
        let gpu = common.open(false)?;
        let task = catalogue::find(&settings.problem)?;
        let judge: Rc<dyn Judge> = task.backend.judge(&gpu, POINTS)?.into();
        // What a plan refuses is found out before the folder is made.
        for entry in &settings.entries {
            Training::new(&gpu, &task, judge.clone(), entry, settings.seeds[0].into())?;
        }
        let folder = RunFolder::create(common, "pes", &gpu, serde_json::to_value(&settings).map_err(Failure::run)?)?;
        Ok(Self { gpu, folder, settings, task, judge, record: Record::default(), interrupted: None })
    }

    /// Goes on with the run in `folder`.
    ///
    /// # Errors
    /// There is no checkpoint, it is damaged, or it is of another problem than the command line names.
    pub fn resume(common: &Common, folder: &Path, problem: Option<&str>) -> Result<Self, Failure> {
        let path = folder.join(CHECKPOINT);
        let checkpoint = Checkpoint::load(&path)?;
        let wrong = |entry: &str, error: serde_json::Error| {
            Failure::Input(format!("{}: expected {entry} of a run of `fourfold pes`, got {error}", path.display()))
        };
        let settings: Settings =
            serde_json::from_str(checkpoint.get("settings")?).map_err(|error| wrong("settings", error))?;
        let record = serde_json::from_str(checkpoint.get("record")?).map_err(|error| wrong("a record", error))?;
        if let Some(problem) = problem.filter(|&problem| problem != settings.problem) {
            let (file, has) = (path.display(), &settings.problem);
            return Err(Failure::Input(format!("{file}: expected a run on `{problem}`, got one on `{has}`")));
        }
        let gpu = common.open(false)?;
        let task = catalogue::find(&settings.problem)?;
        let judge: Rc<dyn Judge> = task.backend.judge(&gpu, POINTS)?.into();
        let folder = RunFolder::open(folder)?;
        Ok(Self { gpu, folder, settings, task, judge, record, interrupted: Some(checkpoint) })
    }

    /// Trains what is left, writes the report and prints its table.
    ///
    /// # Errors
    /// Where one estimator alone is trained, also that theta stopped being finite.
    pub fn run(mut self, common: &Common) -> Result<(), Failure> {
        let seeds = self.settings.seeds.len() as u64;
        let total = self.settings.entries.iter().map(|entry| entry.recipe.iterations as u64 * seeds).sum();
        let mut progress = Progress::new("pes", total, common.quiet);
        let trainings: Vec<(Entry, u64)> = self
            .settings
            .entries
            .iter()
            .flat_map(|entry| self.settings.seeds.iter().map(move |&seed| (entry.clone(), u64::from(seed))))
            .collect();
        let done = self.record.finished.len();
        progress.advance(trainings[..done].iter().map(|(entry, _)| entry.recipe.iterations as u64).sum());
        for (entry, seed) in &trainings[done..] {
            self.train(entry, *seed, &mut progress)?;
        }
        progress.finish();
        let text = report::write(&self.folder, &self.settings, &self.task, &self.record.finished, &self.gpu)?;
        println!("{text}");
        let diverged = self.record.finished.iter().find_map(|trace| Some((trace, trace.diverged?)));
        match diverged.filter(|_| !self.settings.comparison) {
            Some((trace, iteration)) => Err(Failure::Run(format!(
                "theta is not finite from iteration {iteration} on ({}, seed {}): a lower --rate, or --clip, may help",
                trace.entry, trace.seed
            ))),
            None => Ok(()),
        }
    }

    fn train(&mut self, entry: &Entry, seed: u64, progress: &mut Progress) -> Result<(), Failure> {
        let mut training = Training::new(&self.gpu, &self.task, self.judge.clone(), entry, seed)?;
        if let (Some(checkpoint), Some(trace)) = (self.interrupted.take(), self.record.present.take()) {
            training.restore(&checkpoint, trace)?;
            progress.advance(training.iteration() as u64);
        }
        let mut saved: Option<Instant> = None;
        while !training.finished() {
            let before = training.iteration();
            training.advance()?;
            if let Some(point) = training.trace().last() {
                let objective = report::number(point.objective);
                progress.say(format!("{} seed {seed}: {objective} at {}", entry.name, point.iteration));
            }
            progress.advance((training.iteration() - before) as u64);
            if saved.is_none_or(|saved| saved.elapsed() >= BETWEEN) && !training.finished() {
                self.record.present = Some(training.trace().clone());
                self.save(Some(&training))?;
                saved = Some(Instant::now());
            }
        }
        let skipped = entry.recipe.iterations - training.iteration();
        progress.advance(skipped as u64);
        let theta = training.theta()?;
        let mut file = Checkpoint::new();
        file.set("problem", self.task.name.as_str());
        file.insert("theta", &[theta.len()], Data::F32(theta));
        let slug: String =
            entry.name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        self.folder.write_checkpoint(&format!("theta-{slug}-{seed}.safetensors"), &file)?;
        self.record.present = None;
        self.record.finished.push(training.into_trace());
        self.save(None)
    }

    /// Writes everything that resuming needs.
    fn save(&self, training: Option<&Training>) -> Result<(), Failure> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("settings", serde_json::to_string(&self.settings).map_err(Failure::run)?);
        checkpoint.set("record", serde_json::to_string(&self.record).map_err(Failure::run)?);
        if let Some(training) = training {
            training.save(&mut checkpoint)?;
        }
        self.folder.write_checkpoint(CHECKPOINT, &checkpoint)
    }
}
