//! `fourfold dt`: decision transformers, which learn from recorded episodes.

mod train;

use clap::{Args, Subcommand};

use crate::dt::{control, sweep};
use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;

/// Learn from recorded episodes by decision transformers, and compare with behaviour cloning
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub experiment: Experiment,
}

impl Plain for Arguments {
    const NAME: &'static str = "dt";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum Experiment {
    /// Continuous control: transformers against behaviour cloning, dense rewards against delayed, context 1 against 20
    Control(control::Settings),
    /// Ask for a sweep of returns, and see what is achieved
    Sweep(sweep::Settings),
    /// Train on a file of trajectories (D4RL, Minari, imitation, our own), and play in Gymnasium
    Train(Box<train::Arguments>),
}

/// Runs the experiment.
///
/// # Errors
/// As the experiment's.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.experiment {
        Experiment::Control(settings) => control::run(common, settings),
        Experiment::Sweep(settings) => sweep::run(common, settings),
        Experiment::Train(arguments) => train::run(common, arguments),
    }
}
