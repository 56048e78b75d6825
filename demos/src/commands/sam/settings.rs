//! The settings of a comparison: checked, and written into its checkpoint.

use clap::{Args, FromArgMatches};
use fourfold::data::{Dataset, Split, Standardisation, digits, mnist};
use fourfold::graph::Adaptive;
use fourfold::models::{Architecture, Classifier};
use fourfold::optim::{AdamW, Ascent, Optimiser, Sam, Schedule, Sgd, WeightDecay};
use serde::{Deserialize, Serialize};

use super::{Ball, DataName, OptimiserName, Training};
use crate::Failure;
use crate::arguments::Common;
use crate::classification::{Method, Recipe};

/// Everything that decides the numbers of a comparison besides the adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    pub seeds: usize,
    pub data: DataName,
    pub data_dir: std::path::PathBuf,
    /// In the words of the command line.
    pub model: String,
    pub label_noise: f64,
    pub rho: f32,
    pub epochs: usize,
    pub batch: usize,
    pub rate: f32,
    pub optimiser: OptimiserName,
    pub momentum: f32,
    pub weight_decay: f32,
    pub decay_inside: bool,
    pub smoothing: f32,
    pub dropout: f32,
    pub clip: Option<f32>,
    pub ascent: Ball,
    pub ascent_steps: usize,
    pub chunks: usize,
    pub adaptive: bool,
    pub second_order: bool,
    pub lanczos: usize,
}

impl Settings {
    /// The settings of a command line; `--quick` trains fewer seeds for fewer epochs.
    ///
    /// # Errors
    /// A value out of its range, with the flag's name.
    pub fn new(common: &Common, training: &Training) -> Result<Self, Failure> {
        let training = training.clone();
        let (most_seeds, most_epochs) = if common.quick { (2, 10) } else { (usize::MAX, usize::MAX) };
        let settings = Self {
            seed: common.seed,
            seeds: training.seeds.min(most_seeds),
            data: training.data.unwrap_or(DataName::Digits),
            data_dir: training.data_dir,
            model: training.model.unwrap_or(Architecture::Mlp { hidden: vec![128] }).to_string(),
            label_noise: training.label_noise,
            rho: training.rho,
            epochs: training.epochs.min(most_epochs),
            batch: training.batch,
            rate: training.rate,
            optimiser: training.optimiser,
            momentum: training.momentum,
            weight_decay: training.weight_decay,
            decay_inside: training.decay_inside,
            smoothing: training.smoothing,
            dropout: training.dropout,
            clip: training.clip,
            ascent: training.ascent,
            ascent_steps: training.ascent_steps,
            chunks: training.chunks,
            adaptive: training.adaptive,
            second_order: training.second_order,
            lanczos: training.lanczos,
        };
        settings.check()?;
        Ok(settings)
    }

    /// What `fourfold sam` does without flags of its own.
    pub fn standard(common: &Common) -> Result<Self, Failure> {
        let flags = Training::augment_args(clap::Command::new("sam")).get_matches_from(["sam"]);
        Self::new(common, &Training::from_arg_matches(&flags).map_err(Failure::run)?)
    }

    fn check(&self) -> Result<(), Failure> {
        let in_range = |flag: &str, value: f64, least: f64, below: f64| {
            if (least..below).contains(&value) {
                return Ok(());
            }
            Err(Failure::Input(format!("--{flag} takes a number from {least} to less than {below}, got {value}")))
        };
        let counted = |flag: &str, value: usize| {
            if value > 0 { Ok(()) } else { Err(Failure::Input(format!("--{flag} takes a number from 1 on, got 0"))) }
        };
        in_range("label-noise", self.label_noise, 0.0, 1.0)?;
        in_range("rho", self.rho.into(), 0.0, 1e6)?;
        in_range("rate", self.rate.into(), 0.0, 1e6)?;
        in_range("momentum", self.momentum.into(), 0.0, 1.0)?;
        in_range("weight-decay", self.weight_decay.into(), 0.0, 1e6)?;
        in_range("smoothing", self.smoothing.into(), 0.0, 1.0)?;
        in_range("dropout", self.dropout.into(), 0.0, 1.0)?;
        if let Some(clip) = self.clip {
            in_range("clip", clip.into(), f64::from(f32::MIN_POSITIVE), 1e9)?;
        }
        counted("seeds", self.seeds)?;
        counted("epochs", self.epochs)?;
        counted("batch", self.batch)?;
        counted("ascent-steps", self.ascent_steps)?;
        counted("chunks", self.chunks)
    }

