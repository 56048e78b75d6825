//! `fourfold neuron drive evolve`: a network that sees learns to drive by what it earns alone.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fourfold::data::Checkpoint;
use fourfold::evolution::{
    Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, VisionGradient,
    VisionGradientSettings,
};
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::CarRacing;
use fourfold::rollout::{PatchWiring, VectorSettings};
use fourfold::shaders::vision::{AttentionAgent, DrivingNetwork, ReactiveNetwork, VisionNetwork};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::is_agent;
use crate::experiment::Experiment;
use crate::experiments::neuron::sight;
use crate::failure::Failure;
use crate::limits;
use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot};
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::average;

/// Evolve a network that drives by pictures (PGPE): members around a centre drive on the same tracks, and the centre moves to where
/// they earn more; from the driver that was taught, or from nothing
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Network that evolves
    #[arg(long, value_enum, default_value_t = Network::Student)]
    pub network: Network,
    /// Weights to begin with, such as `fourfold neuron drive train` writes them; without a file the student begins as the built-in
    /// driver and the others at zero
    #[arg(long, value_name = "FILE")]
    pub start: Option<PathBuf>,
    /// Generations
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub generations: usize,
    /// Members of the population, in mirrored pairs
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub members: usize,
    /// Tracks of a generation, the same for all members
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub drives: usize,
    /// Steps of each of these drives at most: who learns by a part of an episode drives for that part alone
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub steps: usize,
    /// First standard deviation of each weight
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 0.01)]
    pub deviation: f32,
    /// Learning rate of the centre, by Adam
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, default_value_t = 0.005)]
    pub rate: f32,
    /// Learning rate of the deviations
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, default_value_t = 0.1)]
    pub deviation_rate: f32,
    /// Tracks to learn on
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub tracks: usize,
    /// Generations between two drives of the centre, on tracks of their own; the best centre is kept
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub validate_every: usize,
    /// Tracks of these drives
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub validation: usize,
    /// Unseen tracks of the final scores, an episode on each
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub episodes: usize,
    /// Steps of an episode of the final scores at most
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub horizon: usize,
}

/// The network that evolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The attention neuron of `neuron drive train`: pictures of 48 x 48 in 64 patches
    Student,
    /// The AttentionAgent on pictures of the same size, which knows where its patches lie
    SmallAgent,
    /// The published attention neuron: pictures of 96 x 96 in 256 patches
    Published,
    /// The published AttentionAgent
    PublishedAgent,
}

impl Network {
    fn description(self) -> VisionNetwork {
        match self {
            Self::Student => ReactiveNetwork::car_student().into(),
            Self::SmallAgent => AttentionAgent::small().into(),
            Self::Published => DrivingNetwork::car_racing().into(),
            Self::PublishedAgent => AttentionAgent::car_racing().into(),
        }
    }
}

/// The places of the random numbers of tracks to learn on and of those that choose the centre. Final scores have another.
const STREAMS: [u32; 2] = [4, 5];

/// The largest change of a deviation in a generation, as EvoJAX has it.
const FRACTION: f32 = 0.2;

/// A generation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Point {
    generation: usize,
    /// Mean score of the members, and that of the best.
    mean: f64,
    best: f64,
    /// The centre's after it, where it drove.
    centre: Option<f64>,
}

