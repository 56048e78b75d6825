//! `fourfold pes control`: policies learned by persistent, full and truncated evolution strategies, by their return for
//! each environment step of training: the control experiment of Vicol et al. (2021).
//!
//! Every estimator is tuned over the same grid and then trained on seeds that the tuning did not see.

mod report;
mod training;

use clap::Args;
use fourfold::models::TrainedPolicy;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;
use training::{Curve, EstimatorSetup, Hyperparameters, Task, Trainer};

/// Learn policies for a swimmer, a cart-pole and a pendulum, and compare estimators per environment step
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Tasks: swimmer, swimmer-short, swing-up, pendulum [default: all]
    #[arg(long = "task", value_name = "NAMES", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Seeds on which each estimator is tuned, from 1,000 above --seed on
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub tuning_seeds: u32,
    /// Learning rates of Adam to choose from
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_values_t = [0.01, 0.03, 0.1, 0.3, 1.0])]
    pub rates: Vec<f32>,
    /// Standard deviations of perturbations to choose from
    #[arg(long, value_name = "DEVIATIONS", value_delimiter = ',', default_values_t = [0.1, 0.3])]
    pub sigmas: Vec<f32>,
    /// Environment steps of a training, as a share of the budget of its task
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub budget: f64,
    /// Points of each curve
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub points: usize,
    /// Episodes averaged at each point
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub episodes: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "pes control";
    const SEEDS: Option<&'static str> = Some("8");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("seeds", "2"), ("tuning_seeds", "1"), ("rates", "0.03,0.1"), ("sigmas", "0.3"), ("budget", "0.1")];

    fn check(&self) -> Result<(), Failure> {
        for (flag, values) in [("--rates", &self.rates), ("--sigmas", &self.sigmas)] {
            limits::numbers(values.iter().map(|&value| (flag, value.into(), limits::SIGMA)))?;
        }
        let mut grid: Vec<_> = self.grid().map(|one| (one.sigma.to_bits(), one.rate.to_bits())).collect();
        grid.sort_unstable();
        if grid.windows(2).any(|pair| pair[0] == pair[1]) {
            let (rates, sigmas) = (&self.rates, &self.sigmas);
            return Err(Failure::Input(format!(
                "--rates and --sigmas: expected distinct numbers, got {rates:?} and {sigmas:?}"
            )));
        }
        if !(self.budget > 0.0 && self.budget <= 1e3) {
            return Err(Failure::Input(format!("--budget: expected a number above 0 up to 1000, got {}", self.budget)));
        }
        limits::counts([
            ("--tuning-seeds", self.tuning_seeds as usize, 1..=1_000),
            ("--points", self.points, 1..=1_000),
            ("--episodes", self.episodes, 1..=1_000),
        ])?;
        self.tasks().map(|_| ())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let (seeds, tasks) = (run.seeds(), self.tasks()?);
        let first = (run.seed() as u32).wrapping_add(TUNING);
        let tuning: Vec<u32> = (0..self.tuning_seeds).map(|index| first.wrapping_add(index)).collect();
        if let Some(seed) = seeds.iter().find(|seed| tuning.contains(seed)) {
            return Err(Failure::Input(format!("--seeds: {seed} is a tuning seed: expected other seeds")));
        }
        let trainings = self.grid().count() * tuning.len() + seeds.len();
        run.progress("control", (trainings * EstimatorSetup::ALL.len() * tasks.len()) as u64);
        let mut results = Vec::with_capacity(tasks.len());
        for task in tasks {
            let compared = self.compare(run, &task, &tuning, &seeds)?;
            results.push((task, compared));
        }
        report::report(self, seeds.len(), &results)
    }
}

/// The first tuning seed, counted from `--seed`.
const TUNING: u32 = 1_000;

impl Settings {
    /// Finds the tasks by their names.
    fn tasks(&self) -> Result<Vec<Task>, Failure> {
        let mut all = Task::all();
        for task in &mut all {
            task.budget = (task.budget as f64 * self.budget).round() as u64;
        }
        if self.tasks.is_empty() {
            return Ok(all.to_vec());
        }
        let names = all.each_ref().map(|task| task.name).join(", ");
        let find = |(index, name): (usize, &String)| {
            let task = all.iter().find(|task| task.name == name).filter(|_| !self.tasks[..index].contains(name));
            task.cloned()
                .ok_or_else(|| Failure::Input(format!("--task: expected some of {names}, each once, got `{name}`")))
        };
        self.tasks.iter().enumerate().map(find).collect()
    }

