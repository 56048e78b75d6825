//! `fourfold dt`: the decision transformer's experiments.

mod shortest_paths;

use clap::{Args, Subcommand};

use crate::Failure;
use crate::arguments::Common;

/// Train decision transformers on recorded trajectories, and let them act
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub experiment: Experiment,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Experiment {
    /// Learn shortest paths on a random graph from random walks alone
    ShortestPaths(Box<shortest_paths::Arguments>),
}

/// Trains and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.experiment {
        Experiment::ShortestPaths(arguments) => shortest_paths::run(common, arguments),
    }
}