/// An evolution that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Evolved {
    /// The score of the centre before the first generation.
    before: f64,
    points: Vec<Point>,
    /// The score of the best centre, and its generation; 0 for that of the beginning.
    score: f64,
    generation: usize,
    weights: Vec<f32>,
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron drive evolve";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("generations", "2"),
        ("members", "4"),
        ("drives", "1"),
        ("steps", "30"),
        ("tracks", "4"),
        ("validate_every", "1"),
        ("validation", "2"),
        ("episodes", "2"),
        ("horizon", "60"),
    ];

    fn inputs(&self) -> Vec<PathBuf> {
        self.start.iter().cloned().collect()
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--generations", self.generations, 1..=1_000_000),
            ("--drives", self.drives, 1..=256),
            ("--steps", self.steps, 1..=1_000),
            ("--tracks", self.tracks, 1..=CarRacing::MOST_TRACKS),
            ("--validate-every", self.validate_every, 1..=1_000_000),
            ("--validation", self.validation, 1..=256),
            ("--episodes", self.episodes, 2..=CarRacing::MOST_TRACKS),
            ("--horizon", self.horizon, 1..=1_000),
        ])?;
        limits::pairs("--members", self.members)?;
        limits::numbers([
            ("--deviation", self.deviation.into(), limits::SIGMA),
            ("--rate", self.rate.into(), limits::RATE),
            ("--deviation-rate", self.deviation_rate.into(), limits::RATE),
        ])?;
        self.first().map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let mut report = Report::new(match is_agent(&self.network.description()) {
            true => "An AttentionAgent evolves to drive by pictures",
            false => "An attention neuron evolves to drive by pictures",
        });
        let mut networks = Vec::new();
        for seed in run.seeds() {
            let generations = self.generations as u64;
            run.progress("evolve", generations);
            let stage = format!("evolution, seed {seed}");
            let evolved = run.stage(&stage, generations, |run| self.evolve(run, seed))?;
            run.end_progress();
            let trained = TrainedVision::new(self.network.description(), evolved.weights.clone())?;
            run.write_checkpoint(&format!("evolved-{seed}.safetensors"), &trained.to_checkpoint())?;
            networks.push(self.describe(run, &mut report, (&trained, seed), &evolved)?);
        }
        report.result("networks", networks.into());
        Ok(report)
    }
}

impl Settings {
    /// The weights of the beginning.
    fn first(&self) -> Result<TrainedVision, Failure> {
        let network = self.network.description();
        match &self.start {
            Some(file) => Ok(TrainedVision::load(file, None, &[network])?),
            None if self.network == Network::Student => sight::driver(),
            None => Ok(TrainedVision::new(network.clone(), vec![0.0; network.parameters()])?),
        }
    }

    /// The race on tracks of a place of random numbers, which ends where a car is lost.
    fn world(&self, stream: u32, tracks: usize) -> Arc<CarRacing> {
        let mut world = CarRacing::new(1, stream, tracks);
        world.early_end = true;
        world.picture = TrainedVision::race_picture(&self.network.description());
        Arc::new(world)
    }

    /// The score of weights on the tracks that choose the centre.
    fn validate(&self, run: &Run, weights: &[f32]) -> Result<f64, Failure> {
        let trained = TrainedVision::new(self.network.description(), weights.to_vec())?;
        let settings = VectorSettings::new(self.validation, self.steps, 0);
        let wiring = PatchWiring::plain(self.validation, trained.network().patches());
        let world = self.world(STREAMS[1], self.validation);
        let mut rollout = trained.rollout(&run.gpu(), world, &settings, wiring)?;
        let returns = rollout.run(0, 10, |_| ())?.returns;
        Ok(average(&returns.into_iter().map(f64::from).collect::<Vec<_>>()))
    }

