//! `fourfold data`: trajectories in files.

pub mod inspect;

use clap::{Args, Subcommand};

use crate::Failure;
use crate::arguments::Common;

/// Inspect recorded trajectories
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Show what a file of trajectories holds: D4RL or Minari (HDF5), imitation (npz), or our own (safetensors)
    Inspect(inspect::Arguments),
}

/// Does what the sub-command asks for.
pub fn run(_: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Inspect(arguments) => inspect::run(arguments),
    }
}
