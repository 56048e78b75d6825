//! `fourfold dt sweep`: target returns against achieved returns (figure 4 of Decision Transformer).

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::contender::{Contender, PLAYED, Sizes};
use super::data_set::DataSet;
use super::source::DataSettings;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::picture::plot::{Level, Line, LinePlot, Summary};
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::{average, extremes, quantile};

/// Ask for a sweep of returns, and see which are achieved
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_arg("data", |arg| arg.default_value("pendulum-full-replay,cart-pole-swing-up-full-replay")))]
#[command(mut_arg("episodes", |arg| arg.default_value("600")))]
pub struct Settings {
    /// Targets, evenly from the 5 % quantile of the data's returns to beyond the best of them
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    pub targets: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: DataSettings,
}

impl Experiment for Settings {
    const NAME: &'static str = "dt sweep";
    const SEEDS: Option<&'static str> = Some("2");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("seeds", "1"), ("data", "pendulum-imitation"), ("targets", "4")];
    const SHARED_QUICK: &'static [(&'static str, &'static str)] = DataSettings::QUICK;
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(DataSettings::PAPER);

    fn check(&self) -> Result<(), Failure> {
        self.common.check()?;
        limits::counts([("--targets", self.targets, 3..=1_000)])
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let sets = self.common.open(run)?;
        let seeds = run.seeds();
        let each = self.common.sizes.steps as u64 + PLAYED * self.targets as u64;
        run.progress("sweep", each * (seeds.len() * sets.len()) as u64);
        let mut sweeps = Vec::new();
        for data in &sets {
            let (low, best, targets) = self.targets(data);
            let mut outcomes = Vec::new();
            for &seed in &seeds {
                let stage = format!("{}, seed {seed}", data.name());
                outcomes.push(run.stage(&stage, each, |run| {
                    let transformer = Contender::Transformer { short: false, delayed: false };
                    let learner = transformer.train(run, data, &self.common.sizes, seed)?;
                    let played = learner.play(run, data, &targets, [self.common.evaluation, seed])?;
                    Ok(Outcome { achieved: played.iter().map(|own| average(own)).collect(), loss: learner.loss })
                })?);
            }
            sweeps.push(Sweep::new(data, [low, best], targets, outcomes));
        }
        self.report(&sweeps)
    }
}

/// The mean return of each target from one seed, and the mean loss of the last training steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    achieved: Vec<f64>,
    loss: f64,
}

/// A sweep over the targets of one data set.
#[derive(Debug, Clone, Serialize)]
struct Sweep {
    data: String,
    targets: Vec<f64>,
    /// (seeds, targets): mean returns.
    achieved: Vec<Vec<f64>>,
    /// The highest return of an episode in the data, and its lower end: the 5 % quantile.
    best: f64,
    low: f64,
    /// The mean return of the expert, the best episode at most. Where starts decide much, as a pendulum's do, the best episode is
    /// one that began upright, and no policy returns as much on average.
    expert: f64,
    /// Pearson's correlation of target and achieved return (mean over the seeds), over the targets up to the best policy.
    correlation: f64,
    /// The same of each seed.
    correlations: Vec<f64>,
    /// Over the targets up to the best episode.
    correlation_to_best: f64,
    losses: Vec<f64>,
}

impl Sweep {
    fn new(data: &DataSet, [low, best]: [f64; 2], targets: Vec<f64>, outcomes: Vec<Outcome>) -> Self {
        let expert = data.expert.min(best);
        let losses = outcomes.iter().map(|outcome| outcome.loss).collect();
        let achieved: Vec<Vec<f64>> = outcomes.into_iter().map(|outcome| outcome.achieved).collect();
        let correlated = |achieved: &[f64], most: f64| correlation(&up_to(&targets, achieved, most));
        let correlations = achieved.iter().map(|own| correlated(own, expert)).collect();
        let means = means(&achieved);
        let [correlation, correlation_to_best] = [expert, best].map(|most| correlated(&means, most));
        let data = data.name().to_owned();
        Self { data, targets, achieved, best, low, expert, correlation, correlations, correlation_to_best, losses }
    }

    /// The least and the highest of the seeds, for each target.
    fn extremes(&self) -> Vec<(f64, f64)> {
        (0..self.targets.len()).map(|index| extremes(&column(&self.achieved, index))).collect()
    }
}

/// The values of all seeds for one target.
fn column(achieved: &[Vec<f64>], index: usize) -> Vec<f64> {
    achieved.iter().map(|own| own[index]).collect()
}

/// The means over the seeds, for each target.
fn means(achieved: &[Vec<f64>]) -> Vec<f64> {
    (0..achieved.first().map_or(0, Vec::len)).map(|index| average(&column(achieved, index))).collect()
}

