//! `fourfold neuron`: the attention neuron, a policy that does not care in which order its inputs are wired.

pub mod clone;
mod reshuffle;
mod train;
mod watch;
pub mod weights;

use clap::{Args, Subcommand};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;

/// Experiments with the attention neuron on the cart-pole swing-up
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub experiment: Experiment,
}

impl Plain for Arguments {
    const NAME: &'static str = "neuron";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum Experiment {
    /// Train it and a perceptron by evolution, then score both with inputs shuffled, duplicated and among noise
    Train(train::Arguments),
    /// Score it while its inputs are shuffled again and again within an episode
    Reshuffle(reshuffle::Arguments),
    /// Clone an ordinary perceptron into an attention neuron, by back-propagation through time
    Clone(clone::Arguments),
    /// Watch one episode: the cart, what it attends to, and its inputs being shuffled
    Watch(watch::Arguments),
}

/// Runs the experiment.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.experiment {
        Experiment::Train(arguments) => train::run(common, arguments),
        Experiment::Reshuffle(arguments) => reshuffle::run(common, arguments),
        Experiment::Clone(arguments) => clone::run(common, arguments),
        Experiment::Watch(arguments) => watch::run(common, arguments),
    }
}
