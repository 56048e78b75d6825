//! `fourfold neuron drive`: the published network that drives, in our world or Gymnasium's, with its picture shuffled and with
//! parts of it taken away.

mod backdrop;
pub mod evolve;
mod own_race;
mod real_race;
pub mod train;

use std::path::PathBuf;
use std::sync::Arc;

use backdrop::backdrop;
use clap::Args;
use fourfold::Gpu;
use fourfold::models::TrainedVision;
use fourfold::rollout::PatchWiring;
use fourfold::rollout::environments::car_racing::{Camera, CarRacing, Picture};
use fourfold::shaders::vision::VisionNetwork;
use own_race::OwnRace;
use real_race::RealRace;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evaluation::Scores;
use super::input_order::InputOrder;
use super::sight::{self, SeenWorld};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;

/// Drive with a published network that sees, the attention neuron or the AttentionAgent: car racing with the patches of its picture
/// in order, shuffled, shuffled again and again within the episode, and with some of them missing
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Weights of a published network in the published order: npz, npy or safetensors with the 7212 numbers of the attention
    /// neuron or the 3667 of the AttentionAgent
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Tensor in that file, where it holds several
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
    /// Episodes of each row, one on each track
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub episodes: usize,
    /// Steps of an episode at most
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub horizon: usize,
    /// Steps between two shuffles within an episode; none with an empty list
    #[arg(long, value_name = "STEPS", value_delimiter = ',', num_args = 0.., default_values_t = [50, 200])]
    pub intervals: Vec<usize>,
    /// Shares of the patches that are missing, in an order of their own; none with an empty list
    #[arg(long, value_name = "SHARE", value_delimiter = ',', num_args = 0.., allow_negative_numbers = true, default_values_t = [0.3])]
    pub missing: Vec<f64>,
    /// Pictures in place of the grass, with the patches shuffled: noise, stripes or a PNG file; with `moving-` before it,
    /// it lies on the field and not on the screen
    #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 0..)]
    pub backgrounds: Vec<String>,
    /// Seed of the tracks: 1 are those of the reference
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub tracks: u32,
    /// Camera along the hull, as in CarRacing-v1 and later, instead of along the car's way
    #[arg(long)]
    pub hull_camera: bool,
    /// Drive in Gymnasium's CarRacing, with its physics engine, on the same tracks
    #[arg(long)]
    pub gymnasium: bool,
    /// Python interpreter with Gymnasium and Box2D
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

/// The place of the tracks' random numbers: with seed 1 they are the reference's.
const STREAM: u32 = 1;

/// Lanes that are played side by side at most.
const LANES: usize = 256;

/// The patches that the slots of a lane's retina see.
pub(super) fn wiring(order: InputOrder, seed: u32, lanes: usize, patches: usize, horizon: usize) -> PatchWiring {
    let shuffled = |interval| PatchWiring::shuffled(seed, lanes, patches, interval, horizon);
    match order {
        InputOrder::Plain => PatchWiring::plain(lanes, patches),
        InputOrder::Shuffled | InputOrder::Reshuffled(_) => shuffled(order.interval()),
        InputOrder::Missing(share) => shuffled(None).occluded(seed, share),
    }
}

/// Mean and deviation of the paper, over 100 episodes of the original.
fn paper(network: &VisionNetwork, order: InputOrder) -> &'static str {
    match order {
        InputOrder::Plain if is_agent(network) => "901 ± 54",
        _ if is_agent(network) => "",
        InputOrder::Shuffled => "801 ± 147",
        InputOrder::Reshuffled(25) => "732 ± 161",
        InputOrder::Reshuffled(50) => "772 ± 163",
        InputOrder::Reshuffled(100) => "768 ± 167",
        InputOrder::Reshuffled(200) => "774 ± 182",
        InputOrder::Reshuffled(500) => "805 ± 158",
        _ => "",
    }
}

/// The networks that drive, whose files are known by the number of their weights.
fn networks() -> Vec<VisionNetwork> {
    let mut networks = sight::networks();
    networks.retain(|network| SeenWorld::of(network) == SeenWorld::CarRacing);
    networks
}

/// True for the network whose picture has an order, colours and instruments.
fn is_agent(network: &VisionNetwork) -> bool {
    matches!(network, VisionNetwork::Agent(_))
}

