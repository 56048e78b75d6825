//! One training, resumable after every epoch, and the evaluation of its result.

use std::time::{Duration, Instant};

use fourfold::data::Standardisation;
use fourfold::models::{Classifier, TrainedClassifier};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::curvature::Curvature;
use super::evaluation::Evaluator;
use super::methods::Images;
use super::trainer::{RunningFrom, Trainer};
use super::variation::Arm;
use crate::failure::Failure;
use crate::ranks::Ranks;
use crate::run::Run;
use crate::statistics::{extremes, median};

/// Steps of one submission: far below a second on every adapter.
const BURST: usize = 64;

/// One epoch of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    pub method: String,
    pub seed: u64,
    pub epoch: usize,
    pub loss: f64,
    pub sharpened_loss: Option<f64>,
    /// Where the epoch was tested.
    pub test_loss: Option<f64>,
    pub test_accuracy: Option<f64>,
    /// On the images that were held back, with their given labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    pub method: String,
    pub seed: u64,
    pub test_accuracy: f64,
    pub best_test_accuracy: f64,
    /// The accuracy on the held-back images after the last epoch.
    pub validation_accuracy: Option<f64>,
    /// The test accuracy after the epoch that was best on them.
    pub test_accuracy_of_best_validation: Option<f64>,
    /// The share of the given labels of the training images, right or wrong, that the network gives.
    pub training_accuracy: f64,
    /// On a subset of the training set.
    pub loss: f64,
    /// The loss at w + eps with ||eps||_2 = rho, whatever the method.
    pub sharpened_loss: f64,
    pub eigenvalues: Vec<f64>,
    pub residuals: Vec<f64>,
    /// Eigenvalues and their shares of all: the density of the spectrum.
    pub density: Vec<[f64; 2]>,
}

/// Milliseconds of a plain training step, and how many times that a sharpness-aware one takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepTimes {
    pub plain: f64,
    /// The median of the ratios of neighbouring blocks, sharpness-aware steps to plain ones.
    pub ratio: f64,
    pub least: f64,
    pub most: f64,
}

/// Trains a classifier and judges it.
pub fn train(run: &mut Run, arm: &Arm, seed: u64) -> Result<Finished, Failure> {
    let (settings, name) = (&arm.settings, &arm.name);
    let images = settings.images(seed)?;
    let classifier = settings.classifier(&images.training)?;
    let rows = images.training.len();
    let recipe = settings.recipe(arm.sharpness_aware, &classifier, &images.standardisation, rows);
    let mut trainer = Trainer::new(&run.gpu(), run.ranks(), &classifier, &images.training, &recipe, seed)?;
    if let Some(checkpoint) = run.restored() {
        trainer.restore(&checkpoint, "training.")?;
        run.skip(trainer.epoch() as u64);
    } else if let Some(file) = &settings.start {
        let [weights, statistics] = classifier.load_state(file)?;
        trainer.begin_with(&weights, &statistics)?;
    }
    let gpu = run.gpu();
    let network = trainer.network()?;
    let mut tested = Evaluator::new(&gpu, &classifier, &images.test, &network)?;
    let held_back = images.validation.as_ref().map(|set| Evaluator::new(&gpu, &classifier, set, &network));
    let mut held_back = held_back.transpose()?;
    while trainer.epoch() < settings.epochs {
        let losses = trainer.run_epoch(BURST)?;
        if trainer.epoch() == settings.epochs && settings.running_from == RunningFrom::Recalculated {
            trainer.recalculate(&classifier, &images.training)?;
        }
        let is_tested = trainer.epoch() == settings.epochs || trainer.epoch().is_multiple_of(settings.test_every);
        let score = if is_tested { Some(tested.score()?) } else { None };
        let held_back = held_back.as_mut().filter(|_| is_tested).map(Evaluator::score).transpose()?;
        let test = score.map_or(String::new(), |score| format!(", test {:.1} %", 100.0 * score.accuracy));
        run.say(format!("{name} seed {seed}: loss {:.3}{test}", losses.loss));
        run.advance(1);
        run.log(&EpochRow {
            method: name.clone(),
            seed,
            epoch: trainer.epoch(),
            loss: losses.loss,
            sharpened_loss: losses.sharpened,
            test_loss: score.map(|score| score.loss),
            test_accuracy: score.map(|score| score.accuracy),
            validation_accuracy: held_back.map(|score| score.accuracy),
        })?;
        run.save(|checkpoint| trainer.save(checkpoint, "training."))?;
        run.stop_if_asked()?;
    }
    let finished = judge(run, arm, seed, &images, &classifier, &mut trainer)?;
    save_model(run, name, seed, classifier, images.standardisation, &mut trainer)?;
    Ok(finished)
}

