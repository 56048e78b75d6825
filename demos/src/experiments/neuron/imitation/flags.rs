//! The flags of a course, which the commands that teach share.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::course::Course;
use super::lesson::Recipe;
use crate::failure::Failure;
use crate::limits::{self, Span};

/// The sizes of a course, and how the student learns.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Flags {
    /// Rounds of acting and learning; in the first the teacher acts
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub rounds: usize,
    /// Episodes side by side; in half of them the student acts alone
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub lanes: usize,
    /// Steps of each of them in a round
    #[arg(long, value_name = "COUNT", default_value_t = 600)]
    pub steps: usize,
    /// Updates after each round
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub updates: usize,
    /// Samples of a batch
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    pub batch: usize,
    /// Initial learning rate of Adam; it falls to 0 along half a cosine
    #[arg(long, value_name = "RATE", default_value_t = 0.002, allow_negative_numbers = true)]
    pub rate: f32,
    /// Norm to which a gradient is clipped
    #[arg(long, value_name = "NORM", default_value_t = 1.0, allow_negative_numbers = true)]
    pub clip: f32,
    /// Share of the steps at which a random action begins, held for up to 8 steps, where the student does not act alone
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, allow_negative_numbers = true)]
    pub disturbance: f64,
}

impl Flags {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first flag out of range.
    pub fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--rounds", self.rounds, 1..=1_000),
            ("--lanes", self.lanes, 2..=4_096),
            ("--steps", self.steps, 1..=100_000),
            ("--updates", self.updates, 1..=1_000_000),
            ("--batch", self.batch, 1..=65_536),
        ])?;
        limits::numbers([
            ("--rate", self.rate.into(), Span::within(0.0, 10.0)),
            ("--clip", self.clip.into(), Span::above(0.0, 1e9)),
            ("--disturbance", self.disturbance, Span::within(0.0, 1.0)),
        ])
    }

    /// The course of episodes of at most `horizon` steps.
    pub fn course(&self, horizon: usize) -> Course {
        let Self { lanes, rounds, steps, updates, disturbance, .. } = *self;
        Course { lanes, rounds, steps, updates, disturbance, horizon }
    }

    /// The recipe of a student each of whose samples lacks this share of the patches.
    pub fn recipe(&self, occlusion: f64) -> Recipe {
        let Self { batch, rate, clip, rounds, updates, .. } = *self;
        Recipe { batch, rate, updates: rounds * updates, clip, occlusion }
    }
}
