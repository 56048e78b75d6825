//! `fourfold dt shortest-paths`: shortest paths on a random graph, learnt from random walks.

mod report;

use clap::Args;
use serde::Serialize;

use crate::dt::shortest_paths::{Filter, Finished, Recipe, Task, Trial};
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// Learn shortest paths on a random graph from random walks alone
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Graphs, each with walks and a transformer of its own, from --seed on
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub seeds: usize,
    /// Random walks on each graph, the data
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub walks: usize,
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
    /// The length of a token
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub width: usize,
    /// The share that dropout drops
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// The learning rate at its highest
    #[arg(long, allow_negative_numbers = true, default_value_t = 5e-3)]
    pub rate: f32,
    /// The power of the prior for short paths
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0)]
    pub power: f32,
    /// The second rule leaves lengths aside that are less likely than this
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.01)]
    pub least: f32,
}

/// Everything that decides a run, besides the first seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Settings {
    seeds: Vec<u64>,
    task: Task,
    recipe: Recipe,
}

impl Arguments {
    fn settings(&self, common: &Common) -> Result<Settings, Failure> {
        let counts = [
            ("--seeds", self.seeds),
            ("--walks", self.walks),
            ("--training-steps", self.training_steps),
            ("--batch", self.batch),
            ("--context", self.context),
        ];
        if let Some((flag, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Failure::Input(format!("{flag} takes a number from 1 on, got 0")));
        }
        for (flag, share) in [("--dropout", self.dropout), ("--least", self.least)] {
            if !(0.0..1.0).contains(&share) {
                return Err(Failure::Input(format!("{flag} takes a share from 0 to below 1, got {share}")));
            }
        }
        if !(0.0..=100.0).contains(&self.power) {
            return Err(Failure::Input(format!("--power takes a number from 0 to 100, got {}", self.power)));
        }
        let less = |count: usize, most: usize| if common.quick { count.min(most) } else { count };
        let training_steps = less(self.training_steps, 12);
        Ok(Settings {
            seeds: (0..less(self.seeds, 2) as u64).map(|index| common.seed + index).collect(),
            task: Task {
                nodes: 20,
                sparsity: 0.1,
                filter: Filter::figure_6(),
                walks: less(self.walks, 200),
                steps: 10,
                starts: less(512, 64),
            },
            recipe: Recipe {
                layers: self.layers,
                heads: self.heads,
                width: less(self.width, 16),
                context: self.context,
                dropout: self.dropout,
                batch: less(self.batch, 16),
                rate: self.rate,
                beta2: 0.95,
                weight_decay: 1e-4,
                clip: 1.0,
                warm_up: 20,
                training_steps,
                prior_power: self.power,
                least: self.least,
            },
        })
    }
}

/// Training steps between two looks at the loss.
const BURST: usize = 20;

/// Trains, generates and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings(common)?;
    let Settings { seeds, task, recipe } = &settings;
    let gpu = common.open(false)?;
    let first = Trial::new(&gpu, task, recipe, seeds[0])?;
    let value = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "dt", &gpu, value)?;

    let total = seeds.len() * recipe.training_steps;
    let mut progress = Progress::new("dt shortest-paths", total as u64, common.quiet);
    let mut finished: Vec<(Trial, Finished)> = Vec::new();
    let mut first = Some(first);
    for &seed in seeds {
        let mut trial = match first.take() {
            Some(trial) => trial,
            None => Trial::new(&gpu, task, recipe, seed)?,
        };
        while trial.trained() < recipe.training_steps {
            let steps = BURST.min(recipe.training_steps - trial.trained());
            let loss = trial.train(steps)?;
            progress.say(format!("graph {seed}: loss {loss:.3}"));
            progress.advance(steps as u64);
        }
        let result = trial.finish()?;
        progress.note(&report::line(seed, &result));
        finished.push((trial, result));
    }
    progress.finish();
    println!("{}", report::write(&folder, &settings, &finished, &gpu)?);
    Ok(())
}
