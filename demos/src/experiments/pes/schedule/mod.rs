//! `fourfold pes schedule`: the schedule of a learning rate, where PES and truncated ES take its two numbers, on a map of
//! the objective.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fourfold::evolution::EvaluatorSettings;
use fourfold::models::hyperparameters::{Judgement, RateSchedule};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hyperparameter_training::{
    Defaults, Images, MEASURED, PES, Path, QUICK, TRUNCATED_ES, Training, check_measurement, measured, with_default,
};
use crate::data_name::DataName;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::picture::axis::Axis;
use crate::picture::heat_map::HeatMap;
use crate::picture::plot::{Line, LinePlot};
use crate::run::Run;
use crate::run::report::Report;

/// Learn the schedule of a learning rate by PES and by truncated ES, and draw both paths on a map of the objective
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_args(|flag| with_default(flag, DEFAULTS)))]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub images: Images,
    #[command(flatten)]
    #[serde(flatten)]
    pub training: Training,
    /// Objective of the schedule
    #[arg(long, value_enum, default_value_t = Objective::TrainingLoss)]
    pub objective: Objective,
    /// Initial value of the first rate `a`
    #[arg(long, value_name = "NUMBER", default_value_t = 0.003)]
    pub start_rate: f64,
    /// Initial value of the decay `d`
    #[arg(long, value_name = "NUMBER", default_value_t = 30.0)]
    pub start_decay: f64,
    /// Steps after which the rate is `a / 2^d` [default: the horizon, as in the paper]
    #[arg(long, value_name = "STEPS")]
    pub decay_steps: Option<usize>,
    /// Momentum of inner SGD
    #[arg(long, value_name = "NUMBER", default_value_t = 0.9)]
    pub momentum: f32,
    /// Cells of the map in each direction; 0 draws none
    #[arg(long, value_name = "COUNT")]
    pub grid: usize,
    /// Points to measure side by side
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub side_by_side: usize,
    /// Trainings averaged at each point of the paths
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub episodes: usize,
}

const DEFAULTS: &Defaults = &[
    ("data", ["mnist", "mnist"]),
    ("pool", ["4", "1"]),
    ("layers", ["2", "2"]),
    ("units", ["32", "100"]),
    ("batch", ["50", "100"]),
    ("horizon", ["500", "5000"]),
    ("particles", ["40", "1000"]),
    ("truncation", ["10", "10"]),
    ("sigma", ["0.3", "0.1"]),
    ("rate", ["0.03", "0.01"]),
    ("iterations", ["500", "5000"]),
    ("points", ["40", "40"]),
    ("grid", ["16", "40"]),
];

impl Experiment for Settings {
    const NAME: &'static str = "pes schedule";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("particles", "8"), ("iterations", "20"), ("points", "4"), ("grid", "4")];
    const SHARED_QUICK: &'static [(&'static str, &'static str)] = QUICK;
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[("paper", "true")]);

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("data_dir", "data", DataName::WITH_FILES)];

    fn inputs(&self) -> Vec<PathBuf> {
        self.images.files()
    }

    fn check(&self) -> Result<(), Failure> {
        self.images.check()?;
        self.training.check()?;
        limits::counts([("--decay-steps", self.decay_steps(), 1..=limits::STEPS), ("--grid", self.grid, 0..=1_000)])?;
        limits::numbers([
            ("--start-rate", self.start_rate, Span::above(0.0, 1e6)),
            ("--start-decay", self.start_decay, Span::above(0.0, 1e6)),
            ("--momentum", self.momentum.into(), Span::below(0.0, 1.0)),
        ])?;
        check_measurement(self.side_by_side, self.episodes, self.images.horizon)?;
        self.problem().map(|_| ())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let (problem, training, seed) = (self.problem()?, &self.training, run.seed() as u32);
        let start = [self.start_rate, self.start_decay].map(|number| number.ln() as f32);
        run.progress("schedule", 2 * training.iterations as u64);
        let mut paths = Vec::new();
        for estimator in [PES, TRUNCATED_ES] {
            paths.push(training.train(run, &problem, estimator, &start, seed)?);
        }
        let cells = self.cells();
        let points = paths.iter().map(|path| path.thetas.len()).sum::<usize>() + cells.len();
        run.progress("measuring", points as u64);
        for path in &mut paths {
            let thetas: Vec<f32> = path.thetas.iter().flat_map(|(_, theta)| theta.iter().copied()).collect();
            let stage = format!("the path of {}", path.estimator);
            path.objectives = measured(run, &stage, &problem, &self.measurement(self.episodes), &thetas)?;
        }
        let thetas: Vec<f32> = cells.iter().flat_map(|&(a, d)| [a.ln() as f32, d.ln() as f32]).collect();
        let map = match cells.is_empty() {
            true => None,
            false => Some(self.map(&paths, measured(run, "the map", &problem, &self.measurement(1), &thetas)?)),
        };
        self.report(&paths, map.as_ref())
    }
}

