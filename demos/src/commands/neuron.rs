//! `fourfold neuron`: the attention neuron, a policy that does not care in which order its inputs are wired.

pub mod clone;

use clap::{Args, Subcommand};

use crate::Failure;
use crate::arguments::Common;

/// Experiments with the attention neuron on the cart-pole swing-up
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub experiment: Experiment,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Experiment {
    /// Clone an ordinary perceptron into an attention neuron, by back-propagation through time
    Clone(clone::Arguments),
}

/// Runs the experiment.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.experiment {
        Experiment::Clone(arguments) => clone::run(common, arguments),
    }
}