    fn grid(&self) -> impl Iterator<Item = Hyperparameters> {
        self.sigmas.iter().flat_map(|&sigma| self.rates.iter().map(move |&rate| Hyperparameters { sigma, rate }))
    }

    /// Tunes and trains all estimators on a task.
    fn compare(
        &self,
        run: &mut Run,
        task: &Task,
        tuning_seeds: &[u32],
        seeds: &[u32],
    ) -> Result<Vec<Compared>, Failure> {
        let gpu = run.gpu();
        let trainer = Trainer::new(&gpu, task, [self.points, self.episodes])?;
        let mut compared = Vec::with_capacity(EstimatorSetup::ALL.len());
        for setup in EstimatorSetup::ALL {
            let mut train = |stage: &str, hyperparameters: Hyperparameters, seeds: &[u32]| {
                let Hyperparameters { sigma, rate } = hyperparameters;
                let name = format!("{}, {}, sigma {sigma}, rate {rate}", task.name, setup.name);
                run.say(name.as_str());
                let one = |&seed: &u32| {
                    let curve: Vec<(f64, Option<f64>)> =
                        run.stage(&format!("{stage}: {name}, seed {seed}"), 1, |run| {
                            let (curve, weights) = trainer.train(&setup, hyperparameters, seed)?;
                            let finite = |value: f64| value.is_finite().then_some(value);
                            let curve: Vec<_> = curve.into_iter().map(|(at, value)| (at, finite(value))).collect();
                            run.log(&json!({
                                "task": task.name, "estimator": setup.name, "sigma": sigma, "rate": rate, "stage": stage,
                                "seed": seed, "returns": curve,
                            }))?;
                            let (network, interface) = task.policy.clone();
                            // A training that diverged leaves no policy.
                            if let ("training", Ok(trained)) = (stage, TrainedPolicy::new(network, interface, weights))
                            {
                                let file = format!("{}-{}-{seed}.safetensors", task.name, setup.name.replace(' ', "-"));
                                let mut checkpoint = trained.to_checkpoint();
                                checkpoint.set("environment", task.world);
                                run.write_checkpoint(&file, &checkpoint)?;
                            }
                            Ok(curve)
                        })?;
                    Ok(curve.into_iter().map(|(at, value)| (at, value.unwrap_or(f64::NAN))).collect())
                };
                seeds.iter().map(one).collect::<Result<Vec<Curve>, Failure>>()
            };
            let mut tuning = Vec::new();
            for hyperparameters in self.grid() {
                let curves = train("tuning", hyperparameters, tuning_seeds)?;
                tuning.push((hyperparameters, curves.iter().map(along).sum::<f64>() / curves.len() as f64));
            }
            let best = tuning.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let hyperparameters = best.unwrap_or_else(|| unreachable!("the grid was checked to hold a point")).0;
            let curves = train("training", hyperparameters, seeds)?;
            let (truncation, steps) = (setup.truncation(task), setup.steps(task));
            compared.push(Compared { estimator: setup.name, truncation, steps, hyperparameters, tuning, curves });
        }
        Ok(compared)
    }
}

/// One estimator on one task.
#[derive(Debug, Clone, Serialize)]
struct Compared {
    estimator: &'static str,
    /// Steps of an unroll.
    truncation: usize,
    /// Environment steps of an outer iteration.
    steps: u64,
    hyperparameters: Hyperparameters,
    /// The mean return along the curves of the tuning seeds, for each point of the grid.
    tuning: Vec<(Hyperparameters, f64)>,
    /// One training for each seed.
    curves: Vec<Curve>,
}

/// Returns the mean over a curve without its start, by which an estimator is tuned.
fn along(curve: &Curve) -> f64 {
    let returns = curve.iter().skip(1).map(|point| if point.1.is_finite() { point.1 } else { -1e9 });
    returns.sum::<f64>() / (curve.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_counts_by_all_that_comes_after_its_start() {
        assert_eq!(along(&vec![(0.0, 100.0), (1.0, 2.0), (2.0, 4.0)]), 3.0);
        assert!(along(&vec![(0.0, 0.0), (1.0, f64::NAN)]) < -1e8);
    }
}
