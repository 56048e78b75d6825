//! `fourfold sam`: SGD against sharpness-aware minimisation on images.

mod chunk_mean;
mod curvature;
mod density;
mod evaluation;
mod methods;
mod own_chunks;
mod presets;
mod report;
mod step;
mod study;
pub(crate) mod trainer;
mod training;
pub(crate) mod variant;
mod variation;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use curvature::CurvatureNorm;
use fourfold::data::Dataset;
use fourfold::models::Architecture;
use serde::{Deserialize, Serialize};
use trainer::RunningFrom;
use variant::{AdaptiveOn, Augment, Augmentation, Border, HoleOf, Perturb};
use variation::Variation;

use crate::data_name::DataName;
use crate::experiment::{Experiment, NamedPreset};
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;

/// Train a classifier with SGD and with SAM, over several seeds, and compare accuracy and flatness
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Images; digits are built in
    #[arg(long, value_enum, default_value_t = DataName::Digits)]
    pub data: DataName,
    /// Folder with the subfolders `mnist`, `fashion-mnist`, `cifar-10-batches-bin`, `cifar-100-binary` and `svhn`
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,
    /// Train on the first images of the training set alone
    #[arg(long, value_name = "COUNT")]
    pub images: Option<usize>,
    /// Hold back so many training images, behind those that are trained on, and choose among settings by them
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    #[serde(default)]
    pub validation: usize,
    /// Network: `mlp:256,128` (hidden widths), `vit`, `cnn`, `resnet:20` (layers), `wrn:16,4` (layers, widening; `wrn-conv:` and `wrn-same:` are other
    /// forms) or `pyramidnet:272,200` (layers, alpha)
    #[arg(long, value_name = "NAME", default_value = "mlp:128", value_parser = architecture)]
    pub model: String,
    /// Begin with the weights in this file: a classifier trained here, or a state_dict of PyTorch as safetensors
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// Augmentation of training images, the same in both passes of SAM
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    #[serde(default)]
    pub augment: Augment,
    /// The pixels beyond the border of an image that is moved
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    #[serde(default)]
    pub border: Border,
    /// Images that have the hole of cutout at the same place
    #[arg(long, value_enum, value_name = "IMAGES", default_value_t)]
    #[serde(default)]
    pub hole_of: HoleOf,
    /// Share of wrong training labels
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub label_noise: f64,
    /// Radius of SAM's ball
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.05)]
    pub rho: f32,
    /// Passes over the training set
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    pub epochs: usize,
    /// Batch size
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// Initial learning rate; it falls to 0 along half a cosine
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.1)]
    pub rate: f32,
    /// Optimiser
    #[arg(long, value_enum, default_value_t = OptimiserName::Sgd)]
    pub optimiser: OptimiserName,
    /// Nesterov momentum of SGD
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.9)]
    pub momentum: f32,
    /// Weight decay, outside SAM's maximum
    #[arg(long, allow_negative_numbers = true, default_value_t = 5e-4)]
    pub weight_decay: f32,
    /// Add weight decay to the loss that SAM maximises, as in the authors' code
    #[arg(long)]
    pub decay_inside: bool,
    /// Label smoothing
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub smoothing: f32,
    /// Dropout of the transformer
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// Clip the final gradient to this norm
    #[arg(long, allow_negative_numbers = true, value_name = "NORM")]
    pub clip: Option<f32>,
    /// Norm of the ball
    #[arg(long, value_enum, default_value_t = Ball::L2)]
    pub ascent: Ball,
    /// Ascent steps, each projected back onto the ball
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub ascent_steps: usize,
    /// Parameters that the ascent moves
    #[arg(long, value_enum, value_name = "PARAMETERS", default_value_t)]
    #[serde(default)]
    pub perturb: Perturb,
    /// m-sharpness: chunks of a batch, each with an ascent and batch norm of its own; SGD has the same chunks. Several ranks share
    /// them out
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub chunks: usize,
    /// Synchronised batch norm: normalise every chunk by the statistics of the whole batch
    #[arg(long)]
    #[serde(default)]
    pub sync_batch_norm: bool,
    /// Adaptive SAM: scale the perturbation with the weights (try --rho 0.5)
    #[arg(long)]
    pub adaptive: bool,
    /// Parameters whose perturbation --adaptive scales
    #[arg(long, value_enum, value_name = "PARAMETERS", default_value_t)]
    #[serde(default)]
    pub adaptive_on: AdaptiveOn,
    /// Keep the second-order term that the paper drops
    #[arg(long)]
    pub second_order: bool,
    /// Passes that move the running statistics of batch norm
    #[arg(long, value_enum, value_name = "PASSES", default_value_t = RunningFrom::First)]
    #[serde(default = "first_pass")]
    pub running_from: RunningFrom,
    /// Test after every so many epochs, and after the last
    #[arg(long, value_name = "EPOCHS", default_value_t = 1)]
    #[serde(default = "every_epoch")]
    pub test_every: usize,
    /// Lanczos steps for the largest Hessian eigenvalues; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    pub lanczos: usize,
    /// Random starts of the spectral density of the Hessian, each with so many Lanczos steps; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    #[serde(default)]
    pub density: usize,
    /// Training images on which losses and the Hessian are measured
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    #[serde(default = "thousand")]
    pub curvature_images: usize,
    /// Batch norm there
    #[arg(long, value_enum, value_name = "STATISTICS", default_value_t)]
    #[serde(default)]
    pub curvature_norm: CurvatureNorm,
    /// Train with each value of a flag: `rho=0.05,0.1`; of several flags, with each combination
    #[arg(long, value_name = "FLAG=VALUES", value_delimiter = ' ')]
    #[serde(default)]
    pub vary: Vec<Variation>,
    /// Also train without SAM for twice the epochs, which cost what SAM costs
    #[arg(long)]
    #[serde(default)]
    pub double_sgd: bool,
}

