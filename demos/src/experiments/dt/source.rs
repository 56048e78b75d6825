//! Data sets by their names.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::contender::Sizes;
use super::data_set::DataSet;
use crate::by_name::ByName;
use crate::experiments::data::{Collector, CourseFlags, Stage, World};
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;

/// A data set, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Collected(World, Stage),
    Imitation(World),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Collected(world, stage) => write!(formatter, "{}-{}", world.name(), stage.name()),
            Source::Imitation(world) => write!(formatter, "{}-imitation", world.name()),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let collected = World::ALL.into_iter().flat_map(|world| Stage::ALL.map(|stage| Self::Collected(world, stage)));
        let real = [World::Pendulum, World::CartPole].map(Self::Imitation);
        collected.chain(real).find(|source| source.to_string() == name).ok_or_else(|| {
            format!(
                "expected an environment and a stage, as in pendulum-medium-replay or pendulum-imitation, got `{name}`"
            )
        })
    }
}

/// Settings of the experiments that train contenders on data sets.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct DataSettings {
    /// Data sets of --seed: pendulum, cart-pole-swing-up, cart-pole or swimmer with -random, -medium, -medium-replay,
    /// -full-replay, -medium-expert or -expert; pendulum-imitation, cart-pole-imitation
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub data: Vec<ByName<Source>>,
    /// Episodes of each data set of our own
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub episodes: usize,
    /// Episodes that each policy is evaluated on with each target return, as one batch
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub evaluation: u32,
    #[command(flatten)]
    #[serde(flatten)]
    pub sizes: Sizes,
    #[command(flatten)]
    #[serde(flatten)]
    pub course: CourseFlags,
}

impl DataSettings {
    /// The defaults that `--quick` sets.
    pub const QUICK: &'static [(&'static str, &'static str)] = &[
        ("episodes", "40"),
        ("evaluation", "10"),
        ("width", "16"),
        ("layers", "1"),
        ("context", "5"),
        ("batch", "16"),
        ("steps", "30"),
        ("cloning_steps", "30"),
        ("policy_share", "0.25"),
        ("policy_tries", "1"),
    ];

    /// The defaults that `--preset paper` sets.
    pub const PAPER: &'static [(&'static str, &'static str)] = &[
        ("width", "128"),
        ("layers", "3"),
        ("cloning_width", "256"),
        ("batch", "64"),
        ("steps", "100000"),
        ("cloning_steps", "25000"),
        ("rate", "1e-4"),
        ("dropout", "0.1"),
        ("times", "true"),
    ];

    /// # Errors
    /// Settings that make no sense, by the names of their flags.
    pub fn check(&self) -> Result<(), Failure> {
        self.sizes.check()?;
        self.course.check()?;
        limits::distinct("--data", self.data.iter().map(|source| source.0.to_string()))?;
        limits::counts([
            ("--episodes", self.episodes, 1..=100_000),
            ("--evaluation", self.evaluation as usize, 1..=100_000),
        ])
    }

    /// Opens the data sets of `--seed`; those of our own collection from policies that are trained once for each
    /// environment.
    ///
    /// # Errors
    /// Those of [`Collector::new`].
    pub fn open(&self, run: &mut Run) -> Result<Vec<DataSet>, Failure> {
        let seed = run.seed() as u32;
        let mut collectors: Vec<Collector> = Vec::new();
        let mut open = |source: &ByName<Source>| {
            let (world, stage) = match source.0 {
                Source::Imitation(world) => return DataSet::imitation(&run.gpu(), world, seed),
                Source::Collected(world, stage) => (world, stage),
            };
            let place = match collectors.iter().position(|collector| collector.world() == world) {
                Some(place) => place,
                None => {
                    collectors.push(Collector::new(run, world, self.course.course(world), seed)?);
                    collectors.len() - 1
                }
            };
            DataSet::collected(&collectors[place], stage, self.episodes)
        };
        self.data.iter().map(&mut open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_are_found_by_their_names_and_no_others() {
        let sources = [
            Source::Collected(World::Pendulum, Stage::MediumReplay),
            Source::Collected(World::CartPoleSwingUp, Stage::Expert),
            Source::Imitation(World::CartPole),
        ];
        for source in sources {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        let failure = "hopper-medium".parse::<Source>().unwrap_err();
        assert!(failure.ends_with("got `hopper-medium`"), "{failure}");
    }
}
