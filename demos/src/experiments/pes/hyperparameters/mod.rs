//! `fourfold pes hyperparameters`: a rate and a momentum for each tensor and a width for each layer, by PES, truncated ES
//! and random search, for the same number of inner steps.

use std::path::PathBuf;

use clap::Args;
use fourfold::evolution::{EvaluatorSettings, GraphProblem};
use fourfold::models::hyperparameters::{Judgement, TensorHyperparameters};
use fourfold::shaders::random::threefry::Random;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hyperparameter_training::{
    Defaults, Images, MEASURED, PES, Path, QUICK, TRUNCATED_ES, Training, check_measurement, measured, with_default,
};
use crate::data_name::DataName;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::picture::plot::{Line, LinePlot, Summary};
use crate::run::Run;
use crate::run::report::Report;

/// Learn the rate and the momentum of each tensor and the width of each layer, by PES, truncated ES and random search
///
/// The paper has --seeds 4.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_args(|flag| with_default(flag, DEFAULTS)))]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub images: Images,
    #[command(flatten)]
    #[serde(flatten)]
    pub training: Training,
    /// Points to measure side by side
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub side_by_side: usize,
    /// Trainings averaged at each point of the paths, and at the best points of random search
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub episodes: usize,
}

const DEFAULTS: &Defaults = &[
    ("data", ["fashion-mnist", "fashion-mnist"]),
    ("pool", ["4", "1"]),
    ("layers", ["5", "5"]),
    ("units", ["32", "100"]),
    ("batch", ["32", "100"]),
    ("horizon", ["200", "1000"]),
    ("particles", ["20", "10"]),
    ("truncation", ["10", "10"]),
    ("sigma", ["0.3", "0.3"]),
    ("rate", ["0.03", "0.01"]),
    ("iterations", ["500", "50000"]),
    ("points", ["20", "500"]),
];

impl Experiment for Settings {
    const NAME: &'static str = "pes hyperparameters";
    const SEEDS: Option<&'static str> = Some("3");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("seeds", "1"), ("particles", "4"), ("iterations", "12"), ("points", "3")];
    const SHARED_QUICK: &'static [(&'static str, &'static str)] = QUICK;
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[("paper", "true")]);

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("data_dir", "data", DataName::WITH_FILES)];

    fn inputs(&self) -> Vec<PathBuf> {
        self.images.files()
    }

    fn check(&self) -> Result<(), Failure> {
        let images = &self.images;
        limits::counts([("--layers", images.layers, 1..=limits::LAYERS)])?;
        images.check()?;
        self.training.check()?;
        check_measurement(self.side_by_side, self.episodes, images.horizon)?;
        self.problem().map(|_| ())
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let (problem, training, seeds) = (self.problem()?, &self.training, run.seeds());
        run.progress("hyperparameters", (2 * seeds.len() * training.iterations) as u64);
        let mut paths = Vec::new();
        for &seed in &seeds {
            let start = STARTS.draw(&problem, &mut Random::new(seed, START));
            for estimator in [PES, TRUNCATED_ES] {
                paths.push(training.train(run, &problem, estimator, &start, seed)?);
            }
        }
        let points = paths.iter().map(|path| path.thetas.len() as u64).sum();
        run.progress("measuring", points);
        self.measure(run, &problem, "measuring the paths", &mut paths)?;
        let steps = paths.iter().map(|path| path.inner_steps * training.iterations).min().unwrap_or(0);
        let candidates = (steps / self.images.horizon).max(1);
        run.progress("random search", (seeds.len() * candidates) as u64);
        for &seed in &seeds {
            paths.push(self.search(run, &problem, seed, candidates)?);
        }
        self.report(&problem, &paths, steps)
    }
}

/// The ranges in which theta is drawn: rates on a logarithmic scale, momenta and shares of units by their logits, all uniformly.
struct Ranges {
    rate: [f64; 2],
    momentum: [f64; 2],
    share: [f64; 2],
}

/// The starts of PES and ES, and the ranges of random search: as in the authors' code, but for the rates of the
/// starts, which are ten times as high, since the trainings that are the default here are a fifth as long.
const STARTS: Ranges = Ranges { rate: [1e-3, 1e-1], momentum: [0.01, 0.9], share: [0.2, 0.8] };
const SEARCHED: Ranges = Ranges { rate: [1e-8, 10.0], momentum: [0.01, 0.999], share: [0.01, 0.999] };

impl Ranges {
    fn draw(&self, problem: &TensorHyperparameters, random: &mut Random) -> Vec<f32> {
        let mut between = |[low, high]: [f64; 2]| low + (high - low) * f64::from(random.uniform());
        let logit = |share: f64| (share / (1.0 - share)).ln();
        let rates = (0..problem.tensors()).map(|_| self.rate.map(f64::ln));
        let momenta = (0..problem.tensors()).map(|_| self.momentum.map(logit));
        let shares = (0..problem.layers()).map(|_| self.share.map(logit));
        let ranges: Vec<_> = rates.chain(momenta).chain(shares).collect();
        ranges.into_iter().map(|range| between(range) as f32).collect()
    }
}

/// The stream of random search, and that of starts.
const SEARCH: u32 = 1;
const START: u32 = 2;

const METHODS: [&str; 3] = [PES.0, TRUNCATED_ES.0, "random search"];

