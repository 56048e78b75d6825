//! `fourfold dt pong`: the decision transformer on games of Pong by players of all strengths, seen as scenes.

mod ladder;
mod report;

use std::sync::Arc;

use clap::{Args, ValueEnum};
use fourfold::models::Sampling;
use fourfold::rollout::environments::Pong;
use serde::{Deserialize, Serialize};

use super::contender::{Contender, PLAYED, Sizes};
use super::data_set::DataSet;
use super::sweep::correlation;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::average;

/// Learn Pong from recorded games of players of all strengths, and ask for scores from -21 to 21
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_arg("width", |arg| arg.default_value("64")))]
#[command(mut_arg("layers", |arg| arg.default_value("2")))]
#[command(mut_arg("context", |arg| arg.default_value("1")))]
#[command(mut_arg("batch", |arg| arg.default_value("512")))]
#[command(mut_arg("steps", |arg| arg.default_value("3000")))]
#[command(mut_arg("cloning_width", |arg| arg.default_value("256")))]
#[command(mut_arg("cloning_batch", |arg| arg.default_value("256")))]
#[command(mut_arg("cloning_steps", |arg| arg.default_value("3000")))]
pub struct Settings {
    /// Games of each player of the ladder
    #[arg(long, value_name = "COUNT", default_value_t = 24)]
    pub games: usize,
    /// Returns to ask for, with commas between them
    #[arg(long, value_name = "RETURNS", value_delimiter = ',', allow_hyphen_values = true,
          default_values_t = [-21, -14, -7, 0, 7, 14, 21])]
    pub asked: Vec<i32>,
    /// Methods, with commas between them
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::ALL)]
    pub methods: Vec<Method>,
    /// Games of an evaluation
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub evaluation: u32,
    #[command(flatten)]
    #[serde(flatten)]
    pub sizes: Sizes,
}

/// A method that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A transformer that is told the return that is still to come
    Transformer,
    /// A transformer that is told the return of the whole game at each step
    Delayed,
    /// Behaviour cloning of the best tenth of the games
    BestCloning,
    /// Behaviour cloning of all games
    Cloning,
}

impl Method {
    const ALL: [Self; 4] = [Self::Transformer, Self::Delayed, Self::BestCloning, Self::Cloning];

    fn contender(self) -> Contender {
        match self {
            Method::Transformer => Contender::Transformer { short: false, delayed: false },
            Method::Delayed => Contender::Transformer { short: false, delayed: true },
            Method::BestCloning => Contender::Cloning { percent: 10 },
            Method::Cloning => Contender::Cloning { percent: 100 },
        }
    }
}

/// A method from one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trial {
    name: String,
    seed: u32,
    loss: f64,
    /// By the way to choose actions: the returns of the games for each return asked; one row of a method that is asked
    /// nothing.
    achieved: Vec<(String, Vec<Vec<f64>>)>,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt pong";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("games", "2"),
        ("asked", "-21,21"),
        ("evaluation", "2"),
        ("width", "16"),
        ("layers", "1"),
        ("context", "2"),
        ("batch", "16"),
        ("steps", "20"),
        ("cloning_width", "16"),
        ("cloning_batch", "16"),
        ("cloning_steps", "20"),
    ];

    fn check(&self) -> Result<(), Failure> {
        self.sizes.check()?;
        limits::counts([("--games", self.games, 1..=1_000), ("--evaluation", self.evaluation as usize, 1..=10_000)])?;
        limits::distinct("--asked", self.asked.iter().map(i32::to_string))?;
        limits::distinct("--methods", self.methods.iter().map(|method| method.contender().name()))?;
        match self.asked.iter().find(|asked| asked.abs() > 21) {
            Some(asked) => Err(Failure::Input(format!("--asked: expected returns from -21 to 21, got {asked}"))),
            None => Ok(()),
        }
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let seeds = run.seeds();
        run.progress(
            "pong",
            self.methods.iter().map(|method| self.work(method.contender())).sum::<u64>() * seeds.len() as u64,
        );
        run.say("records the games of the ladder");
        let (trajectories, rungs) = ladder::climb(&run.gpu(), self.games, run.seed() as u32)?;
        let data = DataSet { environment: Arc::new(Pong), played: "pong", trajectories, random: -21.0, expert: 21.0 };
        let mut trials = Vec::new();
        for seed in seeds {
            for method in self.methods.iter().map(|method| method.contender()) {
                let stage = format!("{}, seed {seed}", method.name());
                trials.push(run.stage(&stage, self.work(method), |run| self.trial(run, method, &data, seed))?);
            }
        }
        report::report(self, &rungs, &trials)
    }
}

impl Settings {
    /// The weight of a method on the progress bar.
    fn work(&self, method: Contender) -> u64 {
        method.steps(&self.sizes) as u64 + 2 * PLAYED * self.targets(method).len() as u64
    }

    /// The returns that are asked of a method; of behaviour cloning, one that it does not hear.
    fn targets(&self, method: Contender) -> Vec<f64> {
        match method {
            Contender::Transformer { .. } => self.asked.iter().map(|&asked| asked.into()).collect(),
            Contender::Cloning { .. } => vec![21.0],
        }
    }

    fn trial(&self, run: &mut Run, method: Contender, data: &DataSet, seed: u32) -> Result<Trial, Failure> {
        let mut learner = method.train(run, data, &self.sizes, seed)?;
        let mut achieved = Vec::new();
        let ways = [("most likely", Sampling::Greedy), ("sampled", Sampling::Sampled { temperature: 1.0 })];
        for (name, sampling) in ways {
            learner = learner.choosing(sampling, seed);
            let games = learner.play(run, data, &self.targets(method), [self.evaluation, seed])?;
            achieved.push((name.to_owned(), games));
        }
        Ok(Trial { name: method.name(), seed, loss: learner.loss, achieved })
    }

    /// Pearson's correlation of the returns that were asked with the means that were achieved.
    fn correlation(&self, achieved: &[Vec<f64>]) -> f64 {
        let pairs: Vec<(f64, f64)> =
            self.asked.iter().zip(achieved).map(|(&asked, games)| (asked.into(), average(games))).collect();
        correlation(&pairs)
    }
}