impl Experiment for Settings {
    const NAME: &'static str = "sam";
    const SEEDS: Option<&'static str> = Some("5");
    const RANKS: bool = true;
    const QUICK: &'static [(&'static str, &'static str)] = &[("seeds", "2"), ("epochs", "10")];
    const QUICK_IF: &'static [(&'static str, &'static str, &'static str, &'static str)] = &[
        ("seeds", "model", "vit", "1"),
        ("epochs", "model", "vit", "2"),
        ("lanczos", "model", "vit", "0"),
        ("lanczos", "model", "cnn", "0"),
    ];

    const PRESETS: &'static [NamedPreset] = presets::PRESETS;

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] = &[
        ("data_dir", "data", DataName::WITH_FILES),
        ("border", "augment", &["crop-flip", "crop-flip-cutout"]),
        ("hole_of", "augment", &["crop-flip-cutout"]),
        ("adaptive_on", "adaptive", &["true"]),
        ("momentum", "optimiser", &["sgd"]),
        ("dropout", "model", &["vit"]),
    ];

    fn inputs(&self) -> Vec<PathBuf> {
        self.data.folder(&self.data_dir).into_iter().chain(self.start.clone()).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        self.check_numbers()?;
        let arms = self.arms()?;
        arms.iter().try_for_each(|arm| arm.settings.check_numbers())?;
        let images = self.images(0)?;
        // Both methods of a point have its settings.
        let mut points: Vec<&Self> = arms.iter().map(|arm| &arm.settings).collect();
        points.dedup();
        points.into_iter().try_for_each(|settings| settings.check_network(&images.training))
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let (seeds, arms) = (run.seeds(), self.arms()?);
        let divisible = arms.iter().try_for_each(|arm| arm.settings.check_ranks(run.ranks().size()));
        run.ranks().agreed(divisible)?;
        let mut finished = Vec::new();
        let epochs: usize = arms.iter().map(|arm| arm.settings.epochs).sum();
        run.progress("sam", (seeds.len() * epochs) as u64);
        for &seed in &seeds {
            for arm in &arms {
                let stage = format!("{}, seed {seed}", arm.name);
                let train = |run: &mut Run| training::train(run, arm, seed.into());
                finished.push(run.stage(&stage, arm.settings.epochs as u64, train)?);
            }
        }
        if self.is_study() {
            return study::report(self, &arms, &seeds, &run.rows()?, &finished);
        }
        let times = training::step_times(run, self, seeds[0].into())?;
        report::report(self, &seeds, &run.rows()?, &finished, times)
    }
}