/// Pearson's correlation; 0 where either does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0 / count, sums.1 + pair.1 / count));
    let moment = |f: fn(f64, f64) -> f64| pairs.iter().map(|pair| f(pair.0 - x, pair.1 - y)).sum::<f64>();
    let scale = (moment(|x, _| x * x) * moment(|_, y| y * y)).sqrt();
    if scale > 0.0 { moment(|x, y| x * y) / scale } else { 0.0 }
}

/// Targets from `low` to `best`, evenly, and a quarter as many beyond.
fn targets(low: f64, best: f64, count: usize) -> Vec<f64> {
    let within = (count * 4).div_ceil(5).max(2);
    let step = (best - low) / (within - 1) as f64;
    (0..count).map(|index| low + step * index as f64).collect()
}

/// Targets that are at most `most`, each with what was achieved.
fn up_to(targets: &[f64], achieved: &[f64], most: f64) -> Vec<(f64, f64)> {
    let pairs = targets.iter().copied().zip(achieved.iter().copied());
    pairs.filter(|(target, _)| *target <= most + 1e-6 * most.abs()).collect()
}

/// Draws achieved against asked returns, with the line of equals and the best return of the data.
fn picture(sweep: &Sweep) -> LinePlot {
    let values = sweep.targets.iter().enumerate().map(|(index, &target)| (target, column(&sweep.achieved, index)));
    let equals = sweep.targets.iter().map(|&target| (target, target));
    LinePlot {
        levels: vec![
            Level::upright("best episode of the data", sweep.best),
            Level::upright("expert, or best episode", sweep.expert),
        ],
        ..LinePlot::new(
            format!("{}: return asked and achieved (r = {:.2})", sweep.data, sweep.correlation),
            "target return",
            "mean return achieved",
            [Line::of_seeds("achieved", Summary::Range, values), Line::new("as asked", equals)],
        )
    }
}

impl Settings {
    /// Returns the 5 % quantile and the highest of the data's returns, and the targets.
    fn targets(&self, data: &DataSet) -> (f64, f64, Vec<f64>) {
        let returns = data.trajectories.returns();
        let (low, best) = (quantile(&returns, 0.05), quantile(&returns, 1.0));
        (low, best, targets(low, best, self.targets))
    }

    fn report(&self, sweeps: &[Sweep]) -> Result<Report, Failure> {
        let mut report = Report::new("Return conditioning: targets and achieved returns");
        for sweep in sweeps {
            let rows = sweep.targets.iter().zip(means(&sweep.achieved)).zip(sweep.extremes());
            let rows = rows
                .map(|((target, mean), (least, most))| [*target, mean, least, most].map(|value| format!("{value:.1}")));
            let each: Vec<String> = sweep.correlations.iter().map(|own| format!("{own:.3}")).collect();
            report.heading(format!("{}: r = {:.3}", sweep.data, sweep.correlation));
            report.explanation(format!(
                "The data's returns reach from {:.1} (5 % quantile) to {:.1} (best episode); the expert's mean, or the best \
                 episode where that is lower, is {:.1}. Pearson's r over the targets up to there: **{:.3}** of the mean over \
                 seeds, {} of each seed; over the targets up to the best episode {:.3}.",
                sweep.low,
                sweep.best,
                sweep.expert,
                sweep.correlation,
                each.join(", "),
                sweep.correlation_to_best
            ));
            report.table(&["target", "achieved", "least seed", "best seed"], rows);
            report.picture(format!("{}.png", sweep.data), "sweep", picture(sweep).png(820, 620)?);
        }
        let Sizes { width, layers, context, steps, batch, rate, .. } = self.common.sizes;
        report.heading("Setting");
        report.explanation(format!(
            "{} episodes for each target, played as one batch from the same starts; {} seeds. Transformer of width {width}, \
             {layers} layers, K = {context}, {}; {steps} steps of batch {batch} at rate {rate}. {} episodes of each data set \
             of our own. `metrics.jsonl` has the seconds of each training.",
            self.common.evaluation,
            sweeps.first().map_or(0, |sweep| sweep.losses.len()),
            self.common.sizes.times_in_words(),
            self.common.episodes,
        ));
        report.result("sweeps", json!(sweeps));
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_closed_forms() {
        assert!((correlation(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 1.0).abs() < 1e-12);
        assert!((correlation(&[(0.0, 5.0), (1.0, 3.0), (2.0, 1.0)]) + 1.0).abs() < 1e-12);
        // Deviations (-1, 0, 1) and (-1/3, 2/3, -1/3).
        assert!(correlation(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]).abs() < 1e-12);
        assert_eq!(correlation(&[(0.0, 1.0), (1.0, 1.0)]), 0.0);
    }

    #[test]
    fn targets_reach_from_the_low_end_of_the_data_to_beyond_its_best() {
        let targets = targets(-100.0, 0.0, 6);
        assert_eq!(targets, [-100.0, -75.0, -50.0, -25.0, 0.0, 25.0]);
    }
}
