//! `fourfold neuron drive train`: a network that sees is taught to drive by a driver who knows the track.

use std::sync::Arc;

use clap::Args;
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::CarRacing;
use fourfold::shaders::vision::ReactiveNetwork;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::imitation::{Flags, Imitated, Network, Race, Subject, curve, table};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;

/// Teach an attention neuron to drive by pictures: a driver who knows the track says at every step what it would do, while the
/// student drives (DAgger)
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub flags: Flags,
    /// Tracks to learn on
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub tracks: usize,
    /// Unseen tracks of the final scores, an episode on each
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub episodes: usize,
    /// Steps of an episode at most
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub horizon: usize,
}

/// The place of the random numbers of the tracks to learn on: those of the final scores lie at another.
const STREAM: u32 = 2;

impl Experiment for Settings {
    const NAME: &'static str = "neuron drive train";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("rounds", "2"),
        ("lanes", "4"),
        ("steps", "60"),
        ("updates", "6"),
        ("batch", "16"),
        ("tracks", "4"),
        ("episodes", "2"),
        ("horizon", "60"),
    ];

    fn check(&self) -> Result<(), Failure> {
        self.flags.check()?;
        limits::counts([
            ("--tracks", self.tracks, 1..=CarRacing::MOST_TRACKS),
            ("--episodes", self.episodes, 2..=CarRacing::MOST_TRACKS),
            ("--horizon", self.horizon, 1..=1_000),
        ])
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let mut report = Report::new("An attention neuron learns to drive by pictures");
        let mut students = Vec::new();
        for seed in run.seeds() {
            let course = self.flags.course(self.horizon);
            run.progress("drive", course.work());
            let stage = format!("student, seed {seed}");
            let imitated = run.stage(&stage, course.work(), |run| {
                course.teach(run, &self.subject(), &Network::Sees(network()), self.flags.recipe(0.0), seed)
            })?;
            let trained = TrainedVision::new(network(), imitated.weights.clone())?;
            let file = format!("student-{seed}.safetensors");
            run.write_checkpoint(&file, &trained.to_checkpoint())?;
            students.push(self.describe(run, &mut report, (&trained, seed), &imitated)?);
        }
        report.result("students", students.into());
        Ok(report)
    }
}

/// The student.
fn network() -> ReactiveNetwork {
    ReactiveNetwork::car_student()
}

impl Settings {
    /// The race on the tracks to learn on.
    fn subject(&self) -> Arc<dyn Subject> {
        let mut world = CarRacing::new(1, STREAM, self.tracks);
        world.early_end = true;
        world.picture = TrainedVision::race_picture(&network().into());
        Arc::new(Race { world: Arc::new(world) })
    }

    /// Adds the rounds and the scores on unseen tracks to the report; returns them for its results.
    fn describe(
        &self,
        run: &mut Run,
        report: &mut Report,
        (trained, seed): (&TrainedVision, u32),
        imitated: &Imitated,
    ) -> Result<Value, Failure> {
        report.heading(format!("Seed {seed}"));
        let drive = super::Settings::of_a_training(self.episodes, self.horizon);
        let rows = drive.judge(run, trained, &format!(", seed {seed}"))?;
        let scores = drive.describe(report, trained.network(), &rows);
        table(report, imitated);
        report.picture(format!("rounds-{seed}.png"), "score by round", curve(imitated, "score").png(820, 460)?);
        Ok(json!({ "seed": seed, "rounds": imitated.rounds, "rows": scores }))
    }
}