    fn evolve(&self, run: &mut Run, seed: u32) -> Result<Evolved, Failure> {
        let (gpu, first) = (run.gpu(), self.first()?);
        let strategy =
            EvolutionStrategy::Pgpe { deviation: self.deviation, rate: self.deviation_rate, fraction: FRACTION };
        let settings = VisionGradientSettings {
            strategy,
            members: self.members,
            episodes: self.drives,
            horizon: self.steps,
            stream: 0,
        };
        let outer = OuterTensors::new(&gpu, first.weights(), seed)?;
        let world = self.world(STREAMS[0], self.tracks);
        let source = VisionGradient::new(&gpu, world, first.network().clone(), &settings, &outer)?;
        let descent = OuterSettings { descent: Descent::adam(0.9), rate: self.rate, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(&gpu, outer, Box::new(source), descent)?;

        let mut evolved = match run.restored() {
            Some(checkpoint) => {
                outer.restore(&checkpoint)?;
                restored(&checkpoint)?
            }
            None => {
                let before = self.validate(run, first.weights())?;
                let weights = first.weights().to_vec();
                Evolved { before, points: Vec::new(), score: before, generation: 0, weights }
            }
        };
        run.skip(evolved.points.len() as u64);
        for generation in evolved.points.len() + 1..=self.generations {
            run.save_if_due(|checkpoint| save(checkpoint, &outer, &evolved))?;
            let progress = outer.run(1)?;
            let summary = RolloutGradient::summaries(&progress).swap_remove(0);
            let mut point = Point { generation, mean: summary.mean.into(), best: summary.best.into(), centre: None };
            if generation.is_multiple_of(self.validate_every) || generation == self.generations {
                let score = self.validate(run, &progress.centers[0])?;
                point.centre = Some(score);
                if score > evolved.score {
                    (evolved.score, evolved.generation) = (score, generation);
                    evolved.weights.clone_from(&progress.centers[0]);
                }
            }
            run.say(format!("members {:.0}, best centre {:.0}", point.mean, evolved.score));
            run.log(&json!({ "seed": seed, "generation": point }))?;
            evolved.points.push(point);
            run.advance(1);
        }
        Ok(evolved)
    }

    /// Adds the generations and the scores on unseen tracks to the report; returns them for its results.
    fn describe(
        &self,
        run: &mut Run,
        report: &mut Report,
        (trained, seed): (&TrainedVision, u32),
        evolved: &Evolved,
    ) -> Result<Value, Failure> {
        report.heading(format!("Seed {seed}"));
        let Evolved { before, points, score, generation, .. } = evolved;
        report.paragraph(format!(
            "The centre scored {before:.0} over {} steps of {} tracks before the first of {} generations, and {score:.0} after \
             generation {generation}, which is kept. Members of a generation: {}, on {} of the tracks to learn on.",
            self.steps, self.validation, self.generations, self.members, self.drives
        ));
        let drive = super::Settings::of_a_training(self.episodes, self.horizon);
        let rows = drive.judge(run, trained, &format!(", seed {seed}"))?;
        let scores = drive.describe(report, trained.network(), &rows);
        report.picture(format!("generations-{seed}.png"), "score by generation", curve(evolved).png(820, 460)?);
        Ok(json!({
            "seed": seed,
            "before": before,
            "score": score,
            "generation": generation,
            "generations": points,
            "rows": scores,
        }))
    }
}

/// The state of an evolution in a checkpoint, beside its outer loop.
const EVOLVED: &str = "evolved";

fn save(checkpoint: &mut Checkpoint, outer: &OuterLoop<VisionGradient>, evolved: &Evolved) -> Result<(), Failure> {
    outer.save(checkpoint)?;
    checkpoint.set(EVOLVED, serde_json::to_string(evolved).map_err(Failure::run)?);
    Ok(())
}

fn restored(checkpoint: &Checkpoint) -> Result<Evolved, Failure> {
    let text = checkpoint.get(EVOLVED)?;
    serde_json::from_str(text).map_err(|error| Failure::Input(format!("{}: {EVOLVED}: {error}", checkpoint.file())))
}

/// The scores by generation.
fn curve(evolved: &Evolved) -> LinePlot {
    let points = &evolved.points;
    let of = |value: fn(&Point) -> Option<f64>| {
        points.iter().filter_map(move |point| Some((point.generation as f64, value(point)?)))
    };
    let centre = [(0.0, evolved.before)].into_iter().chain(of(|point| point.centre));
    LinePlot {
        title: "Members, and their centre on other tracks".into(),
        x: Axis::new("generation"),
        y: Axis::new("score"),
        lines: vec![Line::new("members", of(|point| Some(point.mean))), Line::new("centre", centre)],
        levels: Vec::new(),
    }
}
