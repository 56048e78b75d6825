//! `fourfold pes`: outer parameters learned through truncated unrolls, by persistent evolution strategies and their kin.

mod learned_optimiser;
mod report;
mod run;
mod settings;
mod surface;
mod variance;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;
use crate::pes::hyperparameters::{Schedule, Tensors};
use crate::pes::{EstimatorName, ObjectiveName, OptimiserName, control};

pub use run::Experiment;
pub use settings::{Seeds, Settings};

/// Train outer parameters through truncated unrolls, by persistent evolution strategies and their kin
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub mode: Option<Mode>,
    #[command(flatten)]
    pub one: One,
}

impl Plain for Arguments {
    const NAME: &'static str = "pes";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum Mode {
    /// Compare all estimators that a problem allows, with the settings of the paper
    Compare(Compare),
    /// Measure how far gradients of a small LSTM, and of linear losses, scatter at a theta that stays
    Variance(variance::Arguments),
    /// Learn policies for a swimmer, a cart-pole and a pendulum, and compare estimators per step of the environment
    Control(control::Settings),
    Schedule(Box<Schedule>),
    Hyperparameters(Box<Tensors>),
    /// Train an optimiser by PES and by truncated ES, and hold both against tuned SGD and Adam
    LearnedOptimiser(Box<learned_optimiser::Arguments>),
}

/// One estimator on a problem. Flags that are not given have the values of the problem's paper.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct One {
    /// The problem: toy, influence, lorenz, ridge (on embedded data) or ridge:FILE (a table, the target last)
    pub problem: Option<String>,
    /// What estimates the gradient: pes, nres, gpes:UNROLLS, es, full-es, pes-a, tbptt, rtrl, uoro or dodge [default: pes]
    #[arg(long, value_name = "NAME")]
    pub estimator: Option<EstimatorName>,
    /// What the losses of an inner problem come to
    #[arg(long, value_enum)]
    pub objective: Option<ObjectiveName>,
    /// Inner steps of an unroll
    #[arg(long, value_name = "STEPS")]
    pub truncation: Option<usize>,
    /// Antithetic particles, an even number; replicas of uoro; directions of dodge
    #[arg(long, value_name = "COUNT")]
    pub particles: Option<usize>,
    /// The standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true)]
    pub sigma: Option<f32>,
    /// Chunks of particles that are each at an inner time of their own
    #[arg(long, value_name = "COUNT")]
    pub chunks: Option<usize>,
    /// Chunks start at different inner times
    #[arg(long)]
    pub staggered: bool,
    /// What turns gradients into steps
    #[arg(long, value_enum)]
    pub optimiser: Option<OptimiserName>,
    /// The decay of Adam's first moment
    #[arg(long, allow_negative_numbers = true)]
    pub beta1: Option<f64>,
    /// The learning rate
    #[arg(long, allow_negative_numbers = true)]
    pub rate: Option<f32>,
    /// Cut each number of the gradient off at plus and minus this
    #[arg(long, allow_negative_numbers = true, value_name = "BOUND")]
    pub clip: Option<f32>,
    /// Outer iterations
    #[arg(long, value_name = "COUNT")]
    pub iterations: Option<usize>,
    /// Where theta starts: numbers with commas between them
    #[arg(long, allow_hyphen_values = true, value_name = "NUMBERS", value_delimiter = ',')]
    pub theta: Option<Vec<f32>>,
    /// How many seeds are trained, from --seed on, or which: `0,1,2` [default: 1]
    #[arg(long)]
    pub seeds: Option<Seeds>,
    /// Go on with the run in this folder, to the same bits; its settings are those that it began with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
}

/// All estimators on a problem.
#[derive(Debug, Clone, Default, Args)]
pub struct Compare {
    /// The problem: toy, influence, lorenz, ridge (on embedded data) or ridge:FILE (a table, the target last)
    pub problem: Option<String>,
    /// These estimators alone, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub estimators: Option<Vec<EstimatorName>>,
    /// Outer iterations of all, instead of those of the paper
    #[arg(long, value_name = "COUNT")]
    pub iterations: Option<usize>,
    /// Antithetic particles of all that have them, instead of those of the paper
    #[arg(long, value_name = "COUNT")]
    pub particles: Option<usize>,
    /// How many seeds are trained, from --seed on, or which: `0,1,2` [default: 5]
    #[arg(long)]
    pub seeds: Option<Seeds>,
    /// Go on with the run in this folder, to the same bits; its settings are those that it began with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
}

/// Trains and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.mode.is_some() && arguments.one != One::default() {
        return Err(Failure::Input(
            "`compare` stands before its PROBLEM and its flags, all others before their flags, not behind \
            those of one estimator"
                .into(),
        ));
    }
    let compared = match &arguments.mode {
        Some(Mode::Variance(arguments)) => return variance::run(common, arguments),
        Some(Mode::Control(settings)) => return control::run(common, settings),
        Some(Mode::Schedule(schedule)) => return schedule.run(common),
        Some(Mode::Hyperparameters(tensors)) => return tensors.run(common),
        Some(Mode::LearnedOptimiser(arguments)) => return learned_optimiser::run(common, arguments),
        Some(Mode::Compare(compare)) => Some(compare),
        None => None,
    };
    let (problem, resume) = match compared {
        Some(compare) => (&compare.problem, &compare.resume),
        None => (&arguments.one.problem, &arguments.one.resume),
    };
    let experiment = match (resume, problem) {
        (Some(folder), problem) => Experiment::resume(common, folder, problem.as_deref())?,
        (None, Some(problem)) => {
            let settings = match compared {
                Some(compare) => Settings::of_all(common, problem, compare)?,
                None => Settings::of_one(common, problem, &arguments.one)?,
            };
            Experiment::begin(common, settings)?
        }
        (None, None) => {
            let names = crate::pes::catalogue::NAMES;
            return Err(Failure::Input(format!("PROBLEM is missing: {names} (see `fourfold pes --help`)")));
        }
    };
    experiment.run(common)
}