impl Settings {
    fn problem(&self) -> Result<TensorHyperparameters, Failure> {
        Ok(TensorHyperparameters::new(self.images.task(Judgement::ValidationLoss)?))
    }

    fn measurement(&self, episodes: usize, key: u32) -> EvaluatorSettings {
        EvaluatorSettings { points: self.side_by_side, episodes, steps: Some(self.images.horizon), key }
    }

    /// Measures the objective along the paths.
    fn measure(
        &self,
        run: &mut Run,
        problem: &dyn GraphProblem,
        stage: &str,
        paths: &mut [Path],
    ) -> Result<(), Failure> {
        let thetas: Vec<f32> =
            paths.iter().flat_map(|path| &path.thetas).flat_map(|(_, theta)| theta.iter().copied()).collect();
        let settings = self.measurement(self.episodes, MEASURED);
        let mut values = measured(run, stage, problem, &settings, &thetas)?.into_iter();
        for path in paths {
            path.objectives = values.by_ref().take(path.thetas.len()).collect();
        }
        Ok(())
    }

    /// Searches random points, each worth one whole training; the path has those that are better than all before,
    /// measured as the points of other methods are.
    fn search(
        &self,
        run: &mut Run,
        problem: &TensorHyperparameters,
        seed: u32,
        points: usize,
    ) -> Result<Path, Failure> {
        let mut random = Random::new(seed, SEARCH);
        let candidates: Vec<Vec<f32>> = (0..points).map(|_| SEARCHED.draw(problem, &mut random)).collect();
        let stage = format!("random search, seed {seed}");
        let values = measured(run, &stage, problem, &self.measurement(1, seed), &candidates.concat())?;
        let (mut best, mut thetas) = (f64::INFINITY, Vec::new());
        for (index, (value, theta)) in values.iter().zip(&candidates).enumerate() {
            if *value < best {
                best = *value;
                thetas.push((index + 1, theta.clone()));
            }
        }
        let last = thetas.last().map(|(_, theta)| theta.clone());
        thetas.extend(last.map(|theta| (candidates.len(), theta)));
        let (estimator, inner_steps) = (METHODS[2].to_owned(), self.images.horizon);
        let mut path = [Path { estimator, seed: seed.into(), inner_steps, thetas, objectives: Vec::new() }];
        self.measure(run, problem, &format!("measuring {stage}"), &mut path)?;
        let [path] = path;
        Ok(path)
    }

    fn report(&self, problem: &TensorHyperparameters, paths: &[Path], steps: usize) -> Result<Report, Failure> {
        let (images, steps) = (&self.images, steps as f64);
        let of = |method: &str| -> Vec<&Path> { paths.iter().filter(|path| path.estimator == method).collect() };
        let mut rows = Vec::new();
        let mut lines = Vec::new();
        for method in METHODS {
            let runs = of(method);
            // The best so far as a step function at common places.
            let curves: Vec<_> = runs.iter().map(|path| path.best_so_far()).collect();
            let places: Vec<f64> = (0..=60).map(|place| steps * f64::from(place) / 60.0).collect();
            let at = |curve: &[(f64, f64)], place: f64| {
                let reached = curve.iter().take_while(|point| point.0 <= place).last();
                reached.map_or(f64::NAN, |point| point.1)
            };
            let values = |&place: &f64| (place, curves.iter().map(|curve| at(curve, place)).collect::<Vec<_>>());
            let reached = places.iter().map(values).filter(|(_, values)| values.iter().all(|value| value.is_finite()));
            lines.push(Line::of_seeds(method, Summary::Median, reached));
            let last = |path: &&Path| path.objectives.last().copied().unwrap_or(f64::NAN);
            let best: Vec<f64> = runs.iter().map(|path| least(&path.objectives)).collect();
            let units = runs.iter().map(|path| {
                let units = path.thetas.last().map_or(Vec::new(), |(_, theta)| problem.units(theta));
                units.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
            });
            rows.push([
                method.to_owned(),
                numbers(runs.iter().map(|path| path.objectives.first().copied().unwrap_or(f64::NAN))),
                numbers(runs.iter().map(last)),
                numbers(best.into_iter()),
                units.collect::<Vec<_>>().join(", "),
            ]);
        }
        let plot = LinePlot::new(
            format!("{} hyperparameters, {}", problem.parameters(), images.data),
            "inner steps",
            "best sum of validation losses so far",
            lines,
        );
        let Training { particles, truncation, sigma, rate, iterations, .. } = self.training;
        let count = problem.parameters();
        let mut report = Report::new(format!("{count} hyperparameters of a perceptron"));
        report.paragraph(format!(
            "{}; {count} hyperparameters. N = {particles}, K = {truncation}, sigma = {sigma}, Adam {rate}, {iterations} \
             iterations: {steps:.0} inner steps for each method and seed.",
            images.words(),
        ));
        report.table(&["method", "start", "end", "best", "units at the end"], rows);
        report.explanation(format!(
            "A column holds one number for each seed. Objectives are sums of the validation loss over a training, means of {} \
             trainings that no method learned from; guessing has {:.0}. The start of random search is its first point. The \
             lines are medians over the seeds, bands reach from the best to the worst.",
            self.episodes,
            images.horizon as f64 * 10f64.ln(),
        ));
        report.picture("best.png", "the best so far", plot.png(900, 540)?);
        report.result("paths", json!(paths));
        Ok(report)
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn numbers(values: impl Iterator<Item = f64>) -> String {
    values.map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(", ")
}