fn judge(
    run: &mut Run,
    arm: &Arm,
    seed: u64,
    images: &Images,
    classifier: &Classifier,
    trainer: &mut Trainer,
) -> Result<Finished, Failure> {
    let (settings, name) = (&arm.settings, &arm.name);
    let (gpu, network) = (run.gpu(), trainer.network()?);
    let training_accuracy = Evaluator::new(&gpu, classifier, &images.training, &network)?.score()?.accuracy;
    let subset = images.training.truncated(settings.curvature_images);
    let mut curvature = Curvature::new(&gpu, classifier, &subset, settings.rho, settings.curvature_norm, &network)?;
    run.say(format!("{name} seed {seed}: curvature of the loss"));
    let (loss, sharpened_loss) = curvature.losses()?;
    let (mut eigenvalues, mut residuals, mut density) = (Vec::new(), Vec::new(), Vec::new());
    if settings.lanczos > 0 {
        let spectrum = curvature.spectrum(5, settings.lanczos, seed as u32, || run.stop_if_asked())?;
        (eigenvalues, residuals) = (spectrum.eigenvalues, spectrum.residuals);
    }
    if settings.density > 0 {
        run.say(format!("{name} seed {seed}: density of the spectrum"));
        density = curvature.density(settings.density, settings.lanczos, seed as u32, || run.stop_if_asked())?;
    }
    let rows: Vec<EpochRow> = run.rows()?;
    let rows: Vec<&EpochRow> = rows.iter().filter(|row| row.method == *name && row.seed == seed).collect();
    let accuracies: Vec<f64> = rows.iter().filter_map(|row| row.test_accuracy).collect();
    let held_back: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| Some((row.validation_accuracy?, row.test_accuracy?))).collect();
    // The first of several that are equally good.
    let best = held_back.iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
    Ok(Finished {
        method: name.clone(),
        seed,
        test_accuracy: accuracies.last().copied().unwrap_or(f64::NAN),
        best_test_accuracy: accuracies.iter().copied().fold(0.0, f64::max),
        validation_accuracy: held_back.last().map(|last| last.0),
        test_accuracy_of_best_validation: best.map(|best| best.1),
        training_accuracy,
        loss,
        sharpened_loss,
        eigenvalues,
        residuals,
        density,
    })
}

/// Writes the trained network by itself, for use elsewhere.
fn save_model(
    run: &mut Run,
    name: &str,
    seed: u64,
    classifier: Classifier,
    standardisation: Standardisation,
    trainer: &mut Trainer,
) -> Result<(), Failure> {
    let [weights, statistics] = trainer.weights_and_statistics()?;
    let trained = TrainedClassifier { classifier, weights, statistics, standardisation };
    let method = name.to_lowercase().replace(" + ", "-").replace(", ", "-").replace(' ', "-");
    let mut file = trained.to_checkpoint();
    // Decides the images that were held back.
    file.set("seed", seed.to_string());
    run.write_checkpoint(&format!("{method}-{seed}.safetensors"), &file)
}

/// Times blocks of steps of both methods in turn, whole ones on this rank, so that both see the same background.
pub fn step_times(run: &Run, settings: &Settings, seed: u64) -> Result<StepTimes, Failure> {
    const ROUNDS: usize = 9;
    let Images { training, standardisation, .. } = settings.images(seed)?;
    let classifier = settings.classifier(&training)?;
    let trainer = |sharpness_aware| {
        let recipe = settings.recipe(sharpness_aware, &classifier, &standardisation, training.len());
        let mut trainer = Trainer::new(&run.gpu(), &Ranks::default(), &classifier, &training, &recipe, seed)?;
        // The first steps compile.
        trainer.run_steps(1)?;
        Ok::<_, Failure>(trainer)
    };
    let (mut plain, mut aware) = (trainer(false)?, trainer(true)?);
    // Enough steps for a block of about 50 ms.
    let begun = Instant::now();
    plain.run_steps(4)?;
    let steps =
        (Duration::from_millis(50).as_secs_f64() / (begun.elapsed().as_secs_f64() / 4.0)).clamp(1.0, 500.0) as usize;
    let time = |trainer: &mut Trainer| {
        let begun = Instant::now();
        trainer.run_steps(steps)?;
        Ok::<_, Failure>(begun.elapsed().as_secs_f64() * 1e3 / steps as f64)
    };
    let (mut plains, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (time(&mut plain)?, time(&mut aware)?);
        plains.push(a);
        ratios.push(b / a);
    }
    let (least, most) = extremes(&ratios);
    Ok(StepTimes { plain: median(&plains), ratio: median(&ratios), least, most })
}
