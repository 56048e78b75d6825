//! The settings of a cloning, checked.

use std::path::PathBuf;

use fourfold::shaders::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::unroll::Environment;
use serde::Serialize;

use super::{Arguments, NETWORK};
use crate::failure::Failure;
use crate::neuron::cloning::Recipe;
use crate::neuron::episodes::Starts;
use crate::options::Common;

/// Everything that decides the numbers of a run besides the adapter.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    pub seed: u64,
    pub student_parameters: usize,
    pub teacher: Option<PathBuf>,
    pub teacher_generations: usize,
    pub trajectories: usize,
    pub steps: usize,
    pub disturbance: f64,
    pub student_drives: f64,
    pub passes: usize,
    pub batch: usize,
    pub window: usize,
    pub rate: f32,
    pub clip: f32,
    pub noise: f32,
    pub forget_bias: f32,
    pub episodes: usize,
}

impl Settings {
    /// The settings of a command line; `--quick` does less of everything.
    ///
    /// # Errors
    /// A value out of its range, with the flag's name.
    pub fn new(common: &Common, arguments: &Arguments) -> Result<Self, Failure> {
        let at_most = |most: usize, value: usize| if common.quick { value.min(most) } else { value };
        let settings = Self {
            seed: common.seed,
            student_parameters: NETWORK.parameters(),
            teacher: arguments.teacher.clone(),
            teacher_generations: at_most(20, arguments.teacher_generations),
            trajectories: at_most(arguments.batch, arguments.trajectories),
            steps: at_most(arguments.window.saturating_mul(2), arguments.steps),
            disturbance: arguments.disturbance,
            student_drives: arguments.student_drives,
            passes: at_most(3, arguments.passes),
            batch: arguments.batch,
            window: arguments.window,
            rate: arguments.rate,
            clip: arguments.clip,
            noise: arguments.noise,
            forget_bias: arguments.forget_bias,
            episodes: at_most(100, arguments.episodes),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Failure> {
        let horizon = CartPoleSwingUp::default().horizon();
        let counts = [
            ("teacher-generations", self.teacher_generations, 1_000_000),
            ("trajectories", self.trajectories, 1_000_000),
            ("steps", self.steps, horizon),
            ("passes", self.passes, 1_000_000),
            ("episodes", self.episodes, 1_000_000),
        ];
        for (flag, count, most) in counts {
            if !(1..=most).contains(&count) {
                return Err(Failure::Input(format!("--{flag} takes a number from 1 to {most}, got {count}")));
            }
        }
        let numbers = [
            ("disturbance", self.disturbance, 0.0, 10.0),
            ("student-drives", self.student_drives, 0.0, 1.0),
            ("rate", self.rate.into(), 0.0, 10.0),
            ("clip", self.clip.into(), f64::from(f32::MIN_POSITIVE), 1e9),
            ("noise", self.noise.into(), 0.0, 10.0),
            ("forget-bias", self.forget_bias.into(), -100.0, 100.0),
        ];
        for (flag, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return Err(Failure::Input(format!("--{flag} takes a number from {least} to {most}, got {value}")));
            }
        }
        self.recipe().batches(self.trajectories, self.steps)?;
        Ok(())
    }

    /// Starts of episodes of one kind: hard ones.
    pub fn starts(&self, stream: u32, count: usize) -> Starts {
        // Whatever lies above 2^32 would only name the same streams again.
        Starts { world: CartPoleSwingUp::default(), seed: self.seed as u32, stream, first: 0, count: count as u32 }
    }

    pub fn recipe(&self) -> Recipe {
        let Self { batch, window, rate, clip, noise, forget_bias, .. } = *self;
        let updates = self.trajectories / batch.max(1) * (self.steps / window.max(1)) * self.passes;
        Recipe { batch, window, rate, updates, clip, noise, forget_bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    use crate::command_line::{Parsed, parse};
    use crate::commands::neuron::Experiment;

    fn settings(line: &str) -> Result<Settings, String> {
        let line = format!("fourfold neuron clone {line}");
        let parsed = parse(line.split_whitespace().map(Into::into)).map_err(|failure| failure.to_string())?;
        let Parsed::Run(call) = parsed else { panic!("{line} prints") };
        let neuron = crate::commands::neuron::Arguments::from_arg_matches(call.matches()).unwrap();
        let Experiment::Clone(clone) = &neuron.experiment else { panic!("{line} is another experiment") };
        Settings::new(&call.common, clone).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_defaults_and_the_quick_form_are_valid() {
        assert_eq!(settings("").unwrap().recipe().updates, 512 / 64 * 12 * 30);
        let quick = settings("--quick").unwrap();
        assert_eq!((quick.trajectories, quick.steps, quick.passes, quick.episodes), (64, 50, 3, 100));
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_flag() {
        for (line, expected) in [
            ("--steps 1001", "--steps takes a number from 1 to 1000, got 1001"),
            ("--episodes 0", "--episodes takes a number from 1 to 1000000, got 0"),
            ("--rate -1", "--rate takes a number from 0 to 10, got -1"),
            ("--noise NaN", "--noise takes a number from 0 to 10, got NaN"),
            ("--window 7", "--window takes a number that divides 300 steps, got 7"),
            ("--window 0", "--window takes a number that divides 300 steps, got 0"),
            ("--batch 513", "--batch takes a number from 1 to 512, the trajectories, got 513"),
        ] {
            assert_eq!(settings(line).unwrap_err(), expected);
        }
    }
}
