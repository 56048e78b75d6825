//! A learned optimiser, trained through truncated unrolls on images of clothes, and held against tuned rivals.

mod contest;
mod meta_training;

use std::path::PathBuf;

use fourfold::data::{Dataset, digits, mnist};
use fourfold::models::hyperparameters::{ImageTask, Judgement, TaskSettings};
use fourfold::models::learned_optimiser::LearnedOptimiser;
use serde::{Deserialize, Serialize};

pub use contest::{Competitor, Contest, Grid, Outcome};
pub use meta_training::{MetaTraining, Point};

use crate::failure::Failure;

/// What decides an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    /// Where the folders `fashion-mnist` and `mnist` lie.
    pub data_dir: PathBuf,
    /// Learn on the embedded digits, for which no file is needed, in place of the two.
    pub digits_alone: bool,
    /// Hidden units of the optimiser.
    pub hidden: usize,
    /// The scale of its directions.
    pub direction: f32,
    /// Images of an inner minibatch.
    pub batch: usize,
    /// Inner steps of an episode.
    pub horizon: usize,
    /// Inner steps of an unroll.
    pub truncation: usize,
    pub particles: usize,
    /// Chunks of particles, each at an inner time of its own.
    pub chunks: usize,
    pub sigma: f32,
    /// Adam's rate.
    pub rate: f32,
    pub beta1: f64,
    pub iterations: usize,
    /// Held-out episodes behind each point of the curves.
    pub episodes: usize,
    /// Seeds of each contest.
    pub seeds: usize,
    /// Inner steps of contests beyond the trained horizon.
    pub long: usize,
}

/// Pixels of an image, each way.
const SIDE: usize = 8;

impl Settings {
    pub fn optimiser(&self) -> LearnedOptimiser {
        LearnedOptimiser { hidden: self.hidden, direction: self.direction, ..LearnedOptimiser::default() }
    }

    /// The task that the optimiser is trained on: a hidden layer of 32.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn trained_on(&self) -> Result<ImageTask, Failure> {
        self.task(self.images("fashion-mnist")?, &[32], self.horizon)
    }

    /// What it competes on: the task that it was trained on, that for longer, and networks and images that it has not
    /// seen.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn contests(&self) -> Result<Vec<Contest>, Failure> {
        let clothes = self.images("fashion-mnist")?;
        let contest = |name: &str, about: String, set: Dataset, hidden: &[usize], steps| -> Result<Contest, Failure> {
            let task = self.task(set, hidden, steps)?;
            let widths: Vec<_> = task.widths().iter().map(usize::to_string).collect();
            let about = format!("{about}, perceptron {}, {steps} steps", widths.join("-"));
            Ok(Contest { name: name.into(), about, task: Box::new(task) })
        };
        let seen = if self.digits_alone { "digits" } else { "Fashion-MNIST at 8x8" };
        let other = if self.digits_alone { "digits" } else { "MNIST at 8x8" };
        Ok(vec![
            contest("trained", format!("as trained: {seen}"), clothes.clone(), &[32], self.horizon)?,
            contest("longer", format!("a longer horizon: {seen}"), clothes, &[32], self.long)?,
            contest("unseen", format!("an unseen problem: {other}"), self.images("mnist")?, &[48, 24], self.long)?,
        ])
    }

    fn images(&self, name: &str) -> Result<Dataset, Failure> {
        if self.digits_alone {
            return Ok(digits());
        }
        let set = mnist::load(&self.data_dir.join(name), name)?.training;
        Ok(set.resized([SIDE, SIDE])?)
    }

    fn task(&self, set: Dataset, hidden: &[usize], horizon: usize) -> Result<ImageTask, Failure> {
        let settings = TaskSettings {
            hidden: hidden.to_vec(),
            batch: self.batch,
            horizon,
            judgement: Judgement::TrainingLoss,
            fixed_judge: false,
        };
        // Only training images are ever drawn.
        let few = set.truncated(1);
        Ok(ImageTask::new(set, few, settings)?)
    }
}
