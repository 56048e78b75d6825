//! `fourfold neuron train`: evolution of the attention neuron and of a perceptron, and the table of what shuffled,
//! duplicated and noisy inputs do to them.

mod report;
mod search;

use std::path::PathBuf;

use clap::Args;
use fourfold::data::load_flat_vector;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::Network;
use super::recipe;
use super::training::{Recipe, StrategyName};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;

/// Train the attention neuron and a perceptron on the cart-pole swing-up, inputs never shuffled; then score both with
/// inputs shuffled, duplicated, and among channels of noise
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Train nothing: score these weights, one flat vector in the published order (npz, npy or safetensors)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["steps", "strategy"])]
    pub weights: Option<PathBuf>,
    /// Tensor in that file, where it holds several
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub tensor: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: Network,
    /// Environment steps of each training, about
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT", default_value_t = 1e9)]
    pub steps: f64,
    /// Evolution strategy [default: CMA-ES with the recipe's population]
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyName>,
    /// Members of the population, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub members: Option<usize>,
    /// Episodes of each member in a generation, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub episodes: Option<usize>,
    /// Standard deviation of the perturbations, with --strategy
    #[arg(long, allow_negative_numbers = true, requires = "strategy")]
    pub deviation: Option<f32>,
    /// Adam's learning rate on the centre, with --strategy
    #[arg(long, allow_negative_numbers = true, requires = "strategy")]
    pub rate: Option<f32>,
    /// Environment steps of each seed's search, of which the best goes on to --steps
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT", default_value_t = 2.5e8)]
    pub trial: f64,
    /// Train the attention neuron alone
    #[arg(long)]
    pub alone: bool,
    /// Episodes of each cell of the table
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub test_episodes: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron train";
    const SEEDS: Option<&'static str> = Some("4");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("seeds", "2"), ("steps", "1e7"), ("trial", "1.5e6"), ("test_episodes", "100")];
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[
        ("strategy", "cma-es"),
        ("members", "256"),
        ("episodes", "16"),
        ("deviation", "0.1"),
        ("steps", "5.7e10"),
    ]);

    const RANKS: bool = true;

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("trial", "weights", &["null"]), ("alone", "weights", &["null"])];

    fn inputs(&self) -> Vec<PathBuf> {
        self.weights.iter().cloned().collect()
    }

    fn check(&self) -> Result<(), Failure> {
        let steps = Span::within(1.0, 1e13);
        limits::numbers([("--steps", self.steps, steps), ("--trial", self.trial, steps)])?;
        limits::counts([
            ("--test-episodes", self.test_episodes, 2..=10_000_000),
            ("--members", self.recipe().members, 2..=1 << 20),
            ("--episodes", self.recipe().episodes, 1..=1 << 20),
        ])?;
        limits::numbers([
            ("--deviation", self.recipe().deviation.into(), limits::SIGMA),
            ("--rate", self.recipe().rate.into(), limits::RATE),
        ])?;
        self.network.description()?;
        self.given_weights().map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        run.ranks().agreed(self.check_ranks(run.ranks().size()))?;
        let (gpu, network, seed) = (run.gpu(), self.network.description()?, run.seed() as u32);
        if let (Some(file), Some(weights)) = (&self.weights, self.given_weights()?) {
            let rows = report::neuron_rows(&gpu, network, &weights, self.test_episodes, seed)?;
            let scored = format!("* attention neuron: {} weights of `{}`.", weights.len(), file.display());
            return Ok(report::report(self.test_episodes, &rows, &scored));
        }
        let finished = (0..self.policies(seed)?.len()).map(|index| self.train(run, index));
        let finished = finished.collect::<Result<Vec<_>, _>>()?;
        let mut rows = report::neuron_rows(&gpu, network, &finished[0].weights, self.test_episodes, seed)?;
        if let Some(finished) = finished.get(1) {
            rows.extend(report::perceptron_rows(&gpu, &finished.weights, self.test_episodes, seed)?);
        }
        let mut lines = String::new();
        for finished in &finished {
            for (number, record) in finished.records.iter().enumerate() {
                for point in &record.curve {
                    let row = json!({ "policy": finished.name, "try": number + 1, "point": point });
                    lines += &format!("{row}\n");
                }
            }
        }
        run.write("learning.jsonl", lines.as_bytes())?;
        let trainings: Vec<String> = finished.iter().map(search::Finished::line).collect();
        let mut report = report::report(self.test_episodes, &rows, &trainings.join("\n"));
        report.next(format!("fourfold play {}", run.path().display()));
        report.picture("learning.png", "score while learning", report::learning(&finished).png(900, 520)?);
        Ok(report)
    }
}

impl Settings {
    fn given_weights(&self) -> Result<Option<Vec<f32>>, Failure> {
        let parameters = self.network.description()?.parameters();
        let load = |file: &PathBuf| Ok(load_flat_vector(file, self.tensor.as_deref(), parameters)?);
        self.weights.as_ref().map(load).transpose()
    }

    /// Checks that so many ranks have members to play.
    fn check_ranks(&self, ranks: usize) -> Result<(), Failure> {
        let Recipe { strategy, members, .. } = self.recipe();
        // CMA-ES draws members one by one, the others in mirrored pairs.
        let (each, what) = if strategy == StrategyName::CmaEs { (1, "a member") } else { (2, "a pair of members") };
        if ranks > 1 && self.weights.is_some() {
            return Err(Failure::Input(format!("--weights: expected one process, got {ranks}: nothing is trained")));
        }
        if ranks * each > members {
            let least = ranks * each;
            let sentence = format!("--members: expected at least {least}, {what} for each rank, got {members}");
            return Err(Failure::Input(sentence));
        }
        Ok(())
    }

    fn recipe(&self) -> Recipe {
        let standard = recipe::recipe(self.steps);
        Recipe {
            strategy: self.strategy.unwrap_or(standard.strategy),
            members: self.members.unwrap_or(standard.members),
            episodes: self.episodes.unwrap_or(standard.episodes),
            deviation: self.deviation.unwrap_or(standard.deviation),
            rate: self.rate.unwrap_or(standard.rate),
            ..standard
        }
    }
}