/// A view that a network is shown.
#[derive(Debug, Clone, PartialEq)]
struct Showing {
    order: InputOrder,
    /// The background in place of the grass.
    background: Option<String>,
}

impl Showing {
    fn name(&self) -> String {
        match &self.background {
            None => self.order.name(),
            Some(background) => format!("{}, {background} for grass", self.order.name()),
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Driven {
    scores: Scores,
    /// Of Gymnasium, where the race is its.
    versions: Option<String>,
}

/// A race in which the network drives.
trait Race {
    /// Drives the episodes of a batch, one in each lane of the wiring, on the tracks behind those of the batches before.
    /// `progress` is told of the steps that were taken.
    ///
    /// # Errors
    /// Out of memory, the loss of the device, or a worker that failed.
    fn drive(
        &self,
        gpu: &Gpu,
        batch: usize,
        wiring: PatchWiring,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Driven, Failure>;
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron drive";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] = &[("episodes", "2"), ("horizon", "200")];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("python", "gymnasium", &["true"])];

    fn inputs(&self) -> Vec<PathBuf> {
        vec![self.weights.clone()]
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--episodes", self.episodes, 2..=4_096), ("--horizon", self.horizon, 1..=1_000)])?;
        for &interval in &self.intervals {
            limits::counts([("--intervals", interval, 1..=1_000)])?;
        }
        for &share in &self.missing {
            limits::numbers([("--missing", share, Span::within(0.0, 1.0))])?;
        }
        limits::distinct("--intervals and --missing", self.orders().into_iter().map(InputOrder::name))?;
        if !self.backgrounds.is_empty() {
            limits::distinct("--backgrounds", self.backgrounds.iter().cloned())?;
        }
        let trained = self.load()?;
        let side = trained.network().picture().rows;
        self.backgrounds.iter().try_for_each(|name| backdrop(name, self.tracks, side).map(drop))
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let trained = self.load()?;
        let rows = self.judge(run, &trained, "")?;
        let mut report = Report::new(match is_agent(trained.network()) {
            true => "The AttentionAgent drives",
            false => "The attention neuron drives",
        });
        let results = self.describe(&mut report, trained.network(), &rows);
        report.result("rows", results.into());
        Ok(report)
    }
}

impl Settings {
    /// The scores at the end of a training: in every order, and before pictures that nobody learnt with.
    fn of_a_training(episodes: usize, horizon: usize) -> Self {
        Self {
            weights: PathBuf::new(),
            tensor: None,
            episodes,
            horizon,
            intervals: vec![50, 200],
            missing: vec![0.3],
            backgrounds: ["noise", "stripes", "moving-noise"].map(String::from).into(),
            tracks: 1,
            hull_camera: false,
            gymnasium: false,
            python: PathBuf::new(),
        }
    }

    fn load(&self) -> Result<TrainedVision, Failure> {
        Ok(TrainedVision::load(&self.weights, self.tensor.as_deref(), &networks())?)
    }

    /// Drives with the patches in every order and before every background that is asked for, in stages whose names end as is said.
    fn judge(&self, run: &mut Run, trained: &TrainedVision, ending: &str) -> Result<Vec<(Showing, Driven)>, Failure> {
        let grass = self.world(trained.network());
        let (showings, horizon, seed) = (self.showings(), self.horizon, run.seed() as u32);
        let steps = (self.episodes / self.lanes() * horizon) as u64;
        run.progress("drive", showings.len() as u64 * steps);
        let mut rows = Vec::new();
        for showing in showings {
            let world = Arc::new(match &showing.background {
                None => grass.clone(),
                Some(name) => grass.clone().with_background(backdrop(name, self.tracks, grass.picture.size)?),
            });
            let own = OwnRace { trained, world: world.clone(), horizon, seed };
            let real = RealRace { trained, world, horizon, tracks: [self.tracks, STREAM], python: &self.python };
            let race: &dyn Race = if self.gymnasium { &real } else { &own };
            let patches = trained.network().patches();
            let stage = showing.name() + ending;
            let driven = run.stage(&stage, steps, |run| self.drive(run, race, patches, showing.order))?;
            rows.push((showing, driven));
        }
        run.end_progress();
        Ok(rows)
    }

    /// The views, one row of the table each.
    fn showings(&self) -> Vec<Showing> {
        let plain = self.orders().into_iter().map(|order| Showing { order, background: None });
        let shuffled =
            self.backgrounds.iter().map(|name| Showing { order: InputOrder::Shuffled, background: Some(name.clone()) });
        plain.chain(shuffled).collect()
    }

    fn orders(&self) -> Vec<InputOrder> {
        let reshuffled = self.intervals.iter().map(|&interval| InputOrder::Reshuffled(interval));
        let missing = self.missing.iter().map(|&share| InputOrder::Missing(share));
        [InputOrder::Plain, InputOrder::Shuffled].into_iter().chain(reshuffled).chain(missing).collect()
    }

    /// The race, with a track for each episode, as the network was trained to see it.
    fn world(&self, network: &VisionNetwork) -> CarRacing {
        let camera = if self.hull_camera { Camera::Hull } else { Camera::Travel };
        let mut world = CarRacing::new(self.tracks, STREAM, self.episodes);
        world.picture = Picture { camera, ..TrainedVision::race_picture(network) };
        world
    }

    /// Lanes of a batch: as many as divide the episodes, so that every batch has as many.
    fn lanes(&self) -> usize {
        (1..=self.episodes.min(LANES)).rev().find(|lanes| self.episodes.is_multiple_of(*lanes)).unwrap_or(1)
    }

    /// The score of each episode, episode `e` on track `e`.
    fn drive(&self, run: &mut Run, race: &dyn Race, patches: usize, order: InputOrder) -> Result<Driven, Failure> {
        let (gpu, seed, lanes) = (run.gpu(), run.seed() as u32, self.lanes());
        let scores = Scores { returns: Vec::new(), lengths: Vec::new() };
        let mut driven = Driven { scores, versions: None };
        for batch in 0..self.episodes / lanes {
            let wiring = wiring(order, seed.wrapping_add(batch as u32), lanes, patches, self.horizon);
            let Driven { scores, versions } = race.drive(&gpu, batch, wiring, &mut |steps| run.advance(steps))?;
            driven.scores.returns.extend(scores.returns);
            driven.scores.lengths.extend(scores.lengths);
            driven.versions = versions;
        }
        Ok(driven)
    }

    /// Adds the table of scores to a report; returns the rows for its results.
    fn describe(&self, report: &mut Report, network: &VisionNetwork, rows: &[(Showing, Driven)]) -> Vec<Value> {
        let cells = rows.iter().map(|(showing, driven)| {
            let paper = if showing.background.is_none() { paper(network, showing.order) } else { "" };
            let mut row = showing.order.row(&driven.scores, 1, paper);
            row[0] = showing.name();
            row
        });
        report.table(&["patches", "score", "median", "range", "steps", "paper"], cells);
        report.paragraph(format!(
            "Mean score and standard deviation over {} episodes of at most {} steps in {}, the same tracks in every row. The \
             paper's are of its own network in CarRacing with a physics engine, 100 episodes.",
            self.episodes,
            self.horizon,
            match rows.first().and_then(|(_, driven)| driven.versions.as_deref()) {
                Some(versions) => format!("Gymnasium's CarRacing ({versions})"),
                None => "the car race of equations".to_owned(),
            }
        ));
        report.explanation(if is_agent(network) {
            "The picture is drawn in colour at 96 x 96 with the camera of 2019, its zoom in the first second and its \
             instruments but for the number of the score. Squares of 6 x 6 pixels are shuffled before the network cuts its own \
             patches, which overlap; missing squares are black. It steers by where patches lie, so shuffling is its end: it is \
             what the attention neuron is compared with."
        } else if matches!(network, VisionNetwork::Reactive(_)) {
            "The picture is drawn with the camera of 2019 and, in its lowest eighth, the original's instruments but for the number of \
             the score. Patches of 6 x 6 pixels are shuffled before frames are stacked, so that after a shuffle three steps compare \
             different patches; missing patches are absent, not black."
        } else {
            "The picture is drawn with the camera of 2019, the lowest eighth black. Patches of 6 x 6 pixels are shuffled before frames are stacked, so that after a shuffle three steps \
             compare different patches; missing patches are absent, not black."
        });
        let result = |(showing, driven): &(Showing, Driven)| {
            let mut result = showing.order.result("patches", &driven.scores);
            result["background"] = showing.background.clone().into();
            result
        };
        rows.iter().map(result).collect()
    }
}
