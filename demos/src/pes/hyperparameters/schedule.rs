//! The schedule of a learning rate: where PES and truncated ES take its two numbers, on a map of the objective.

use clap::{Args, ValueEnum};
use fourfold::Gpu;
use fourfold::evolution::{Evaluator, EvaluatorSettings, GraphProblem};
use fourfold::models::hyperparameters::{Judgement, RateSchedule};
use serde::Serialize;
use serde_json::json;

use super::descent::{PES, Path, TRUNCATED_ES, Training, TrainingFlags};
use super::images::{ImageFlags, Images};
use super::measurement::{MEASURED, measured};
use crate::experiments::sam::DataName;
use crate::failure::Failure;
use crate::options::Common;
use crate::picture::heat_map::HeatMap;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::table;

/// What a schedule is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The cross-entropy of training images, added over all steps
    TrainingLoss,
    /// Minus the share of right answers on validation images, added over all steps: it has no gradient
    ValidationAccuracy,
}

/// Learn the schedule of a learning rate by PES and by truncated ES, and draw both paths on a map of the objective
#[derive(Debug, Clone, Args)]
pub struct Schedule {
    #[command(flatten)]
    pub images: ImageFlags,
    #[command(flatten)]
    pub training: TrainingFlags,
    #[arg(long, value_enum, default_value_t = Objective::TrainingLoss)]
    pub objective: Objective,
    /// Where the first rate `a` starts
    #[arg(long, value_name = "NUMBER", default_value_t = 0.003)]
    pub start_rate: f64,
    /// Where the decay `d` starts
    #[arg(long, value_name = "NUMBER", default_value_t = 30.0)]
    pub start_decay: f64,
    /// Steps after which the rate is `a / 2^d` [default: the horizon, as in the paper]
    #[arg(long, value_name = "STEPS")]
    pub decay_steps: Option<usize>,
    /// The momentum of inner SGD
    #[arg(long, value_name = "NUMBER", default_value_t = 0.9)]
    pub momentum: f32,
    /// Cells of the map in each direction; 0 draws none [default: 16]
    #[arg(long, value_name = "COUNT")]
    pub grid: Option<usize>,
    /// Points that are measured side by side
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub side_by_side: usize,
    /// Trainings whose mean is the objective at a point of the paths
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub episodes: usize,
}

/// Everything that decides the numbers of a run.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    images: Images,
    training: Training,
    objective: Objective,
    start: [f64; 2],
    decay_steps: usize,
    momentum: f32,
    grid: usize,
    side_by_side: usize,
    episodes: usize,
}

/// The part of the plane that the paper shows: a, then d.
const SHOWN: [std::ops::Range<f64>; 2] = [1e-3..0.316_227_766, 0.006_309_573..158.489_319];

/// Outer parameters: the logarithms of a and d.
const PARAMETERS: usize = 2;

impl Schedule {
    /// Trains, measures, writes the folder of the run and prints the table.
    ///
    /// # Errors
    /// Settings that make no sense, files that are missing or cannot be written, no memory, or the loss of the device.
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        println!("{}", self.settings(common.quick)?.run(common)?);
        Ok(())
    }

    fn settings(&self, quick: bool) -> Result<Settings, Failure> {
        let reduced = Training { particles: 40, truncation: 10, sigma: 0.3, rate: 0.03, iterations: 500, points: 40 };
        let (images, training, grid) = if quick {
            (Images::quick(2), Training { particles: 8, truncation: 5, iterations: 20, points: 4, ..reduced }, 4)
        } else if self.training.paper {
            let paper = Training { particles: 1_000, sigma: 0.1, rate: 0.01, iterations: 5_000, ..reduced };
            (Images::paper(DataName::Mnist, 2, 5_000), paper, 40)
        } else {
            (Images::reduced(DataName::Mnist, 2, 500), reduced, 16)
        };
        let (images, training) = (self.images.or(images), self.training.or(training));
        images.check()?;
        training.check()?;
        if !(self.start_rate > 0.0 && self.start_decay > 0.0) || self.side_by_side == 0 || self.episodes == 0 {
            let flags = "--start-rate, --start-decay, --side-by-side and --episodes";
            return Err(Failure::Input(format!("{flags} take numbers above 0")));
        }
        Ok(Settings {
            decay_steps: self.decay_steps.unwrap_or(images.horizon).max(1),
            images,
            training,
            objective: self.objective,
            start: [self.start_rate, self.start_decay],
            momentum: self.momentum,
            grid: self.grid.unwrap_or(grid),
            side_by_side: self.side_by_side,
            episodes: self.episodes,
        })
    }
}

impl Settings {
    fn problem(&self) -> Result<RateSchedule, Failure> {
        let judgement = match self.objective {
            Objective::TrainingLoss => Judgement::TrainingLoss,
            Objective::ValidationAccuracy => Judgement::ValidationAccuracy,
        };
        Ok(RateSchedule { task: self.images.task(judgement)?, momentum: self.momentum, steps: self.decay_steps as f32 })
    }