/// The objective of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The cross-entropy of training images, added over all steps
    TrainingLoss,
    /// Minus the share of right answers on validation images, added over all steps: it has no gradient
    ValidationAccuracy,
}

/// The part of the plane that the paper shows: a, then d.
const SHOWN: [std::ops::Range<f64>; 2] = [1e-3..0.316_227_766, 0.006_309_573..158.489_319];

impl Settings {
    fn decay_steps(&self) -> usize {
        self.decay_steps.unwrap_or(self.images.horizon)
    }

    fn problem(&self) -> Result<RateSchedule, Failure> {
        let judgement = match self.objective {
            Objective::TrainingLoss => Judgement::TrainingLoss,
            Objective::ValidationAccuracy => Judgement::ValidationAccuracy,
        };
        let task = self.images.task(judgement)?;
        Ok(RateSchedule { task, momentum: self.momentum, steps: self.decay_steps() as f32 })
    }

    fn measurement(&self, episodes: usize) -> EvaluatorSettings {
        let (points, steps) = (self.side_by_side, Some(self.images.horizon));
        EvaluatorSettings { points, episodes, steps, key: MEASURED }
    }

    fn axes() -> [Axis; 2] {
        ["first rate a", "decay d"].map(|label| Axis { label: label.into(), logarithmic: true, range: None })
    }

    /// The cells of the map, as (a, d).
    fn cells(&self) -> Vec<(f64, f64)> {
        let ([x, y], grid) = (Self::axes(), self.grid);
        if grid == 0 { Vec::new() } else { HeatMap::cells(&x, &y, &SHOWN, grid, grid) }
    }

    /// Draws the objective over the plane, with the paths.
    fn map(&self, paths: &[Path], values: Vec<f64>) -> HeatMap {
        let [x, y] = Self::axes();
        let lines = paths
            .iter()
            .map(|path| Line::new(path.estimator.clone(), path.thetas.iter().map(|(_, theta)| point(theta))));
        let (label, logarithmic) = match self.objective {
            Objective::TrainingLoss => ("sum of the training losses", true),
            Objective::ValidationAccuracy => ("minus the sum of the accuracies", false),
        };
        HeatMap {
            title: format!("Schedules for {}", self.images.data),
            x,
            y,
            rectangle: SHOWN,
            columns: self.grid,
            values,
            colours: Axis { label: label.into(), logarithmic, range: None },
            paths: lines.collect(),
            ..HeatMap::default()
        }
    }

    fn report(&self, paths: &[Path], map: Option<&HeatMap>) -> Result<Report, Failure> {
        let Training { particles, truncation, sigma, rate, .. } = self.training;
        let mut report = Report::new("The schedule of a learning rate");
        report.paragraph(format!(
            "{}; N = {particles}, K = {truncation}, sigma = {sigma}, Adam {rate}; the rate is `a / (1 + t / {})^d`.",
            self.images.words(),
            self.decay_steps()
        ));
        let rows = paths.iter().flat_map(|path| [0, path.thetas.len() - 1].map(|index| (path, index)));
        let row = |(path, index): (&Path, usize)| {
            let (iteration, theta) = &path.thetas[index];
            let (a, d) = point(theta);
            let objective = format!("{:.1}", path.objectives[index]);
            [path.estimator.clone(), iteration.to_string(), format!("{a:.4}"), format!("{d:.3}"), objective]
        };
        report.table(&["estimator", "iteration", "a", "d", "objective"], rows.map(row));
        if let Some(map) = map {
            let cells = self.cells();
            let least = map.values.iter().zip(&cells).min_by(|a, b| a.0.total_cmp(b.0));
            if let Some((value, (a, d))) = least {
                let count = cells.len();
                report.paragraph(format!(
                    "The least of the {count} cells of the map is {value:.1}, at a = {a:.4} and d = {d:.3}."
                ));
            }
            report.picture("map.png", "paths on the map of the objective", map.png(960, 640)?);
        }
        let lines = paths.iter().map(|path| {
            Line::new(
                path.estimator.clone(),
                path.thetas.iter().zip(&path.objectives).map(|((at, _), &value)| (*at as f64, value)),
            )
        });
        let plot = LinePlot::new("The objective along the way", "outer iterations", "objective", lines);
        report.picture("objective.png", "the objective along the way", plot.png(900, 540)?);
        report.result("paths", json!(paths));
        report.result("map", json!(map.map(|map| &map.values)));
        Ok(report)
    }
}

/// Returns (a, d) of theta.
fn point(theta: &[f32]) -> (f64, f64) {
    (f64::from(theta[0]).exp(), f64::from(theta[1]).exp())
}