    /// The split with standardised images (and how they were standardised) and, in training, noisy labels. `seed`
    /// decides split and noise, so that each seed of a comparison sees other ones, and both methods the same.
    pub fn split(&self, seed: u64) -> Result<(Split, Standardisation), Failure> {
        let (mut split, standardisation) = match self.data {
            DataName::Digits => {
                let split = digits().split(0.2, seed)?;
                let standardisation = Standardisation::per_feature(&split.training);
                (split, standardisation)
            }
            DataName::Mnist | DataName::FashionMnist => {
                let name = self.data.to_string();
                let split = mnist::load(&self.data_dir.join(&name), &name)?;
                let standardisation = Standardisation::overall(&split.training);
                (split, standardisation)
            }
        };
        standardisation.apply(&mut split.training);
        standardisation.apply(&mut split.test);
        split.training.flip_labels(self.label_noise, seed);
        Ok((split, standardisation))
    }

    pub fn classifier(&self, data: &Dataset) -> Result<Classifier, Failure> {
        let architecture: Architecture = self.model.parse().map_err(Failure::input)?;
        Classifier::new(&architecture, data.image_shape(), data.classes(), self.dropout).map_err(Failure::Input)
    }

    /// The recipe of SGD (or AdamW) by itself, or of SAM around it, on `rows` training images.
    pub fn recipe(&self, sharpness_aware: bool, classifier: &Classifier, rows: usize) -> Recipe {
        let outside = if sharpness_aware && self.decay_inside { 0.0 } else { self.weight_decay };
        let count = classifier.parameters().length();
        let sam = Sam {
            ascent: match self.ascent {
                Ball::L2 => Ascent::L2,
                Ball::Linf => Ascent::LInfinity,
            },
            adaptive: self.adaptive.then_some(Adaptive { count, eta: 0.01 }),
            steps: self.ascent_steps,
            chunks: self.chunks,
            weight_decay: if self.decay_inside { WeightDecay::Inside(self.weight_decay) } else { WeightDecay::Outside },
            second_order: self.second_order,
        };
        Recipe {
            method: if sharpness_aware { Method::SharpnessAware { sam, rho: self.rho } } else { Method::Plain },
            optimiser: match self.optimiser {
                OptimiserName::Sgd => {
                    Optimiser::Sgd(Sgd { momentum: self.momentum, nesterov: true, weight_decay: outside })
                }
                OptimiserName::Adamw => Optimiser::AdamW(AdamW { weight_decay: outside, ..AdamW::default() }),
            },
            rate: self.rate,
            schedule: Schedule::Cosine { steps: self.epochs * (rows / self.batch.max(1)).max(1) },
            batch: self.batch,
            smoothing: self.smoothing,
            clip: self.clip,
        }
    }

    /// The names of the two methods in tables and files.
    pub fn method_names(&self) -> [&'static str; 2] {
        match (self.optimiser, self.adaptive) {
            (OptimiserName::Sgd, false) => ["SGD", "SAM"],
            (OptimiserName::Sgd, true) => ["SGD", "ASAM"],
            (OptimiserName::Adamw, false) => ["AdamW", "AdamW + SAM"],
            (OptimiserName::Adamw, true) => ["AdamW", "AdamW + ASAM"],
        }
    }
}