    fn run(&self, common: &Common) -> Result<String, Failure> {
        let problem = self.problem()?;
        let gpu = common.open(false)?;
        let folder = RunFolder::create(common, "pes", &gpu, json!({ "schedule": self }))?;
        let start = self.start.map(|number| number.ln() as f32);
        let mut paths = Vec::new();
        for estimator in [PES, TRUNCATED_ES] {
            paths.push(self.training.run(&gpu, &problem, estimator, &start, common.seed, common.quiet)?);
        }
        let evaluator = self.measure(&gpu, &problem, self.episodes)?;
        for path in &mut paths {
            let thetas: Vec<f32> = path.thetas.iter().flat_map(|(_, theta)| theta.iter().copied()).collect();
            path.objectives =
                measured(&evaluator, &thetas, PARAMETERS, &format!("the path of {}", path.estimator), common.quiet)?;
        }
        drop(evaluator);
        let map = if self.grid > 0 { Some(self.map(&gpu, &problem, &paths, common.quiet)?) } else { None };
        self.write(&folder, &gpu, &paths, map.as_ref())
    }

    fn measure(&self, gpu: &Gpu, problem: &dyn GraphProblem, episodes: usize) -> Result<Evaluator, Failure> {
        let (points, steps) = (self.side_by_side, Some(self.images.horizon));
        Ok(Evaluator::new(gpu, problem, &EvaluatorSettings { points, episodes, steps, key: MEASURED })?)
    }

    fn axes() -> [Axis; 2] {
        ["first rate a", "decay d"].map(|label| Axis { label: label.into(), logarithmic: true, range: None })
    }

    /// The objective over the plane, with the paths.
    fn map(&self, gpu: &Gpu, problem: &RateSchedule, paths: &[Path], quiet: bool) -> Result<HeatMap, Failure> {
        let evaluator = self.measure(gpu, problem, 1)?;
        let [x, y] = Self::axes();
        let cells = HeatMap::cells(&x, &y, &SHOWN, self.grid, self.grid);
        let thetas: Vec<f32> = cells.iter().flat_map(|&(a, d)| [a.ln() as f32, d.ln() as f32]).collect();
        let values = measured(&evaluator, &thetas, PARAMETERS, "the map", quiet)?;
        let lines = paths.iter().map(|path| Line {
            name: path.estimator.clone(),
            points: path.thetas.iter().map(|(_, theta)| point(theta)).collect(),
            ..Line::default()
        });
        let (label, logarithmic) = match self.objective {
            Objective::TrainingLoss => ("sum of the training losses", true),
            Objective::ValidationAccuracy => ("minus the sum of the accuracies", false),
        };
        Ok(HeatMap {
            title: format!("Schedules for {}", self.images.data),
            x,
            y,
            rectangle: SHOWN,
            columns: self.grid,
            values,
            colours: Axis { label: label.into(), logarithmic, range: None },
            paths: lines.collect(),
            ..HeatMap::default()
        })
    }

    fn write(&self, folder: &RunFolder, gpu: &Gpu, paths: &[Path], map: Option<&HeatMap>) -> Result<String, Failure> {
        let rows = paths.iter().flat_map(|path| [0, path.thetas.len() - 1].map(|index| (path, index)));
        let rows = rows.map(|(path, index)| {
            let (iteration, theta) = &path.thetas[index];
            let (a, d) = point(theta);
            [
                path.estimator.clone(),
                iteration.to_string(),
                format!("{a:.4}"),
                format!("{d:.3}"),
                format!("{:.1}", path.objectives[index]),
                format!("{:.0}", if index == 0 { 0.0 } else { path.seconds }),
            ]
        });
        let header = ["estimator", "iteration", "a", "d", "objective", "seconds"];
        let rows: Vec<_> = rows.collect();
        let lines = paths.iter().map(|path| Line {
            name: path.estimator.clone(),
            points: path.thetas.iter().zip(&path.objectives).map(|((at, _), &value)| (*at as f64, value)).collect(),
            ..Line::default()
        });
        let plot = LinePlot {
            title: "The objective along the way".into(),
            x: Axis::new("outer iterations"),
            y: Axis::new("objective"),
            lines: lines.collect(),
            ..LinePlot::default()
        };
        folder.write("objective.png", &plot.png(900, 540)?)?;
        let mut pictures = String::from("\n![the objective along the way](objective.png)\n");
        let mut best = String::new();
        if let Some(map) = map {
            folder.write("map.png", &map.png(960, 640)?)?;
            pictures.insert_str(0, "\n![paths on the map of the objective](map.png)\n");
            let cells = HeatMap::cells(&map.x, &map.y, &map.rectangle, self.grid, self.grid);
            let least = map.values.iter().zip(&cells).min_by(|a, b| a.0.total_cmp(b.0));
            if let Some((value, (a, d))) = least {
                best = format!(
                    "The least of the {} cells of the map is {value:.1}, at a = {a:.4} and d = {d:.3}.\n",
                    cells.len()
                );
            }
        }
        let results = json!({ "adapter": adapter_json(gpu.info()), "settings": self, "paths": paths,
            "map": map.map(|map| &map.values) });
        folder.write_json("results.json", &results)?;
        let text = table(header, rows.clone());
        let markdown: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
        let Training { particles, truncation, sigma, rate, .. } = self.training;
        let settings = format!(
            "{}; N = {particles}, K = {truncation}, sigma = {sigma}, Adam {rate}; the rate is `a / (1 + t / {})^d`.",
            self.images.words(),
            self.decay_steps
        );
        let report = format!(
            "# The schedule of a learning rate\n\n{settings}\n\n| {} |\n| {} |\n{markdown}\n{best}{pictures}",
            header.join(" | "),
            header.map(|_| "---").join(" | "),
        );
        folder.write("report.md", report.as_bytes())?;
        Ok(format!("{settings}\n\n{text}\n\n{best}"))
    }
}

/// (a, d) of theta.
fn point(theta: &[f32]) -> (f64, f64) {
    (f64::from(theta[0]).exp(), f64::from(theta[1]).exp())
}
