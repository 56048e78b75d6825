//! `fourfold data`: trajectories in files.

pub mod collect;
pub mod inspect;

use clap::{Args, Subcommand};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;

/// Collect or inspect recorded trajectories
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

impl Plain for Arguments {
    const NAME: &'static str = "data";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Train a policy and record episodes of it at several stages, in D4RL's sense
    Collect(collect::Arguments),
    /// Show what a file of trajectories holds: D4RL or Minari (HDF5), imitation (npz), or our own (safetensors)
    Inspect(inspect::Arguments),
}

/// Does what the sub-command asks for.
///
/// # Errors
/// As the sub-command's.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Collect(arguments) => collect::run(common, arguments),
        Action::Inspect(arguments) => inspect::run(arguments),
    }
}
