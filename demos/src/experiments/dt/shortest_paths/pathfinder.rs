//! A trained transformer on its graph, as its file tells, and its paths as films.

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::models::SequenceModel;
use fourfold::models::shortest_paths::{PathDecoder, Prior, STEPS};
use fourfold::shaders::Data;

use super::picture::places;
use super::trial::{self, ENVIRONMENT, Problem};
use super::{Decoded, DirectedGraph, Settings, Walk};
use crate::animation::drawing::{Drawing, Ink};
use crate::animation::reel::{Reel, Scene};
use crate::experiment::Experiment;
use crate::failure::Failure;

/// The paths of a trained transformer by the paper's rule.
#[derive(Debug, Clone)]
pub struct Pathfinder {
    graph: DirectedGraph,
    /// One from each node.
    walks: Vec<Walk>,
    /// The length that was predicted at the start of each.
    predicted: Vec<usize>,
}

/// The settings and the weights of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedPaths {
    settings: Settings,
    seed: u32,
    weights: Vec<f32>,
}

/// Frames from one node to the next.
const FRAMES: usize = 8;

impl TrainedPaths {
    /// Returns true for a file of this experiment.
    pub fn wrote(file: &Checkpoint) -> bool {
        file.expect("environment", ENVIRONMENT).is_ok()
    }

    /// Reads a checkpoint of the experiment.
    ///
    /// # Errors
    /// An entry or tensor is missing or invalid; the sentence names the file and the entry.
    pub fn from_checkpoint(file: &Checkpoint) -> Result<Self, Failure> {
        let wrong = |key: &str, error: &dyn std::fmt::Display| {
            Failure::Input(format!("{}: expected `{key}` of a run of shortest paths, got {error}", file.file()))
        };
        let settings: Settings =
            serde_json::from_str(file.get("settings")?).map_err(|error| wrong("settings", &error))?;
        settings.check().map_err(|error| wrong("settings", &error))?;
        let seed = file.get("seed")?.parse().map_err(|error| wrong("seed", &error))?;
        let length = trial::model(&settings)?.parameters().length();
        Ok(Self { weights: file.f32("weights", &[length])?.to_vec(), settings, seed })
    }

    /// Generates the path from every node.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn paths(&self, gpu: &Gpu) -> Result<Pathfinder, Failure> {
        let Problem { graph, .. } = Problem::new(&self.settings, self.seed)?;
        let model = trial::model(&self.settings)?;
        let weights = gpu.upload("weights", &Data::F32(self.weights.clone()))?;
        let prior = Prior { steps: STEPS, power: self.settings.power };
        let decoded = Decoded::by(&mut PathDecoder::new(gpu, &model, &graph, prior, weights)?, 0.0)?;
        Ok(Pathfinder { graph, walks: decoded.walks, predicted: decoded.predicted })
    }
}

impl Pathfinder {
    /// The share of the nodes with a way to the goal, the goal left out, from which the path is a shortest one.
    pub fn optimal(&self) -> f64 {
        let distances = self.graph.distances();
        let far: Vec<usize> =
            (0..self.graph.nodes()).filter(|&node| distances[node].is_some_and(|steps| steps > 0)).collect();
        let solved = far.iter().filter(|&&node| self.walks[node].length(self.graph.goal()) == distances[node]);
        solved.count() as f64 / far.len().max(1) as f64
    }

    /// Makes a film of a path; that of number 0 begins farthest from the goal, others nearer and nearer.
    pub fn film(&self, number: u64) -> Reel {
        let (distances, goal) = (self.graph.distances(), self.graph.goal());
        let mut starts: Vec<usize> = (0..self.graph.nodes()).filter(|&node| node != goal).collect();
        starts.retain(|&node| distances[node].is_some());
        starts.sort_by_key(|&node| std::cmp::Reverse(distances[node]));
        let start = starts[(number % starts.len() as u64) as usize];
        let walk = &self.walks[start];
        let length = walk.length(goal).unwrap_or(walk.nodes.len() - 1);
        let (places, [width, height]) = places(&self.graph);
        let places: Vec<(f64, f64)> = places.iter().map(|&(x, y)| (x, height - y)).collect();
        let shortest = distances[start].unwrap_or(0);
        let promised = self.predicted[start];
        let scene = |frame: usize| {
            let (step, part) = (frame / FRAMES, (frame % FRAMES) as f64 / FRAMES as f64);
            let from = places[walk.nodes[step]];
            let to = places[walk.nodes[(step + 1).min(length)]];
            let token = (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            let mut drawing = Drawing::new([0.0, 0.0, width, height]);
            for node in 0..self.graph.nodes() {
                for &next in self.graph.successors(node) {
                    edge(&mut drawing, Ink::Grey(70), 1.0, places[node], places[next]);
                }
            }
            for pair in walk.nodes[..=step].windows(2).filter(|pair| pair[0] != pair[1]) {
                edge(&mut drawing, Ink::Limb, 4.0, places[pair[0]], places[pair[1]]);
            }
            for (node, &place) in places.iter().enumerate() {
                drawing.disc(if node == goal { Ink::Goal } else { Ink::Grey(45) }, place, 17.0);
            }
            drawing.disc(Ink::Body, token, 21.0);
            for (node, &place) in places.iter().enumerate() {
                drawing.label(place, if node == goal { "goal".to_owned() } else { node.to_string() });
            }
            let reached = walk.nodes[step] == goal;
            Scene {
                drawing,
                words: [
                    format!("from {start}, step {step}{}", if reached { ": the goal" } else { "" }),
                    format!("shortest {shortest}, predicted {promised}"),
                ],
            }
        };
        let end = if walk.length(goal).is_some() { "reaches the goal" } else { "does not reach the goal" };
        Reel {
            title: format!(
                "a decision transformer from node {start} {end} in {length} steps; the shortest way has {shortest}"
            ),
            time_step: 0.08,
            score: -(length as f64),
            shuffles: Vec::new(),
            scenes: (0..=length * FRAMES).map(scene).collect(),
            curves: Vec::new(),
        }
    }
}

/// An edge with its head.
fn edge(drawing: &mut Drawing, ink: Ink, width: f64, from: (f64, f64), to: (f64, f64)) {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x.hypot(y).max(1.0);
    let (x, y) = (x / length, y / length);
    let at = |along: f64, across: f64| (from.0 + along * x - across * y, from.1 + along * y + across * x);
    let tip = length - 17.0;
    drawing.line(ink, width, &[at(17.0, 3.0), at(tip - 6.0, 3.0)]);
    drawing.polygon(ink, &[at(tip, 3.0), at(tip - 10.0, 7.0), at(tip - 10.0, -1.0)]);
}
