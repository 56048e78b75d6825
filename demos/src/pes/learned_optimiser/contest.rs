//! Optimisers on one problem: learned ones as they are, SGD and Adam at the rates that serve them best.

use fourfold::Gpu;
use fourfold::evolution::{Evaluator, EvaluatorSettings, GraphProblem};
use fourfold::models::hyperparameters::ImageTask;
use fourfold::models::learned_optimiser::{LearnedTraining, RatedTraining, Rule, TrainedOptimiser};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A problem to compete on.
#[derive(Debug)]
pub struct Contest {
    pub name: String,
    pub about: String,
    pub task: Box<ImageTask>,
}

/// A rule with the rates that it is tuned over.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub name: &'static str,
    pub rule: Rule,
    pub rates: &'static [f64],
}

impl Grid {
    pub const ALL: [Grid; 2] = [
        Grid { name: "Adam", rule: Rule::Adam, rates: &[3e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1] },
        Grid {
            name: "SGD, momentum 0.9",
            rule: Rule::Sgd { momentum: 0.9 },
            rates: &[1e-3, 3e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5],
        },
    ];
}

/// What a competitor did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Competitor {
    pub name: String,
    /// The rate that was found best, and the mean loss of a tuning episode at each rate of the grid.
    pub tuned: Option<(f64, Vec<(f64, f64)>)>,
    /// The loss at each step, for each seed.
    pub curves: Vec<Vec<f64>>,
}

/// All competitors of a contest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub contest: String,
    pub about: String,
    pub competitors: Vec<Competitor>,
}

/// Keys of the episodes that rates are tuned on; those of the contest are `KEY + seed`.
const TUNING: [u32; 2] = [0x7A5E_0001, 0x7A5E_0002];
const KEY: u32 = 0x00C0_7E57;

impl Contest {
    /// Tunes the rivals by the mean loss over `TUNING` episodes, and runs all on other episodes, the same for all:
    /// `seeds` of them.
    ///
    /// # Errors
    /// Settings that make no sense, no memory, or the loss of the device.
    pub fn run(
        self,
        gpu: &Gpu,
        learned: &[(String, TrainedOptimiser)],
        seeds: usize,
        mut report: impl FnMut(&str),
    ) -> Result<Outcome, Failure> {
        let Self { name, about, task, .. } = self;
        let keys: Vec<u32> = (0..seeds as u32).map(|seed| KEY + seed).collect();
        let mut competitors = Vec::new();
        let mut task = *task;
        if let Some((_, TrainedOptimiser { optimiser, .. })) = learned.first() {
            report(&format!("{name}: learned"));
            let problem = LearnedTraining::new(task, *optimiser);
            let rows: Vec<f32> = learned.iter().flat_map(|(_, trained)| trained.theta.iter().copied()).collect();
            let curves = curves(gpu, &problem, &rows, learned.len(), &keys)?;
            for ((name, _), curves) in learned.iter().zip(curves) {
                competitors.push(Competitor { name: name.clone(), tuned: None, curves });
            }
            task = problem.into_task();
        }
        for grid in Grid::ALL {
            report(&format!("{name}: {}", grid.name));
            let problem = RatedTraining { task, rule: grid.rule };
            let logarithms: Vec<f32> = grid.rates.iter().map(|rate| rate.ln() as f32).collect();
            let tried = curves(gpu, &problem, &logarithms, logarithms.len(), &TUNING)?;
            let means = grid.rates.iter().zip(&tried).map(|(&rate, curves)| {
                let losses = curves.iter().flatten();
                (rate, losses.clone().sum::<f64>() / losses.count() as f64)
            });
            let means: Vec<(f64, f64)> = means.collect();
            let best = means.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(grid.rates[0], |(rate, _)| *rate);
            let curves = curves(gpu, &problem, &[best.ln() as f32], 1, &keys)?.remove(0);
            competitors.push(Competitor { name: grid.name.into(), tuned: Some((best, means)), curves });
            task = problem.task;
        }
        Ok(Outcome { contest: name, about, competitors })
    }
}

/// For each of `points` rows of theta, the losses of an episode of each key.
fn curves(
    gpu: &Gpu,
    problem: &dyn GraphProblem,
    rows: &[f32],
    points: usize,
    keys: &[u32],
) -> Result<Vec<Vec<Vec<f64>>>, Failure> {
    let steps = problem.horizon().unwrap_or(1);
    let mut all = vec![Vec::new(); points];
    let settings = EvaluatorSettings { steps: Some(steps), ..EvaluatorSettings::new(points, 0) };
    let mut evaluator = Evaluator::new(gpu, problem, &settings)?;
    for &key in keys {
        evaluator.set_key(key);
        for (curves, curve) in all.iter_mut().zip(evaluator.curves(rows, |_| ())?) {
            curves.push(curve);
        }
    }
    Ok(all)
}
