//! `fourfold sam`: SGD against sharpness-aware minimisation on images of digits or clothes.

mod report;
mod run;
mod settings;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fourfold::models::Architecture;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::arguments::Common;

pub use run::Comparison;
pub use settings::Settings;

/// Train a classifier with SGD and with SAM, over several seeds, and compare what they find
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub training: Training,
    /// Go on with the run in this folder, to the same bits; its settings are those that it began with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
}

/// What decides a comparison.
#[derive(Debug, Clone, Args)]
pub struct Training {
    /// The images [default: digits, which are built in]
    #[arg(long, value_enum)]
    pub data: Option<DataName>,
    /// Where the files of MNIST or Fashion-MNIST lie, in folders of their names
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,
    /// The network: `vit`, or `mlp:` and hidden widths as in `mlp:256,128` [default: mlp:128]
    #[arg(long, value_name = "NAME")]
    pub model: Option<Architecture>,
    /// The share of training labels that are made wrong
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub label_noise: f64,
    /// The radius in which SAM looks for the worst point
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.05)]
    pub rho: f32,
    /// How many seeds are trained, from --seed on
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub seeds: usize,
    /// Passes over the training set
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    pub epochs: usize,
    /// Images of one step
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// The learning rate at the beginning; it falls to 0 along half a cosine
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.1)]
    pub rate: f32,
    /// What turns gradients into steps
    #[arg(long, value_enum, default_value_t = OptimiserName::Sgd)]
    pub optimiser: OptimiserName,
    /// The momentum of SGD (Nesterov's)
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.9)]
    pub momentum: f32,
    /// The weight decay, outside SAM's maximum
    #[arg(long, allow_negative_numbers = true, default_value_t = 5e-4)]
    pub weight_decay: f32,
    /// Weight decay belongs to the loss that SAM maximises, as in the authors' code
    #[arg(long)]
    pub decay_inside: bool,
    /// The share of the target that label smoothing spreads over all classes
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub smoothing: f32,
    /// The share of elements dropped in the transformer
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// Clip the final gradient to this norm
    #[arg(long, allow_negative_numbers = true, value_name = "NORM")]
    pub clip: Option<f32>,
    /// The ball of the ascent
    #[arg(long, value_enum, default_value_t = Ball::L2)]
    pub ascent: Ball,
    /// Ascent steps, each projected back onto the ball
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub ascent_steps: usize,
    /// m-sharpness: chunks of a batch that climb by themselves
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub chunks: usize,
    /// Adaptive SAM: the perturbation scales with the weights (try --rho 0.5)
    #[arg(long)]
    pub adaptive: bool,
    /// Keep the second-order term that the paper drops
    #[arg(long)]
    pub second_order: bool,
    /// Lanczos steps for the largest Hessian eigenvalues; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    pub lanczos: usize,
}

/// A set of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataName {
    Digits,
    Mnist,
    FashionMnist,
}

/// As on the command line.
impl fmt::Display for DataName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DataName::Digits => "digits",
            DataName::Mnist => "mnist",
            DataName::FashionMnist => "fashion-mnist",
        })
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
}

/// Trains and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let comparison = match &arguments.resume {
        Some(folder) => Comparison::resume(common, folder, &arguments.training)?,
        None => Comparison::begin(common, Settings::new(common, &arguments.training)?)?,
    };
    println!("{}", comparison.run(common)?);
    Ok(())
}
