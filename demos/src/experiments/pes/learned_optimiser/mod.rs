//! `fourfold pes learned-optimiser`: an optimiser, trained through truncated unrolls on images of clothes, beside tuned
//! SGD and Adam.

mod contest;
mod meta_training;
mod report;

use std::path::PathBuf;

use clap::Args;
use fourfold::data::{Dataset, digits};
use fourfold::evolution::Estimator;
use fourfold::models::hyperparameters::{ImageTask, Judgement, TaskSettings};
use fourfold::models::learned_optimiser::{LearnedOptimiser, TrainedOptimiser};
use serde::{Deserialize, Serialize};

use crate::data_name::DataName;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;
use contest::Contest;

/// Train an optimiser by PES and by truncated ES, and compare both with tuned SGD and Adam
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Outer iterations
    #[arg(long, value_name = "COUNT", default_value_t = 400)]
    pub iterations: usize,
    /// Inner steps of an unroll
    #[arg(long, value_name = "STEPS", default_value_t = 20)]
    pub truncation: usize,
    /// Inner steps of an episode
    #[arg(long, value_name = "STEPS", default_value_t = 200)]
    pub horizon: usize,
    /// Images of an inner minibatch
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub batch: usize,
    /// Antithetic particles, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub particles: usize,
    /// Chunks of particles, each at its own inner time
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub chunks: usize,
    /// Standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.01)]
    pub sigma: f32,
    /// Learning rate of Adam, which trains the optimiser
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-2)]
    pub rate: f32,
    /// Decay of Adam's first moment
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.9)]
    pub beta1: f64,
    /// Hidden units of the optimiser
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub hidden: usize,
    /// Scale of its steps: 0.001 in the literature
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-2)]
    pub direction: f32,
    /// Held-out episodes averaged at each point of the learning curves
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub episodes: usize,
    /// Inner steps of the contests beyond the trained horizon
    #[arg(long, value_name = "STEPS", default_value_t = 1_000)]
    pub long: usize,
    /// Folder with the subfolders `mnist` and `fashion-mnist`
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,
    /// Learn on the embedded digits, without files
    #[arg(long)]
    pub digits: bool,
    /// Train nothing; load the optimiser from this file
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

impl Experiment for Settings {
    const NAME: &'static str = "pes learned-optimiser";
    /// Seeds of the contests: the training has `--seed`.
    const SEEDS: Option<&'static str> = Some("5");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("seeds", "2"),
        ("iterations", "6"),
        ("horizon", "40"),
        ("particles", "4"),
        ("episodes", "1"),
        ("long", "60"),
    ];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("data_dir", "digits", &["false"])];

    fn inputs(&self) -> Vec<PathBuf> {
        let images =
            [DataName::FashionMnist, DataName::Mnist].map(|data| data.folder(&self.data_dir)).into_iter().flatten();
        self.weights.iter().cloned().chain(images.filter(|_| !self.digits)).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--iterations", self.iterations, 1..=limits::STEPS),
            ("--truncation", self.truncation, 1..=limits::STEPS),
            ("--horizon", self.horizon, 1..=1_000_000),
            ("--batch", self.batch, 1..=65_536),
            ("--chunks", self.chunks, 1..=limits::STEPS),
            ("--episodes", self.episodes, 1..=65_536),
            ("--long", self.long, 1..=1_000_000),
            ("--hidden", self.hidden, 1..=1_024),
        ])?;
        limits::pairs("--particles", self.particles)?;
        limits::numbers([
            ("--sigma", self.sigma.into(), limits::SIGMA),
            ("--direction", self.direction.into(), Span::above(0.0, 1e6)),
            ("--rate", self.rate.into(), limits::RATE),
            ("--beta1", self.beta1, Span::below(0.0, 1.0)),
        ])?;
        self.loaded()?;
        self.contests().map(|_| ())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let loaded = self.loaded()?;
        let mut learned: Vec<_> = loaded.iter().map(|loaded| ("learned".to_owned(), loaded.clone())).collect();
        let mut curves = Vec::new();
        if loaded.is_none() {
            run.progress("meta-training", 2 * self.iterations as u64);
            for (name, estimator) in [("PES", Estimator::PES), ("truncated ES", Estimator::TRUNCATED_ES)] {
                let train = |run: &mut Run| meta_training::train(run, name, estimator, self);
                let curve = run.stage(name, self.iterations as u64, train)?;
                let trained = TrainedOptimiser { optimiser: self.optimiser(), theta: curve.theta.clone() };
                let file = format!("{}.safetensors", name.to_lowercase().replace(' ', "-"));
                run.write_checkpoint(&file, &trained.to_checkpoint())?;
                learned.push((format!("learned by {name}"), trained));
                curves.push(curve);
            }
        }
        let (contests, seeds) = (self.contests()?, run.seeds());
        run.progress("contests", (contests.len() * Contest::STAGES) as u64);
        let outcomes: Result<Vec<_>, Failure> =
            contests.iter().map(|contest| contest.run(run, self, &learned, &seeds)).collect();
        report::report(self, run.seed(), seeds.len(), &curves, &outcomes?)
    }
}

/// Pixels of an image, each way.
const SIDE: usize = 8;

impl Settings {
    fn optimiser(&self) -> LearnedOptimiser {
        LearnedOptimiser { hidden: self.hidden, direction: self.direction, ..LearnedOptimiser::default() }
    }

    /// Loads the optimiser of `--weights`.
    fn loaded(&self) -> Result<Option<TrainedOptimiser>, Failure> {
        let Some(file) = &self.weights else { return Ok(None) };
        Ok(Some(TrainedOptimiser::load(file)?))
    }

    /// Reads the task that the optimiser is trained on: a hidden layer of 32.
    fn trained_on(&self) -> Result<ImageTask, Failure> {
        self.task(self.images(DataName::FashionMnist)?, &[32], self.horizon)
    }

    /// Lists the contests: on the task that the optimiser was trained on, on that for longer, and on networks and images
    /// that it has not seen.
    fn contests(&self) -> Result<Vec<Contest>, Failure> {
        let clothes = self.images(DataName::FashionMnist)?;
        let contest = |name: &str, about: String, images: Dataset, hidden, steps| -> Result<Contest, Failure> {
            let task = self.task(images.clone(), hidden, steps)?;
            let widths: Vec<_> = task.widths().iter().map(usize::to_string).collect();
            let about = format!("{about}, perceptron {}, {steps} steps", widths.join("-"));
            Ok(Contest { name: name.into(), about, images, hidden, steps })
        };
        let seen = if self.digits { "digits" } else { "Fashion-MNIST at 8x8" };
        let other = if self.digits { "digits" } else { "MNIST at 8x8" };
        Ok(vec![
            contest("trained", format!("as trained: {seen}"), clothes.clone(), &[32], self.horizon)?,
            contest("longer", format!("a longer horizon: {seen}"), clothes, &[32], self.long)?,
            contest(
                "unseen",
                format!("an unseen problem: {other}"),
                self.images(DataName::Mnist)?,
                &[48, 24],
                self.long,
            )?,
        ])
    }

    fn images(&self, data: DataName) -> Result<Dataset, Failure> {
        match data.folder(&self.data_dir).filter(|_| !self.digits) {
            None => Ok(digits()),
            Some(folder) => Ok(data.load(&folder, "--digits")?.training.resized([SIDE, SIDE])?),
        }
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
        let single = set.truncated(1);
        Ok(ImageTask::new(set, single, settings)?)
    }
}
