//! The images that are learned, and the sizes of the networks.

use std::path::PathBuf;

use clap::Args;
use fourfold::data::{Dataset, digits};
use fourfold::models::hyperparameters::{ImageTask, Judgement, TaskSettings};
use serde::{Deserialize, Serialize};

use crate::data_name::DataName;
use crate::failure::Failure;
use crate::limits;

/// Images, and the sizes of the networks that learn them. The experiment sets the defaults.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Images {
    /// Images; the last sixth of the training set judges, the rest is learned
    #[arg(long, value_enum, value_name = "NAME")]
    pub data: DataName,
    /// Folder with the subfolders `mnist`, `fashion-mnist`, `cifar-10-batches-bin`, `cifar-100-binary` and `svhn`
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,
    /// Average squares of so many pixels a side
    #[arg(long, value_name = "PIXELS")]
    pub pool: usize,
    /// Hidden layers
    #[arg(long, value_name = "COUNT")]
    pub layers: usize,
    /// Units of a hidden layer
    #[arg(long, value_name = "COUNT")]
    pub units: usize,
    /// Images of a minibatch
    #[arg(long, value_name = "COUNT")]
    pub batch: usize,
    /// Steps of a training, T
    #[arg(long, value_name = "STEPS")]
    pub horizon: usize,
}

impl Images {
    /// Checks the sizes.
    ///
    /// # Errors
    /// A size out of its range.
    pub fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--pool", self.pool, 1..=28),
            ("--layers", self.layers, 0..=limits::LAYERS),
            ("--units", self.units, 1..=8_192),
            ("--batch", self.batch, 1..=65_536),
            ("--horizon", self.horizon, 1..=1_000_000),
        ])?;
        limits::parameters("--layers and --units", (self.layers + 1).saturating_mul(self.units.pow(2)))
    }

    /// Lists the folder of the files, where the images have some.
    pub fn files(&self) -> Vec<PathBuf> {
        self.data.folder(&self.data_dir).into_iter().collect()
    }

    /// Reads the images and returns the task.
    ///
    /// # Errors
    /// Files that are missing or wrong, or images that cannot be pooled.
    pub fn task(&self, judgement: Judgement) -> Result<ImageTask, Failure> {
        let (training, validation) = self.sets()?;
        let settings = TaskSettings {
            hidden: vec![self.units; self.layers],
            batch: self.batch,
            horizon: self.horizon,
            judgement,
            fixed_judge: false,
        };
        Ok(ImageTask::new(training, validation, settings)?)
    }

    fn sets(&self) -> Result<(Dataset, Dataset), Failure> {
        let set = match self.data.folder(&self.data_dir) {
            None => digits(),
            Some(folder) => self.data.load(&folder, "--data digits")?.training,
        };
        let set = set.pooled(self.pool)?;
        let learned = set.len() - set.len() / 6;
        Ok((set.rows(0..learned)?, set.rows(learned..set.len())?))
    }

    /// Describes the sizes in words.
    pub fn words(&self) -> String {
        let Self { data, pool, layers, units, batch, horizon, .. } = self;
        let pooled =
            if *pool == 1 { String::new() } else { format!(" with squares of {pool} x {pool} pixels averaged") };
        format!(
            "{data}{pooled}, perceptrons of {layers} hidden layers of {units} units, minibatches of {batch}, T = {horizon} steps"
        )
    }
}
