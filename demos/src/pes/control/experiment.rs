//! Every estimator tuned over the same grid and then trained on seeds that the tuning did not see.

use clap::Args;
use fourfold::Gpu;
use serde::Serialize;

use super::{Choice, Curve, Task, Trainer, Way, report};
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// The settings of the experiment.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Settings {
    /// The tasks: swimmer, swimmer-short, swing-up, pendulum [default: all]
    #[arg(long = "task", value_name = "NAMES", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Seeds of the trainings that are compared, from --seed on
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub seeds: u32,
    /// Other seeds, on which each estimator is tuned
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub tuning_seeds: u32,
    /// Learning rates of Adam to choose from
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_values_t = [0.01, 0.03, 0.1, 0.3, 1.0])]
    pub rates: Vec<f32>,
    /// Standard deviations of perturbations to choose from
    #[arg(long, value_name = "DEVIATIONS", value_delimiter = ',', default_values_t = [0.1, 0.3])]
    pub sigmas: Vec<f32>,
    /// Points of each curve
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub points: usize,
    /// Episodes that each point is the mean of
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub episodes: usize,
}

/// The first of the tuning's seeds, counted from --seed.
const TUNING: u32 = 1_000;

impl Settings {
    /// The tasks by their names.
    fn tasks(&self) -> Result<Vec<Task>, Failure> {
        let all = Task::all();
        if self.tasks.is_empty() {
            return Ok(all.to_vec());
        }
        let find = |name: &String| {
            all.iter().find(|task| task.name == name).cloned().ok_or_else(|| {
                let names = all.each_ref().map(|task| task.name).join(", ");
                Failure::Input(format!("--task: expected some of {names}, got `{name}`"))
            })
        };
        self.tasks.iter().map(find).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        let positive =
            |values: &[f32]| !values.is_empty() && values.iter().all(|value| value.is_finite() && *value > 0.0);
        for (name, values) in [("--rates", &self.rates), ("--sigmas", &self.sigmas)] {
            if !positive(values) {
                return Err(Failure::Input(format!("{name}: expected finite numbers above 0, got {values:?}")));
            }
        }
        let counts = [("--seeds", self.seeds as usize), ("--tuning-seeds", self.tuning_seeds as usize)];
        for (name, count) in counts.into_iter().chain([("--points", self.points), ("--episodes", self.episodes)]) {
            if !(1..=1_000).contains(&count) {
                return Err(Failure::Input(format!("{name}: expected 1 to 1000, got {count}")));
            }
        }
        Ok(())
    }

    fn grid(&self) -> impl Iterator<Item = Choice> {
        self.sigmas.iter().flat_map(|&sigma| self.rates.iter().map(move |&rate| Choice { sigma, rate }))
    }

    /// The same with less of all, to see it work.
    fn quick(self) -> Self {
        Self { seeds: self.seeds.min(2), tuning_seeds: 1, rates: vec![0.03, 0.1], sigmas: vec![0.3], ..self }
    }
}

/// One estimator on one task.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub estimator: &'static str,
    /// Steps of an unroll.
    pub truncation: usize,
    /// Environment steps of an outer iteration.
    pub steps: u64,
    pub choice: Choice,
    /// The mean return along the curves of the tuning's seeds, for each choice.
    pub tuning: Vec<(Choice, f64)>,
    /// One training for each seed.
    pub curves: Vec<Curve>,
}

/// Runs the experiment and writes its report.
///
/// # Errors
/// Settings that make no sense, a folder that cannot be written, or the loss of the device.
pub fn run(common: &Common, settings: &Settings) -> Result<(), Failure> {
    let settings = if common.quick { settings.clone().quick() } else { settings.clone() };
    settings.check()?;
    let mut tasks = settings.tasks()?;
    if common.quick {
        tasks.iter_mut().for_each(|task| task.budget /= 10);
    }
    let gpu = common.open(false)?;
    let folder =
        RunFolder::create(common, "pes-control", &gpu, serde_json::to_value(&settings).map_err(Failure::run)?)?;
    let trainings = settings.grid().count() as u64 * u64::from(settings.tuning_seeds) + u64::from(settings.seeds);
    let total = trainings * Way::ALL.len() as u64 * tasks.len() as u64;
    let mut progress = Progress::new("control", total, common.quiet);
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        let compared = compare(&gpu, &task, &settings, common.seed as u32, &mut progress)?;
        results.push((task, compared));
    }
    progress.finish();
    let summary = report::write(&folder, &settings, &results, &gpu)?;
    println!("{summary}\n\nThe run is in {}", folder.path().display());
    Ok(())
}

/// The mean over a curve, but for its start: what an estimator is tuned for.
fn along(curve: &Curve) -> f64 {
    let returns = curve.iter().skip(1).map(|point| if point.1.is_finite() { point.1 } else { -1e9 });
    returns.sum::<f64>() / (curve.len() - 1) as f64
}

fn compare(
    gpu: &Gpu,
    task: &Task,
    settings: &Settings,
    seed: u32,
    progress: &mut Progress,
) -> Result<Vec<Compared>, Failure> {
    let trainer = Trainer::new(gpu, task, [settings.points, settings.episodes])?;
    let mut compared = Vec::with_capacity(Way::ALL.len());
    for way in Way::ALL {
        let mut train = |choice: Choice, seeds: std::ops::Range<u32>| -> Result<Vec<Curve>, Failure> {
            progress.say(format!("{}, {}, sigma {}, rate {}", task.name, way.name, choice.sigma, choice.rate));
            let one = |number: u32| {
                let curve = trainer.train(&way, choice, seed.wrapping_add(number));
                progress.advance(1);
                curve
            };
            seeds.map(one).collect()
        };
        let mut tuning = Vec::new();
        for choice in settings.grid() {
            let curves = train(choice, TUNING..TUNING + settings.tuning_seeds)?;
            tuning.push((choice, curves.iter().map(along).sum::<f64>() / curves.len() as f64));
        }
        let best = tuning.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let choice = best.unwrap_or_else(|| unreachable!("the grid was checked to hold a choice")).0;
        let curves = train(choice, 0..settings.seeds)?;
        let (truncation, steps) = (way.truncation(task), way.steps(task));
        compared.push(Compared { estimator: way.name, truncation, steps, choice, tuning, curves });
    }
    Ok(compared)
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
