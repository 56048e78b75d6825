//! `fourfold dt`: decision transformers, which learn from recorded episodes.

use clap::{Args, Subcommand};

use crate::Failure;
use crate::arguments::Common;
use crate::dt::{control, sweep};

/// Learn from recorded episodes by decision transformers, and compare with behaviour cloning
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub experiment: Experiment,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Experiment {
    /// Continuous control: transformers against behaviour cloning, dense rewards against delayed, context 1 against 20
    Control(control::Settings),
    /// Ask for a sweep of returns, and see what is achieved
    Sweep(sweep::Settings),
}

/// Runs the experiment.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.experiment {
        Experiment::Control(settings) => control::run(common, settings),
        Experiment::Sweep(settings) => sweep::run(common, settings),
    }
}
