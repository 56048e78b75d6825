//! A comparison in progress: trainings one after the other, each resumable after every epoch.

use std::path::Path;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Split, Standardisation};
use fourfold::models::{Classifier, TrainedClassifier};
use serde::{Deserialize, Serialize};

use super::report;
use super::{Settings, Training};
use crate::Failure;
use crate::arguments::Common;
use crate::classification::{Curvature, Evaluator, Trainer};
use crate::progress::Progress;
use crate::run_folder::RunFolder;
use crate::statistics::median;

/// The name of the checkpoint in a run's folder.
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Steps of one submission: far below a second on every adapter.
const BURST: usize = 64;

/// Rows on which the Hessian and the sharpness are measured.
const CURVATURE_ROWS: usize = 1000;

/// One epoch of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    pub method: String,
    pub seed: u64,
    pub epoch: usize,
    pub loss: f64,
    pub sharpened_loss: Option<f64>,
    pub test_loss: f64,
    pub test_accuracy: f64,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    pub method: String,
    pub seed: u64,
    pub test_accuracy: f64,
    pub best_test_accuracy: f64,
    /// On a subset of the training set.
    pub loss: f64,
    /// The loss at w + eps with ||eps||_2 = rho, whatever the method.
    pub sharpened_loss: f64,
    pub eigenvalues: Vec<f64>,
    pub residuals: Vec<f64>,
}

/// Milliseconds of one training step, both methods measured in turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepTimes {
    pub plain: f64,
    pub sharpness_aware: f64,
    /// The median of the ratios of neighbouring blocks.
    pub ratio: f64,
}

/// What has been done so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    epochs: Vec<EpochRow>,
    finished: Vec<Finished>,
}

/// SGD against SAM over several seeds.
#[derive(Debug)]
pub struct Comparison {
    gpu: Gpu,
    folder: RunFolder,
    settings: Settings,
    record: Record,
    /// The checkpoint of a training that was interrupted.
    interrupted: Option<Checkpoint>,
}

impl Comparison {
    /// Opens the adapter, checks all input, and makes the run's folder.
    pub fn begin(common: &Common, settings: Settings) -> Result<Self, Failure> {
        let gpu = common.open(false)?;
        // A wrong file, batch or model is found out before the folder is made.
        let (split, _) = settings.split(settings.seed)?;
        let classifier = settings.classifier(&split.training)?;
        for sharpness_aware in [false, true] {
            let recipe = settings.recipe(sharpness_aware, &classifier, split.training.len());
            Trainer::new(&gpu, &classifier, &split.training, &recipe, settings.seed)?;
        }
        let folder = RunFolder::create(common, "sam", &gpu, serde_json::to_value(&settings).map_err(Failure::run)?)?;
        Ok(Self { gpu, folder, settings, record: Record::default(), interrupted: None })
    }

    /// Goes on with the run in `folder`.
    ///
    /// # Errors
    /// There is no checkpoint, it is damaged, or it is of other data or another model than the command line names.
    pub fn resume(common: &Common, folder: &Path, training: &Training) -> Result<Self, Failure> {
        let path = folder.join(CHECKPOINT);
        let checkpoint = Checkpoint::load(&path)?;
        let wrong = |entry: &str, error: serde_json::Error| {
            Failure::Input(format!("{}: expected {entry} of a run of `fourfold sam`, got {error}", path.display()))
        };
        let settings: Settings =
            serde_json::from_str(checkpoint.get("settings")?).map_err(|error| wrong("settings", error))?;
        let record = serde_json::from_str(checkpoint.get("record")?).map_err(|error| wrong("a record", error))?;
        if let Some(model) = &training.model {
            checkpoint.expect("model", &model.to_string())?;
        }
        if let Some(asked) = training.data.filter(|&data| data != settings.data) {
            let (file, has) = (path.display(), settings.data);
            return Err(Failure::Input(format!("{file}: expected a run on `{asked}`, got one on `{has}`")));
        }
        let gpu = common.open(false)?;
        let folder = RunFolder::open(folder)?;
        Ok(Self { gpu, folder, settings, record, interrupted: Some(checkpoint) })
    }

    /// Trains what is left and writes the report; returns its table.
    pub fn run(mut self, common: &Common) -> Result<String, Failure> {
        let names = self.settings.method_names();
        let trainings = self.settings.seeds * names.len();
        let mut progress = Progress::new("sam", (trainings * self.settings.epochs) as u64, common.quiet);
        progress.advance(self.record.epochs.len() as u64);
        for index in self.record.finished.len()..trainings {
            let seed = self.settings.seed + (index / names.len()) as u64;
            self.train(names[index % names.len()], index % names.len() == 1, seed, &mut progress)?;
        }
        progress.finish();
        let times = self.step_times()?;
        report::write(&self.folder, &self.settings, &self.record.epochs, &self.record.finished, times, &self.gpu)
    }

