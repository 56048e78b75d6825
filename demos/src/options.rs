//! The flags of every command, and the seeds of every experiment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use fourfold::Gpu;
use fourfold::gpu::{Fault, Options, adapters};
use serde::{Deserialize, Serialize};

use crate::adapter::is_software;
use crate::failure::Failure;
use crate::ranks::Ranks;
use crate::tuning;
use crate::wait_limit;

/// The flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Flags of every command")]
pub struct Common {
    /// Random seed
    #[arg(long, global = true, default_value_t = 0, value_name = "NUMBER")]
    pub seed: u64,
    /// The adapter: part of its name, or its number in `fourfold adapters` [default: the best one]
    #[arg(long, global = true, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Ignore what `fourfold tune` measured, and choose kernels as on every machine
    #[arg(long, id = "no-tune", global = true)]
    pub no_tune: bool,
    /// The folder of the run, new or empty [default: runs/COMMAND-NUMBER]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Show no progress
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Smoke-test sizes for all flags that are not given
    #[arg(long, global = true)]
    pub quick: bool,
    /// Also write the log as event files of TensorBoard
    #[arg(long, global = true)]
    pub tensorboard: bool,
    /// Those of these flags that are given.
    #[arg(skip)]
    pub given: Vec<String>,
    /// The processes that share a run.
    #[arg(skip)]
    pub ranks: Ranks,
}

/// The flags of [`Common`], by their names, besides `--quiet`.
pub const FLAGS: &[&str] = &["seed", "adapter", "no-tune", "out", "quick", "tensorboard"];

/// Variables that choose an adapter.
const CHOSEN: [&str; 2] = ["WGPU_BACKEND", "WGPU_ADAPTER_NAME"];

/// The sizes of an experiment where flags do not say them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Smoke-test sizes: a minute or less
    Quick,
    /// The sizes of the committed reports, for a CPU
    #[default]
    Default,
    /// The sizes of the paper, for a GPU and hours
    Paper,
    /// One of the experiment's own
    #[value(skip)]
    Named(&'static str),
}

impl Common {
    /// Returns true if a flag is given, even with the value of its default.
    pub fn is_given(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }

    /// Opens the adapter that was asked for, with the tuning that `fourfold tune` measured on it unless `--no-tune` is given.
    ///
    /// # Errors
    /// As [`open_untuned`](Self::open_untuned).
    pub fn open(&self) -> Result<Gpu, Failure> {
        let gpu = self.open_untuned(false)?;
        Ok(if self.no_tune { gpu } else { tuning::load(gpu) })
    }

    /// Opens the adapter for a run that began with the tuning of this hash, or with none.
    ///
    /// # Errors
    /// As [`open_untuned`](Self::open_untuned); also if that tuning is not the one that there is now.
    pub fn reopen(&self, run: &Path, began: Option<&str>) -> Result<Gpu, Failure> {
        let Some(began) = began else { return self.open_untuned(false) };
        let gpu = self.open()?;
        let got = tuning::hash(&gpu);
        if got.as_deref() == Some(began) {
            return Ok(gpu);
        }
        let got = got.map_or("none".to_owned(), |got| format!("SHA-256 {got}"));
        let expected = format!("expected the tuning that the run began with, SHA-256 {began}, got {got}");
        let hint = "start another run to go on with that";
        Err(Failure::Input(format!("{}: {expected}: {hint}", run.display())))
    }

    /// Opens the adapter that was asked for; the rules of the kernels choose between variants, as on every machine.
    ///
    /// # Errors
    /// No adapter, or none of that name (which is wrong input).
    pub fn open_untuned(&self, checked: bool) -> Result<Gpu, Failure> {
        let adapter = self.adapter.clone().or_else(|| self.adapter_of_rank());
        let opened = Gpu::open_with(&Options { adapter, checked });
        let gpu = opened.map_err(|error| match error {
            fourfold::Error::NoAdapter { message } if self.adapter.is_some() => {
                Failure::Input(format!("--adapter: {message}"))
            }
            // A variable is input as a flag is.
            fourfold::Error::NoAdapter { .. } if CHOSEN.iter().any(|name| std::env::var_os(name).is_some()) => {
                Failure::input(error)
            }
            error => error.into(),
        })?;
        inject(&gpu)?;
        wait_limit::limit(&gpu)?;
        Ok(gpu)
    }

    /// The number of the GPU of this rank: those of a machine take its GPUs in turn. None where there is no choice.
    fn adapter_of_rank(&self) -> Option<String> {
        let local = self.ranks.local()?;
        if CHOSEN.iter().any(|name| std::env::var_os(name).is_some()) {
            return None;
        }
        let gpus: Vec<usize> =
            adapters().iter().filter(|report| !is_software(&report.info)).map(|report| report.index).collect();
        (!gpus.is_empty()).then(|| gpus[local % gpus.len()].to_string())
    }
}