impl Settings {
    fn check_numbers(&self) -> Result<(), Failure> {
        limits::numbers([
            ("--label-noise", self.label_noise, Span::below(0.0, 1.0)),
            ("--rho", self.rho.into(), Span::within(0.0, 1e6)),
            ("--rate", self.rate.into(), limits::RATE),
            ("--momentum", self.momentum.into(), Span::below(0.0, 1.0)),
            ("--weight-decay", self.weight_decay.into(), Span::within(0.0, 1e6)),
            ("--smoothing", self.smoothing.into(), Span::below(0.0, 1.0)),
            ("--dropout", self.dropout.into(), Span::below(0.0, 1.0)),
            ("--clip", self.clip.unwrap_or(1.0).into(), Span::above(0.0, 1e9)),
        ])?;
        limits::counts([
            ("--epochs", self.epochs, 1..=1_000_000),
            ("--images", self.images.unwrap_or(1), 1..=1_000_000_000),
            ("--ascent-steps", self.ascent_steps, 1..=limits::LAYERS),
            ("--lanczos", self.lanczos, 0..=1_000),
            ("--density", self.density, 0..=1_000),
            ("--curvature-images", self.curvature_images, 1..=1_000_000),
            ("--test-every", self.test_every, 1..=1_000_000),
        ])?;
        if self.density > 0 && self.lanczos == 0 {
            return Err(Failure::input("--density: expected --lanczos of at least 1, the steps of each start, got 0"));
        }
        Ok(())
    }

    /// Checks that each rank has a chunk of every batch.
    fn check_ranks(&self, ranks: usize) -> Result<(), Failure> {
        if ranks > self.chunks {
            return Err(Failure::Input(format!(
                "--chunks: expected at least {ranks}, a chunk of each batch for each rank, got {}",
                self.chunks
            )));
        }
        Ok(())
    }

    /// Checks what depends on the training images.
    fn check_network(&self, training: &Dataset) -> Result<(), Failure> {
        Augmentation::check(self.augment, training)?;
        let classifier = self.classifier(training)?;
        limits::parameters("--model", classifier.parameters().length())?;
        if let Some(file) = &self.start {
            classifier.load_state(file)?;
        }
        limits::counts([
            ("--batch", self.batch, 1..=training.len()),
            // Each chunk and each ascent step makes the plan longer.
            ("--chunks", self.chunks, 1..=self.batch.min(4 * limits::LAYERS / self.ascent_steps)),
        ])?;
        if !self.batch.is_multiple_of(self.chunks) {
            let (batch, chunks) = (self.batch, self.chunks);
            return Err(Failure::Input(format!("--chunks: expected a divisor of the batch of {batch}, got {chunks}")));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimiserName {
    Sgd,
    Adamw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ball {
    /// eps = rho g / ||g||
    L2,
    /// eps = rho sign(g)
    Linf,
    /// eps = rho z / ||z|| with normal numbers z: a control
    Random,
}

/// The setting of runs that were made before there was batch norm.
fn every_epoch() -> usize {
    1
}

fn thousand() -> usize {
    1000
}

fn first_pass() -> RunningFrom {
    RunningFrom::First
}

/// Checks the name of a network and returns its usual form.
fn architecture(name: &str) -> Result<String, String> {
    name.parse::<Architecture>().map(|architecture| architecture.to_string()).map_err(|error| error.to_string())
}
