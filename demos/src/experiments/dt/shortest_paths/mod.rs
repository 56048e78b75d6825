//! The introduction's experiment of Decision Transformer (Chen, Lu et al. 2021): shortest paths on a random graph, learnt
//! from random walks.

mod decoded;
mod outcome;
mod pathfinder;
mod picture;
mod report;
mod trial;

use clap::Args;
use fourfold::models::SequenceModel;
use fourfold::models::shortest_paths::{DirectedGraph, Walk, Walks};
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;

use decoded::Decoded;
pub use pathfinder::{Pathfinder, TrainedPaths};

use outcome::{AtDistance, Outcome, ways};

/// Learn shortest paths on a random graph from random walks alone
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Random walks on each graph, the data
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub walks: usize,
    /// Starts of generated paths, drawn uniformly
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    pub starts: usize,
    /// Training steps
    #[arg(long, value_name = "STEPS", default_value_t = 1000)]
    pub training_steps: usize,
    /// Windows of a training step
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    pub batch: usize,
    /// Steps of a window
    #[arg(long, value_name = "STEPS", default_value_t = 3)]
    pub context: usize,
    /// Transformer blocks
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub layers: usize,
    /// Attention heads
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub heads: usize,
    /// Width of a token
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub width: usize,
    /// Dropout rate
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// Highest learning rate
    #[arg(long, allow_negative_numbers = true, default_value_t = 5e-3)]
    pub rate: f32,
    /// Power of the prior for short paths
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0)]
    pub power: f32,
    /// Probability below which the second rule ignores a length
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.01)]
    pub least: f32,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt shortest-paths";
    const SEEDS: Option<&'static str> = Some("5");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("seeds", "2"),
        ("walks", "200"),
        ("starts", "64"),
        ("training_steps", "12"),
        ("batch", "16"),
        ("width", "16"),
    ];

    fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--walks", self.walks, 1..=1_000_000),
            ("--starts", self.starts, 1..=1_000_000),
            ("--training-steps", self.training_steps, 1..=10_000_000),
            ("--batch", self.batch, 1..=100_000),
            ("--context", self.context, 1..=1_000),
            ("--layers", self.layers, 1..=limits::LAYERS),
            ("--width", self.width, 1..=4_096),
            ("--heads", self.heads, 1..=self.width),
        ])?;
        limits::numbers([
            ("--dropout", self.dropout.into(), Span::below(0.0, 1.0)),
            ("--least", self.least.into(), Span::below(0.0, 1.0)),
            ("--power", self.power.into(), Span::within(0.0, 100.0)),
            ("--rate", self.rate.into(), limits::RATE),
        ])?;
        limits::parameters("--width and --layers", trial::model(self)?.parameters().length())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let seeds = run.seeds();
        let steps = self.training_steps as u64;
        run.progress("dt shortest-paths", seeds.len() as u64 * steps);
        let mut finished = Vec::new();
        for seed in seeds {
            let problem = trial::Problem::new(self, seed)?;
            let result = run.stage(&format!("graph {seed}"), steps, |run| trial::train(run, self, &problem))?;
            run.note(&report::line(seed, &result));
            finished.push((problem, result));
        }
        report::report(self, &finished)
    }
}
