//! One entry of the command line.

use clap::{ArgMatches, Args};

use crate::failure::Failure;
use crate::options::{Common, Preset};

/// A command or an experiment, as the command line finds it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The words that call it, as in `dt control`.
    pub path: &'static str,
    /// Defines its flags, with the defaults of a preset.
    pub command: fn(Preset) -> clap::Command,
    /// Checks its flags without a GPU.
    pub check: fn(&ArgMatches) -> Result<(), Failure>,
    pub run: fn(&Common, &ArgMatches) -> Result<(), Failure>,
    /// The common flags that have an effect, besides `--quiet`.
    pub common: &'static [&'static str],
    /// Several processes can share it.
    pub ranks: bool,
}

/// A command other than an experiment: the struct is its flags.
pub trait Plain: Args {
    const NAME: &'static str;
    /// The common flags that have an effect, besides `--quiet`.
    const COMMON: &'static [&'static str];

    /// True if several processes, as `mpirun` starts them, can share it.
    const RANKS: bool = false;

    /// Runs the command.
    ///
    /// # Errors
    /// Wrong input, or a failure of the device.
    fn run(&self, common: &Common) -> Result<(), Failure>;
}

impl Entry {
    /// Registers a command.
    pub const fn of<P: Plain>() -> Self {
        Self {
            path: P::NAME,
            command: |_| P::augment_args(clap::Command::new(P::NAME.rsplit(' ').next().unwrap_or(P::NAME))),
            check: |matches| P::from_arg_matches(matches).map(drop).map_err(Failure::input),
            run: |common, matches| {
                P::from_arg_matches(matches)
                    .map_err(Failure::input)?
                    .run(common)
                    .map_err(|failure| started_again(P::NAME, failure))
            },
            common: P::COMMON,
            ranks: P::RANKS,
        }
    }
}

/// Says how to go on after the loss of the device, where there is no run to resume.
fn started_again(command: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Lost(message) => Failure::Lost(format!("{message}\nStart `fourfold {command}` again.")),
        other => other,
    }
}
