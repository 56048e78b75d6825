//! The time that an experiment takes, told before it starts.
//!
//! On a software driver by a table of times that were measured on two CPU cores. On a GPU, which may be anything, and for
//! other networks and tasks than the usual ones, the progress tells it as soon as a few steps are measured.

use std::time::Duration;

use clap::Command;
use fourfold::wgpu::AdapterInfo;
use serde_json::Value;

use crate::adapter::is_software;
use crate::options::Common;
use crate::progress::duration;

/// The time of an experiment.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// The name of its run folder.
    folder: &'static str,
    /// Seconds of the defaults, and of those of `--quick`.
    seconds: [f64; 2],
    /// The flags to whose numbers, or lengths of lists, the time is proportional.
    flags: &'static [&'static str],
}

const fn cost(folder: &'static str, seconds: [f64; 2], flags: &'static [&'static str]) -> Cost {
    Cost { folder, seconds, flags }
}

const COSTS: &[Cost] = &[
    cost("data collect", [60.0, 4.0], &["seeds", "policy_share"]),
    cost("data compare-ale", [30.0, 5.0], &["frames"]),
    cost("dt control", [1140.0, 12.0], &["seeds", "data"]),
    cost("dt key-to-door", [700.0, 20.0], &["seeds", "steps", "batch"]),
    cost("dt pong", [2_400.0, 20.0], &["seeds", "steps", "batch"]),
    cost("dt shortest-paths", [500.0, 5.0], &["seeds", "training_steps", "batch"]),
    cost("dt sweep", [840.0, 5.0], &["seeds", "data"]),
    cost("dt train", [120_000.0, 4.0], &["seeds", "training_steps", "batch"]),
    cost("neuron clone", [440.0, 25.0], &["seeds", "passes", "trajectories"]),
    cost("neuron reshuffle", [40.0, 5.0], &["episodes"]),
    cost("neuron train", [3000.0, 30.0], &["steps"]),
    cost("neuron watch", [20.0, 10.0], &[]),
    cost("pes influence", [3.0, 2.0], &["seeds"]),
    cost("pes lorenz", [10.0, 2.0], &["seeds"]),
    cost("pes ridge", [8.0, 2.0], &["seeds"]),
    cost("pes toy", [5.0, 2.0], &["seeds"]),
    cost("pes compare influence", [40.0, 4.0], &["seeds"]),
    cost("pes compare lorenz", [40.0, 4.0], &["seeds"]),
    cost("pes compare ridge", [100.0, 4.0], &["seeds"]),
    cost("pes compare toy", [220.0, 8.0], &["seeds"]),
    cost("pes control", [540.0, 20.0], &["budget"]),
    cost("pes hyperparameters", [1100.0, 12.0], &["seeds", "iterations"]),
    cost("pes learned-optimiser", [1350.0, 30.0], &["iterations"]),
    cost("pes schedule", [400.0, 5.0], &["iterations"]),
    cost("pes variance", [700.0, 15.0], &["repeats"]),
    cost("sam", [60.0, 8.0], &["seeds", "epochs"]),
];

/// Seconds of the commands other than experiments, and with `--quick`.
const COMMANDS: [(&str, [f64; 2]); 4] =
    [("bench", [70.0, 20.0]), ("demo", [125.0, 45.0]), ("tune", [100.0, 20.0]), ("verify", [450.0, 90.0])];

/// Returns the sentence that says how long a run with these settings takes on an adapter, or when that is told. `flags` has
/// the defaults, those of `--quick` where it is given.
pub fn sentence(
    adapter: &AdapterInfo,
    folder: &str,
    settings: &Value,
    seeds: usize,
    flags: &Command,
    quick: bool,
) -> String {
    // Another network, other images or another task take another time.
    let is_other = flags.get_arguments().any(|arg| {
        let usual = arg.get_default_values().first().and_then(|usual| usual.to_str());
        match &settings[arg.get_id().as_str()] {
            Value::Bool(is_on) => *is_on,
            Value::String(text) => usual.is_some_and(|usual| usual != text),
            Value::Array(values) => usual.is_none() && !values.is_empty(),
            // What is not asked for by default, as a replay of pictures.
            Value::Number(_) => usual.is_none(),
            _ => false,
        }
    });
    let known = COSTS.iter().find(|cost| cost.folder == folder).filter(|_| is_software(adapter) && !is_other);
    let Some(cost) = known else { return UNKNOWN.into() };
    let ratio = |flag: &&str| {
        let default = flags.get_arguments().find(|arg| arg.get_id() == flag)?;
        let (usual, value) = (default.get_default_values(), &settings[*flag]);
        let single = usual.first()?.to_str()?.parse::<f64>().ok();
        match (*flag, value, single) {
            ("seeds", ..) => Some(seeds as f64 / single?),
            (_, Value::Array(values), _) => {
                let listed = usual.iter().filter_map(|part| part.to_str()).flat_map(|part| part.split(','));
                Some(values.len() as f64 / listed.count() as f64)
            }
            (_, value, single) => Some(value.as_f64()? / single?),
        }
    };
    let scale: f64 = cost.flags.iter().filter_map(ratio).product();
    told(cost.seconds[usize::from(quick)] * scale)
}

/// Says how long a command other than an experiment takes, or the share of it that is asked for, unless it is quiet.
pub fn tell(adapter: &AdapterInfo, command: &str, share: f64, common: &Common) {
    let known = COMMANDS.iter().find(|(name, _)| *name == command).filter(|_| is_software(adapter));
    if !common.quiet {
        let sentence = known.map(|(_, seconds)| told(seconds[usize::from(common.quick)] * share));
        crate::tell!("{}", sentence.as_deref().unwrap_or(UNKNOWN));
    }
}

const UNKNOWN: &str = "The time that this takes is told once a few steps are measured on this adapter.";

fn told(seconds: f64) -> String {
    let whole = duration(Duration::from_secs_f64(seconds.clamp(1.0, 1e9)));
    format!("This takes about {whole} on this adapter, by measurements on two CPU cores.")
}

#[cfg(test)]
mod tests {
    use fourfold::wgpu::{AdapterInfo, Backend, DeviceType};
    use serde_json::json;

    use super::*;
    use crate::experiments;
    use crate::options::Preset;

    #[test]
    fn every_cost_is_of_an_experiment_and_its_flags() {
        for cost in COSTS {
            let entry = experiments::ALL.iter().find(|entry| cost.folder == entry.path);
            let entry = entry.or_else(|| experiments::ALL.iter().find(|entry| cost.folder.starts_with(entry.path)));
            let command = (entry.unwrap().command)(Preset::Default);
            for flag in cost.flags {
                let arg = command.get_arguments().find(|arg| arg.get_id() == flag);
                assert!(!arg.unwrap().get_default_values().is_empty(), "{} --{flag}", cost.folder);
            }
        }
    }

    #[test]
    fn the_time_grows_with_seeds_and_steps() {
        let entry = experiments::ALL.iter().find(|entry| entry.path == "sam").unwrap();
        let flags = (entry.command)(Preset::Default);
        let mut adapter = AdapterInfo::new(DeviceType::Cpu, Backend::Vulkan);
        let told = |adapter: &AdapterInfo, epochs: usize, seeds| {
            sentence(adapter, "sam", &json!({ "epochs": epochs }), seeds, &flags, false)
        };
        assert!(told(&adapter, 60, 5).starts_with("This takes about 1 min 0 s on this adapter"));
        assert!(told(&adapter, 120, 10).starts_with("This takes about 4 min 0 s on this adapter"));
        adapter.device_type = DeviceType::DiscreteGpu;
        assert!(told(&adapter, 60, 5).contains("once a few steps are measured"));
    }
}