/// A variable with faults for the devices that are opened, in their order, as `loss@40 memory@7`: for tests of what comes
/// after them.
const FAULTS: &str = "FOURFOLD_FAULTS";

/// Injects the fault of the device that was opened now.
fn inject(gpu: &Gpu) -> Result<(), Failure> {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    let place = OPENED.fetch_add(1, Ordering::Relaxed);
    let Ok(faults) = std::env::var(FAULTS) else { return Ok(()) };
    let Some(fault) = faults.split_whitespace().nth(place) else { return Ok(()) };
    let fault = match fault.split_once('@').map(|(kind, moment)| (kind, moment.parse())) {
        Some(("loss", Ok(submissions))) => Fault::loss(submissions),
        Some(("memory", Ok(allocations))) => Fault::out_of_memory(allocations),
        _ => {
            let expected = "expected faults such as `loss@40` or `memory@7`";
            return Err(Failure::Input(format!("{FAULTS}: {expected}, got `{fault}`")));
        }
    };
    gpu.inject(fault);
    Ok(())
}

/// The seeds of an experiment, as `--seeds` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seeds {
    /// This number of seeds, from `--seed` on.
    Count(u32),
    /// These seeds.
    List(Vec<u32>),
}

/// Most seeds of one run.
const MOST: usize = 1 << 20;

impl Seeds {
    /// Lists the seeds of a run whose `--seed` is `first`.
    ///
    /// # Errors
    /// There are none or too many, one is 2^32 or above, or one occurs twice.
    pub fn list(&self, first: u64) -> Result<Vec<u32>, Failure> {
        let refuse = |got: String| {
            let expected = "1 to 1048576 distinct seeds below 2^32";
            Err(Failure::Input(format!("--seeds and --seed: expected {expected}, got {got}")))
        };
        let listed: Option<Vec<u32>> = match self {
            Seeds::Count(count) if *count as usize > MOST => None,
            Seeds::Count(count) => {
                (0..u64::from(*count)).map(|index| first.checked_add(index)?.try_into().ok()).collect()
            }
            Seeds::List(seeds) => Some(seeds.clone()),
        };
        let Some(seeds) = listed else {
            return refuse(format!("{self} from {first} on"));
        };
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if seeds.is_empty() || seeds.len() > MOST || sorted.len() < seeds.len() {
            return refuse(format!("`{self}`"));
        }
        Ok(seeds)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("expected a count, or seeds below 2^32 with commas between them, got `{text}`");
        match text.contains(',') {
            false => text.parse().map(Self::Count).map_err(wrong),
            true => {
                let parts = text.split(',').filter(|part| !part.is_empty());
                parts.map(str::parse).collect::<Result<_, _>>().map(Self::List).map_err(wrong)
            }
        }
    }
}

/// As on the command line.
impl fmt::Display for Seeds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seeds::Count(count) => write!(formatter, "{count}"),
            Seeds::List(seeds) => {
                let numbers: Vec<String> = seeds.iter().map(u32::to_string).collect();
                // A single seed keeps its comma, which tells it from a count.
                write!(formatter, "{}{}", numbers.join(","), if seeds.len() == 1 { "," } else { "" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_list() {
        assert_eq!("5".parse(), Ok(Seeds::Count(5)));
        assert_eq!("3,5,7".parse(), Ok(Seeds::List(vec![3, 5, 7])));
        assert_eq!("3,".parse(), Ok(Seeds::List(vec![3])));
        assert!("3,x".parse::<Seeds>().unwrap_err().ends_with("got `3,x`"));
    }

    #[test]
    fn a_count_begins_at_the_seed_and_a_list_stands_alone() {
        assert_eq!(Seeds::Count(3).list(7), Ok(vec![7, 8, 9]));
        assert_eq!(Seeds::List(vec![3, 1]).list(7), Ok(vec![3, 1]));
    }

    #[test]
    fn seeds_that_are_missing_repeated_or_too_large_are_refused() {
        for (seeds, first) in [
            (Seeds::Count(0), 0),
            (Seeds::List(vec![]), 0),
            (Seeds::List(vec![1, 2, 1]), 0),
            (Seeds::Count(2), u64::from(u32::MAX)),
            (Seeds::Count(2), u64::MAX),
            (Seeds::Count(u32::MAX), 0),
        ] {
            let sentence = seeds.list(first).unwrap_err().to_string();
            assert!(sentence.starts_with("--seeds and --seed: expected"), "{sentence}");
        }
    }
}
