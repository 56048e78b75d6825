//! The experiments, one a folder.

pub mod data;
pub mod dt;
pub mod neuron;
pub mod pes;
pub mod sam;

use crate::entry::Entry;
use crate::experiment::entry;

/// All commands other than experiments.
pub const ALL: &[Entry] = &[
    entry::<data::collect::Settings>(),
    entry::<data::compare_ale::Settings>(),
    entry::<dt::control::Settings>(),
    entry::<dt::key_to_door::Settings>(),
    entry::<dt::pong::Settings>(),
    entry::<dt::shortest_paths::Settings>(),
    entry::<dt::sweep::Settings>(),
    entry::<dt::train::Settings>(),
    entry::<neuron::ant::Settings>(),
    entry::<neuron::clone::Settings>(),
    entry::<neuron::drive::Settings>(),
    entry::<neuron::drive::train::Settings>(),
    entry::<neuron::drive::evolve::Settings>(),
    entry::<neuron::pong::Settings>(),
    entry::<neuron::reshuffle::Settings>(),
    entry::<neuron::train::Settings>(),
    entry::<neuron::watch::Settings>(),
    entry::<pes::compare::Settings>(),
    entry::<pes::control::Settings>(),
    entry::<pes::hyperparameters::Settings>(),
    entry::<pes::learned_optimiser::Settings>(),
    entry::<pes::schedule::Settings>(),
    entry::<pes::single::Settings>(),
    entry::<pes::variance::Settings>(),
    entry::<sam::Settings>(),
];

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::path::{Path, PathBuf};

    use clap::Arg;

    use super::*;
    use crate::options::Preset;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_experiment_in_the_folder_is_registered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/experiments");
        let mut found = 0;
        for path in sources(&folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (_, definition) in text.match_indices("\nimpl Experiment for").map(|(at, _)| text.split_at(at)) {
                let name = definition.split('"').nth(1).unwrap();
                let registered = ALL.iter().any(|entry| entry.path == name);
                assert!(registered, "{}: `{name}` is missing in experiments::ALL", path.display());
                found += 1;
            }
        }
        assert_eq!(found, ALL.len());
    }

    #[test]
    fn every_experiment_has_flags_that_fit_and_quick_sizes_of_them() {
        for entry in ALL {
            for preset in [Preset::Quick, Preset::Default, Preset::Paper] {
                (entry.command)(preset).debug_assert();
            }
        }
    }

    /// Returns the rest of a command line: the arguments without a default, and the flags that others demand.
    fn needed(path: &str, flag: &str) -> Vec<String> {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/trajectories/d4rl.hdf5");
        let words = match (path, flag) {
            ("dt train", _) => data,
            ("data collect", _) => "pendulum",
            ("pes" | "pes compare", _) => "toy",
            ("neuron train", "members" | "episodes" | "deviation" | "rate") => "--strategy=cma-es",
            _ => return Vec::new(),
        };
        vec![words.to_owned()]
    }

    #[test]
    fn every_number_has_limits_that_are_checked_before_anything_is_built() {
        // Numbers of any sign.
        const SIGNED: [&str; 3] = ["forget_bias", "targets", "theta"];
        // Finite rates of any size: a training that diverges is reported as such.
        let is_any_rate = |path: &str, flag: &str| ["pes", "pes compare"].contains(&path) && flag == "rate";
        let numeric = [TypeId::of::<usize>(), TypeId::of::<u32>(), TypeId::of::<f32>(), TypeId::of::<f64>()];
        let is_numeric = |arg: &&Arg| numeric.iter().any(|id| arg.get_value_parser().type_id() == *id);
        let mut accepted = Vec::new();
        for entry in ALL {
            let command = (entry.command)(Preset::Quick).no_binary_name(true);
            for arg in command.get_arguments().filter(is_numeric) {
                let flag = arg.get_id().as_str();
                for value in ["-1", "1e18", "1000000000000000000", "nan", "inf", "frob", ""] {
                    let huge = value.parse::<f64>().is_ok_and(|value| value == 1e18);
                    if (value == "-1" && SIGNED.contains(&flag)) || (huge && is_any_rate(entry.path, flag)) {
                        continue;
                    }
                    let mut line = needed(entry.path, flag);
                    line.push(format!("--{}={value}", flag.replace('_', "-")));
                    let parsed = command.clone().try_get_matches_from(&line);
                    if parsed.is_ok_and(|matches| (entry.check)(&matches).is_ok()) {
                        accepted.push(format!("{} {}", entry.path, line.join(" ")));
                    }
                }
            }
        }
        assert!(accepted.is_empty(), "{accepted:#?}");
    }
}
