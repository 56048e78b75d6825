//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use fourfold::Gpu;
use fourfold::gpu::Options;

use crate::Failure;
use crate::commands::{adapters, bench, data, dt, neuron, pes, sam, verify};

/// GPU compute kernels with CPU twins, and what is learnt with them.
#[derive(Debug, Clone, Parser)]
#[command(name = "fourfold", version, subcommand_required = true, arg_required_else_help = false)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Where all randomness of the run begins
    #[arg(long, global = true, default_value_t = 0, value_name = "NUMBER")]
    pub seed: u64,
    /// The adapter: part of its name, or its number in `fourfold adapters` [default: the best one]
    #[arg(long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// The folder of the run, new or empty [default: runs/COMMAND-NUMBER]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Show no progress
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Do less of the same, to see it work
    #[arg(long, global = true)]
    pub quick: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the adapters, with the features and limits that matter here
    Adapters(adapters::Arguments),
    /// Collect or inspect recorded trajectories
    Data(data::Arguments),
    /// Show what there is: kernels against twins, SGD against SAM, a policy whose inputs are shuffled, unrolls cut short, a
    /// grid task learnt from random play; some three minutes on a software driver
    Demo,
    /// Learn from recorded episodes by decision transformers, and compare with behaviour cloning
    Dt(Box<dt::Arguments>),
    /// Train and examine the attention neuron, a policy that works with its inputs shuffled
    Neuron(Box<neuron::Arguments>),
    /// Train outer parameters through truncated unrolls, by persistent evolution strategies and their kin
    Pes(Box<pes::Arguments>),
    /// Train a classifier with SGD and with SAM, and compare
    Sam(Box<sam::Arguments>),
    /// Run every kernel against its CPU twin over generated cases
    Verify(verify::Arguments),
    /// Measure every kernel, beside what the adapter can do, or rollouts
    Bench(bench::Arguments),
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Arguments>),
    /// Help or version: text for the standard output.
    Print(String),
}

/// Parses a command line, the name of the program first.
///
/// # Errors
/// A flag or value that is not known, in one sentence.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    match Arguments::try_parse_from(line) {
        Ok(arguments) => Ok(Parsed::Run(Box::new(arguments))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Print(error.render().to_string())),
            _ => Err(Failure::Input(condensed(&error))),
        },
    }
}

/// clap's message without its tips and usage, on one line.
fn condensed(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let sentence = words.join(" ");
    format!("{} (see `fourfold --help`)", sentence.strip_prefix("error: ").unwrap_or(&sentence))
}

impl Common {
    /// Opens the adapter that was asked for.
    ///
    /// # Errors
    /// There is none, or none of that name (which is wrong input).
    pub fn open(&self, checked: bool) -> Result<Gpu, Failure> {
        Gpu::open_with(&Options { adapter: self.adapter.clone(), checked }).map_err(|error| match error {
            fourfold::Error::NoAdapter { .. } if self.adapter.is_some() => Failure::input(error),
            error => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn failure(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)) {
            Err(Failure::Input(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_flag_is_one_sentence() {
        assert_eq!(
            failure("fourfold verify --frobnicate"),
            "unexpected argument '--frobnicate' found (see `fourfold --help`)"
        );
    }

    #[test]
    fn a_wrong_value_is_one_sentence_that_names_the_flag() {
        let sentence = failure("fourfold --seed many adapters");
        assert!(sentence.starts_with("invalid value 'many' for '--seed <NUMBER>': "), "{sentence}");
        assert!(!sentence.contains('\n'));
    }

    #[test]
    fn a_missing_command_names_those_there_are() {
        let sentence = failure("fourfold");
        assert!(sentence.contains("adapters") && sentence.contains("verify"), "{sentence}");
    }

    #[test]
    fn common_flags_may_stand_before_and_behind_the_command() {
        for line in ["fourfold --seed 7 adapters", "fourfold adapters --seed 7"] {
            let Ok(Parsed::Run(arguments)) = parse(line.split(' ').map(OsString::from)) else { panic!("{line}") };
            assert_eq!(arguments.common.seed, 7);
        }
    }

    #[test]
    fn help_is_printed_and_no_error() {
        assert!(matches!(parse(["fourfold".into(), "--help".into()]), Ok(Parsed::Print(_))));
    }
}
