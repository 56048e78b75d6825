//! Optimisers on one problem: learned ones as they are, SGD and Adam at their best rates.

use fourfold::Gpu;
use fourfold::data::Dataset;
use fourfold::evolution::{Evaluator, EvaluatorSettings, GraphProblem};
use fourfold::models::hyperparameters::ImageTask;
use fourfold::models::learned_optimiser::{LearnedTraining, RatedTraining, Rule, TrainedOptimiser};
use serde::{Deserialize, Deserializer, Serialize};

use super::Settings;
use crate::failure::Failure;
use crate::run::Run;

/// A problem to compete on.
#[derive(Debug)]
pub struct Contest {
    pub name: String,
    pub about: String,
    pub images: Dataset,
    /// Units of the hidden layers.
    pub hidden: &'static [usize],
    /// Inner steps.
    pub steps: usize,
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

/// The losses of one optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Competitor {
    pub name: String,
    /// The best rate, and the mean loss of a tuning episode at each rate of the grid.
    #[serde(deserialize_with = "grid")]
    pub tuned: Tuned,
    /// The loss at each step, for each seed.
    #[serde(deserialize_with = "rows")]
    pub curves: Vec<Vec<f64>>,
}

/// JSON has null for a number that is not finite.
fn rows<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<Vec<f64>>, D::Error> {
    let rows: Vec<Vec<Option<f64>>> = Deserialize::deserialize(deserializer)?;
    let numbers = |row: Vec<Option<f64>>| row.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect();
    Ok(rows.into_iter().map(numbers).collect())
}

/// The best rate, and the loss at each rate of the grid.
type Stored<Loss> = Option<(f64, Vec<(f64, Loss)>)>;
type Tuned = Stored<f64>;

fn grid<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Tuned, D::Error> {
    let grid: Stored<Option<f64>> = Deserialize::deserialize(deserializer)?;
    let number = |(rate, loss): (f64, Option<f64>)| (rate, loss.unwrap_or(f64::NAN));
    Ok(grid.map(|(best, means)| (best, means.into_iter().map(number).collect())))
}

/// All competitors of a contest.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub contest: String,
    pub about: String,
    pub competitors: Vec<Competitor>,
}

/// Keys of the episodes that rates are tuned on; those of the contest are `KEY + seed`.
const TUNING: [u32; 2] = [0x7A5E_0001, 0x7A5E_0002];
const KEY: u32 = 0x00C0_7E57;

impl Contest {
    /// Stages of a contest: the learned optimisers, and each rival.
    pub const STAGES: usize = 1 + Grid::ALL.len();

    /// Tunes the rivals by the mean loss over `TUNING` episodes, and runs all on other episodes, the same for all: one for
    /// each seed.
    ///
    /// # Errors
    /// Settings out of range, out of memory, or the loss of the device.
    pub fn run(
        &self,
        run: &mut Run,
        settings: &Settings,
        learned: &[(String, TrainedOptimiser)],
        seeds: &[u32],
    ) -> Result<Outcome, Failure> {
        let keys: Vec<u32> = seeds.iter().map(|seed| KEY.wrapping_add(*seed)).collect();
        let mut competitors: Vec<Competitor> = run.stage(&format!("{}: learned", self.name), 1, |run| {
            let Some((_, TrainedOptimiser { optimiser, .. })) = learned.first() else { return Ok(Vec::new()) };
            let problem = LearnedTraining::new(self.task(settings)?, *optimiser);
            let rows: Vec<f32> = learned.iter().flat_map(|(_, trained)| trained.theta.iter().copied()).collect();
            let curves = curves(&run.gpu(), &problem, &rows, learned.len(), &keys)?;
            let named = learned.iter().zip(curves);
            Ok(named.map(|((name, _), curves)| Competitor { name: name.clone(), tuned: None, curves }).collect())
        })?;
        for grid in Grid::ALL {
            let stage = format!("{}: {}", self.name, grid.name);
            run.say(stage.as_str());
            competitors.push(run.stage(&stage, 1, |run| self.tuned(run, settings, grid, &keys))?);
        }
        Ok(Outcome { contest: self.name.clone(), about: self.about.clone(), competitors })
    }

    fn task(&self, settings: &Settings) -> Result<ImageTask, Failure> {
        settings.task(self.images.clone(), self.hidden, self.steps)
    }

    /// Finds the best rate of a rule, and runs it.
    fn tuned(&self, run: &Run, settings: &Settings, grid: Grid, keys: &[u32]) -> Result<Competitor, Failure> {
        let problem = RatedTraining { task: self.task(settings)?, rule: grid.rule };
        let logarithms: Vec<f32> = grid.rates.iter().map(|rate| rate.ln() as f32).collect();
        let tried = curves(&run.gpu(), &problem, &logarithms, logarithms.len(), &TUNING)?;
        let means = grid.rates.iter().zip(&tried).map(|(&rate, curves)| {
            let losses = curves.iter().flatten();
            (rate, losses.clone().sum::<f64>() / losses.count() as f64)
        });
        let means: Vec<(f64, f64)> = means.collect();
        let best = means.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(grid.rates[0], |(rate, _)| *rate);
        let curves = curves(&run.gpu(), &problem, &[best.ln() as f32], 1, keys)?.remove(0);
        Ok(Competitor { name: grid.name.into(), tuned: Some((best, means)), curves })
    }
}

/// Returns, for each of `points` rows of theta, the losses of an episode of each key.
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
        evaluator.set_key(key)?;
        for (curves, curve) in all.iter_mut().zip(evaluator.curves(rows, |_| ())?) {
            curves.push(curve);
        }
    }
    Ok(all)
}