    fn train(&mut self, name: &str, sharpness_aware: bool, seed: u64, progress: &mut Progress) -> Result<(), Failure> {
        let (split, standardisation) = self.settings.split(seed)?;
        let classifier = self.settings.classifier(&split.training)?;
        let recipe = self.settings.recipe(sharpness_aware, &classifier, split.training.len());
        let mut trainer = Trainer::new(&self.gpu, &classifier, &split.training, &recipe, seed)?;
        if let Some(checkpoint) = self.interrupted.take()
            && self.record.epochs.last().is_some_and(|row| row.method == name && row.seed == seed)
        {
            trainer.restore(&checkpoint, "training.")?;
        }
        let weights = trainer.session().buffer("weights")?;
        let mut evaluator = Evaluator::new(&self.gpu, &classifier, &split.test, weights)?;
        while trainer.epoch() < self.settings.epochs {
            let losses = trainer.run_epoch(BURST)?;
            let score = evaluator.score()?;
            progress.say(format!("{name} seed {seed}: loss {:.3}, test {:.1} %", losses.loss, 100.0 * score.accuracy));
            progress.advance(1);
            self.record.epochs.push(EpochRow {
                method: name.into(),
                seed,
                epoch: trainer.epoch(),
                loss: losses.loss,
                sharpened_loss: losses.sharpened,
                test_loss: score.loss,
                test_accuracy: score.accuracy,
            });
            self.save(&mut trainer)?;
        }
        let finished = self.judge(name, seed, &split, &classifier, &mut trainer)?;
        self.record.finished.push(finished);
        self.save_model(name, seed, classifier, standardisation, &mut trainer)?;
        self.save(&mut trainer)
    }

    fn judge(
        &self,
        name: &str,
        seed: u64,
        split: &Split,
        classifier: &Classifier,
        trainer: &mut Trainer,
    ) -> Result<Finished, Failure> {
        let subset = split.training.truncated(CURVATURE_ROWS);
        let weights = trainer.session().buffer("weights")?;
        let mut curvature = Curvature::new(&self.gpu, classifier, &subset, self.settings.rho, weights)?;
        let (loss, sharpened_loss) = curvature.losses()?;
        let (mut eigenvalues, mut residuals) = (Vec::new(), Vec::new());
        if self.settings.lanczos > 0 {
            let spectrum = curvature.spectrum(5, self.settings.lanczos, seed as u32)?;
            (eigenvalues, residuals) = (spectrum.eigenvalues, spectrum.residuals);
        }
        let rows = self.record.epochs.iter().filter(|row| row.method == name && row.seed == seed);
        let accuracies: Vec<f64> = rows.map(|row| row.test_accuracy).collect();
        Ok(Finished {
            method: name.into(),
            seed,
            test_accuracy: accuracies.last().copied().unwrap_or(f64::NAN),
            best_test_accuracy: accuracies.iter().copied().fold(0.0, f64::max),
            loss,
            sharpened_loss,
            eigenvalues,
            residuals,
        })
    }

    /// Writes everything that resuming needs.
    fn save(&self, trainer: &mut Trainer) -> Result<(), Failure> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("model", self.settings.model.as_str());
        checkpoint.set("settings", serde_json::to_string(&self.settings).map_err(Failure::run)?);
        checkpoint.set("record", serde_json::to_string(&self.record).map_err(Failure::run)?);
        trainer.save(&mut checkpoint, "training.")?;
        self.folder.write_checkpoint(CHECKPOINT, &checkpoint)
    }

    /// Writes the trained network by itself, for whoever wants to use it.
    fn save_model(
        &self,
        name: &str,
        seed: u64,
        classifier: Classifier,
        standardisation: Standardisation,
        trainer: &mut Trainer,
    ) -> Result<(), Failure> {
        let trained = TrainedClassifier { classifier, weights: trainer.weights()?, standardisation };
        let method = name.to_lowercase().replace(" + ", "-");
        self.folder.write_checkpoint(&format!("{method}-{seed}.safetensors"), &trained.to_checkpoint())
    }

    /// Times blocks of steps of both methods in turn, so that both see the same background.
    fn step_times(&self) -> Result<StepTimes, Failure> {
        const ROUNDS: usize = 9;
        let (split, _) = self.settings.split(self.settings.seed)?;
        let classifier = self.settings.classifier(&split.training)?;
        let trainer = |sharpness_aware| {
            let recipe = self.settings.recipe(sharpness_aware, &classifier, split.training.len());
            let mut trainer = Trainer::new(&self.gpu, &classifier, &split.training, &recipe, self.settings.seed)?;
            // The first steps compile.
            trainer.run_steps(1)?;
            Ok::<_, Failure>(trainer)
        };
        let (mut plain, mut aware) = (trainer(false)?, trainer(true)?);
        // Enough steps for a block of about 50 ms.
        let begun = Instant::now();
        plain.run_steps(4)?;
        let steps = (Duration::from_millis(50).as_secs_f64() / (begun.elapsed().as_secs_f64() / 4.0)).clamp(1.0, 500.0)
            as usize;
        let time = |trainer: &mut Trainer| {
            let begun = Instant::now();
            trainer.run_steps(steps)?;
            Ok::<_, Failure>(begun.elapsed().as_secs_f64() * 1e3 / steps as f64)
        };
        let (mut plains, mut awares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (a, b) = (time(&mut plain)?, time(&mut aware)?);
            plains.push(a);
            awares.push(b);
            ratios.push(b / a);
        }
        Ok(StepTimes { plain: median(&plains), sharpness_aware: median(&awares), ratio: median(&ratios) })
    }
}
