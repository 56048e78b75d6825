//! Data sets by their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::data_set::DataSet;
use crate::experiments::data::{Collector, CourseFlags, Stage, World};
use crate::failure::Failure;
use crate::run::Run;

/// A data set, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

/// Opens data sets of `--seed`; those of our own collection with `episodes` each, from policies that are trained once
/// for each environment.
///
/// # Errors
/// Those of [`Collector::new`].
pub fn open(run: &mut Run, sources: &[Source], episodes: usize, course: &CourseFlags) -> Result<Vec<DataSet>, Failure> {
    let seed = run.seed() as u32;
    let mut collectors: Vec<Collector> = Vec::new();
    let mut open = |source: &Source| {
        let (world, stage) = match *source {
            Source::Imitation(world) => return DataSet::imitation(&run.gpu(), world, seed),
            Source::Collected(world, stage) => (world, stage),
        };
        let place = match collectors.iter().position(|collector| collector.world() == world) {
            Some(place) => place,
            None => {
                collectors.push(Collector::new(run, world, course.course(world), seed)?);
                collectors.len() - 1
            }
        };
        DataSet::collected(&collectors[place], stage, episodes)
    };
    sources.iter().map(&mut open).collect()
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
