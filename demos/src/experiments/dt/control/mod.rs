//! `fourfold dt control`: the transformer against behaviour cloning, dense rewards against delayed ones, a context of 20
//! steps against one.

mod report;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::contender::{Contender, PLAYED};
use super::data_set::DataSet;
use super::source::DataSettings;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::spread;

/// Continuous control: transformers against behaviour cloning, dense rewards against delayed, context 1 against 20
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_arg("data", |arg| arg.default_value(ALL)))]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: DataSettings,
}

/// The data sets of the report.
const ALL: &str = "pendulum-medium,pendulum-medium-replay,pendulum-expert,pendulum-imitation,cart-pole-swing-up-medium,\
                   cart-pole-swing-up-medium-replay,cart-pole-swing-up-expert,cart-pole-imitation";

/// A data set with the results of all contenders.
#[derive(Debug)]
struct Compared {
    data: DataSet,
    trials: Vec<Trial>,
}

/// A contender on a data set: a value for each seed.
#[derive(Debug, Clone, Serialize)]
struct Trial {
    contender: Contender,
    parameters: usize,
    /// The mean scores over the evaluation's episodes.
    scores: Vec<f64>,
    /// The standard errors of these means.
    errors: Vec<f64>,
    /// The mean returns.
    returns: Vec<f64>,
    /// The mean losses of the last training steps.
    losses: Vec<f64>,
}

/// A contender on a data set from one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Outcome {
    parameters: usize,
    score: f64,
    error: f64,
    mean_return: f64,
    loss: f64,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt control";
    const SEEDS: Option<&'static str> = Some("2");
    const QUICK: &'static [(&'static str, &'static str)] = &[("seeds", "1"), ("data", "cart-pole-imitation")];
    const SHARED_QUICK: &'static [(&'static str, &'static str)] = DataSettings::QUICK;
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(DataSettings::PAPER);

    fn check(&self) -> Result<(), Failure> {
        self.common.check()
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let sets = self.common.open(run)?;
        let steps = |contender: Contender| contender.steps(&self.common.sizes) as u64 + PLAYED;
        let seeds = run.seeds();
        let total = Contender::ALL.map(steps).iter().sum::<u64>() * (seeds.len() * sets.len()) as u64;
        run.progress("control", total);
        let compared = |data: DataSet| Compared { data, trials: Contender::ALL.map(Trial::new).to_vec() };
        let mut results: Vec<Compared> = sets.into_iter().map(compared).collect();
        // Seeds outermost: every data set has its first before any has its second.
        for &seed in &seeds {
            for Compared { data, trials } in &mut results {
                for trial in trials {
                    let stage = format!("{}, {}, seed {seed}", data.name(), trial.contender.name());
                    let work = |run: &mut Run| self.outcome(run, trial.contender, data, seed);
                    let outcome = run.stage(&stage, steps(trial.contender), work)?;
                    trial.push(outcome);
                }
            }
        }
        report::report(self, &results)
    }
}

impl Settings {
    fn outcome(&self, run: &mut Run, contender: Contender, data: &DataSet, seed: u32) -> Result<Outcome, Failure> {
        let learner = contender.train(run, data, &self.common.sizes, seed)?;
        let played = learner.play(run, data, &[data.target()], [self.common.evaluation, seed])?;
        let (mean, deviation) = spread(&played[0], false);
        Ok(Outcome {
            parameters: learner.parameters(),
            score: data.score(mean),
            error: 100.0 * deviation / (played[0].len() as f64).sqrt() / (data.expert - data.random),
            mean_return: mean,
            loss: learner.loss,
        })
    }
}

impl Trial {
    fn new(contender: Contender) -> Self {
        let none = Vec::new;
        Self { contender, parameters: 0, scores: none(), errors: none(), returns: none(), losses: none() }
    }

    fn push(&mut self, outcome: Outcome) {
        self.parameters = outcome.parameters;
        self.scores.push(outcome.score);
        self.errors.push(outcome.error);
        self.returns.push(outcome.mean_return);
        self.losses.push(outcome.loss);
    }

    /// Returns the mean score with its standard deviation over the seeds, or, of one seed, with its standard error.
    fn spread(&self) -> (f64, f64) {
        match self.errors[..] {
            [error] => (self.scores[0], error),
            _ => spread(&self.scores, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_spread_over_seeds_and_one_seed_over_its_episodes() {
        let mut trial = Trial::new(Contender::ALL[0]);
        (trial.scores, trial.errors) = (vec![5.0], vec![0.5]);
        assert_eq!(trial.spread(), (5.0, 0.5));
        (trial.scores, trial.errors) = (vec![1.0, 3.0], vec![0.5, 0.5]);
        assert_eq!(trial.spread(), (2.0, 2f64.sqrt()));
    }
}
