//! A rate and a momentum for each tensor and a width for each layer: PES and truncated ES against random search, for the
//! same number of inner steps.

use clap::Args;
use fourfold::Gpu;
use fourfold::evolution::{Evaluator, EvaluatorSettings, GraphProblem};
use fourfold::models::hyperparameters::{Judgement, TensorHyperparameters};
use fourfold::shaders::random::threefry::Random;
use serde::Serialize;
use serde_json::json;

use super::descent::{PES, Path, TRUNCATED_ES, Training, TrainingFlags};
use super::images::{ImageFlags, Images};
use super::measurement::{MEASURED, measured};
use crate::experiments::sam::DataName;
use crate::failure::Failure;
use crate::options::Common;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::table;

/// Learn the rate and the momentum of each tensor and the width of each layer, by PES, truncated ES and random search
#[derive(Debug, Clone, Args)]
pub struct Tensors {
    #[command(flatten)]
    pub images: ImageFlags,
    #[command(flatten)]
    pub training: TrainingFlags,
    /// How many seeds, from --seed on [default: 3]
    #[arg(long, value_name = "COUNT")]
    pub seeds: Option<usize>,
    /// Points that are measured side by side
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub side_by_side: usize,
    /// Trainings whose mean is the objective at a point of the paths, and at the best points of random search
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub episodes: usize,
}

/// Everything that decides the numbers of a run.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    images: Images,
    training: Training,
    seeds: usize,
    side_by_side: usize,
    episodes: usize,
}

/// Where theta is drawn: rates on a logarithmic scale, momenta and shares of units by their logits, all uniformly.
struct Ranges {
    rate: [f64; 2],
    momentum: [f64; 2],
    share: [f64; 2],
}

/// The starts of PES and ES, and what random search looks through: as in the authors' code, but for the rates of the
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

/// The place of random search, and that of starts.
const SEARCH: u32 = 1;
const START: u32 = 2;

const METHODS: [&str; 3] = [PES.0, TRUNCATED_ES.0, "random search"];

impl Tensors {
    /// Trains, searches, measures, writes the folder of the run and prints the table.
    ///
    /// # Errors
    /// Settings that make no sense, files that are missing or cannot be written, no memory, or the loss of the device.
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        println!("{}", self.settings(common.quick)?.run(common)?);
        Ok(())
    }

    fn settings(&self, quick: bool) -> Result<Settings, Failure> {
        let reduced = Training { particles: 20, truncation: 10, sigma: 0.3, rate: 0.03, iterations: 500, points: 20 };
        let (images, training, seeds) = if quick {
            (Images::quick(5), Training { particles: 4, truncation: 5, iterations: 12, points: 3, ..reduced }, 1)
        } else if self.training.paper {
            let paper = Training { particles: 10, rate: 0.01, iterations: 50_000, points: 500, ..reduced };
            (Images::paper(DataName::FashionMnist, 5, 1_000), paper, 4)
        } else {
            (Images { batch: 32, ..Images::reduced(DataName::FashionMnist, 5, 200) }, reduced, 3)
        };
        let (images, training) = (self.images.or(images), self.training.or(training));
        images.check()?;
        training.check()?;
        let seeds = self.seeds.unwrap_or(seeds);
        let counts = [seeds, self.side_by_side, self.episodes, images.layers];
        if counts.contains(&0) {
            let flags = "--seeds, --side-by-side, --episodes and --layers";
            return Err(Failure::Input(format!("{flags} take numbers from 1 on, got 0")));
        }
        let Self { side_by_side, episodes, .. } = *self;
        Ok(Settings { images, training, seeds, side_by_side, episodes })
    }
}

impl Settings {
    fn run(&self, common: &Common) -> Result<String, Failure> {
        let problem = TensorHyperparameters::new(self.images.task(Judgement::ValidationLoss)?);
        let gpu = common.open(false)?;
        let folder = RunFolder::create(common, "pes", &gpu, json!({ "hyperparameters": self }))?;
        let mut paths = Vec::new();
        for seed in common.seed..common.seed + self.seeds as u64 {
            let start = STARTS.draw(&problem, &mut Random::new(seed as u32, START));
            for estimator in [PES, TRUNCATED_ES] {
                paths.push(self.training.run(&gpu, &problem, estimator, &start, seed, common.quiet)?);
            }
        }
        self.measure(&gpu, &problem, &mut paths, common.quiet)?;
        for seed in common.seed..common.seed + self.seeds as u64 {
            let steps = paths.iter().map(|path| path.inner_steps * self.training.iterations).min().unwrap_or(0);
            paths.push(self.search(&gpu, &problem, seed, steps / self.images.horizon, common.quiet)?);
        }
        self.write(&folder, &gpu, &problem, &paths)
    }

    fn measure(&self, gpu: &Gpu, problem: &dyn GraphProblem, paths: &mut [Path], quiet: bool) -> Result<(), Failure> {
        let (horizon, points) = (self.images.horizon, self.side_by_side);
        let settings = EvaluatorSettings { points, episodes: self.episodes, steps: Some(horizon), key: MEASURED };
        let evaluator = Evaluator::new(gpu, problem, &settings)?;
        let thetas: Vec<f32> =
            paths.iter().flat_map(|path| &path.thetas).flat_map(|(_, theta)| theta.iter().copied()).collect();
        let values = measured(&evaluator, &thetas, problem.parameters(), "measuring the paths", quiet)?;
        let mut values = values.into_iter();
        for path in paths {
            path.objectives = values.by_ref().take(path.thetas.len()).collect();
        }
        Ok(())
    }

    /// Random points, each worth one whole training; the path has those that are better than all before, measured as
    /// the points of other methods are.
    fn search(
        &self,
        gpu: &Gpu,
        problem: &TensorHyperparameters,
        seed: u64,
        points: usize,
        quiet: bool,
    ) -> Result<Path, Failure> {
        let begun = std::time::Instant::now();
        let mut random = Random::new(seed as u32, SEARCH);
        let candidates: Vec<Vec<f32>> = (0..points.max(1)).map(|_| SEARCHED.draw(problem, &mut random)).collect();
        let horizon = self.images.horizon;
        let (points, key) = (self.side_by_side, seed as u32);
        let settings = EvaluatorSettings { points, episodes: 1, steps: Some(horizon), key };
        let evaluator = Evaluator::new(gpu, problem, &settings)?;
        let values = measured(
            &evaluator,
            &candidates.concat(),
            problem.parameters(),
            &format!("random search, seed {seed}"),
            quiet,
        )?;
        let seconds = begun.elapsed().as_secs_f64();
        let (mut best, mut thetas) = (f64::INFINITY, Vec::new());
        for (index, (value, theta)) in values.iter().zip(&candidates).enumerate() {
            if *value < best {
                best = *value;
                thetas.push((index + 1, theta.clone()));
            }
        }
        let last = thetas.last().map(|(_, theta)| theta.clone());
        thetas.extend(last.map(|theta| (candidates.len(), theta)));
        let mut path = [Path {
            estimator: METHODS[2].to_owned(),
            seed,
            inner_steps: horizon,
            thetas,
            objectives: Vec::new(),
            seconds,
        }];
        self.measure(gpu, problem, &mut path, quiet)?;
        let [path] = path;
        Ok(path)
    }

    fn write(
        &self,
        folder: &RunFolder,
        gpu: &Gpu,
        problem: &TensorHyperparameters,
        paths: &[Path],
    ) -> Result<String, Failure> {
        let steps = paths.iter().map(|path| path.inner_steps * self.training.iterations).min().unwrap_or(0) as f64;
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
            let mut line = Line { name: method.into(), ..Line::default() };
            for &place in &places {
                let values: Vec<f64> = curves.iter().map(|curve| at(curve, place)).collect();
                let (low, high) = (least(&values), -least(&values.iter().map(|value| -value).collect::<Vec<_>>()));
                if values.iter().all(|value| value.is_finite()) {
                    line.points.push((place, 0.5 * (low + high)));
                    line.band.push(0.5 * (high - low));
                }
            }
            lines.push(line);
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
                numbers(runs.iter().map(|path| path.seconds)),
            ]);
        }
        let plot = LinePlot {
            title: format!("{} hyper-parameters, {}", problem.parameters(), self.images.data),
            x: Axis::new("inner steps"),
            y: Axis::new("best sum of validation losses so far"),
            lines,
            ..LinePlot::default()
        };
        folder.write("best.png", &plot.png(900, 540)?)?;
        let results = json!({ "adapter": adapter_json(gpu.info()), "settings": self, "paths": paths });
        folder.write_json("results.json", &results)?;
        let header = ["method", "start", "end", "best", "units at the end", "seconds"];
        let Training { particles, truncation, sigma, rate, iterations, .. } = self.training;
        let settings = format!(
            "{}; {} hyper-parameters. N = {particles}, K = {truncation}, sigma = {sigma}, Adam {rate}, {iterations} iterations: {steps:.0} inner steps for each method and seed.",
            self.images.words(),
            problem.parameters(),
        );
        let markdown: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
        let notes = format!(
            "A column holds one number for each seed. Objectives are sums of the validation loss over a training, means of {} trainings that no method learned from; guessing has {:.0}. The start of random search is its first point. The lines are the middles between the best and the worst seed, bands reach to these.",
            self.episodes,
            self.images.horizon as f64 * 10f64.ln(),
        );
        let report = format!(
            "# {} hyper-parameters of a perceptron\n\n{settings}\n\n| {} |\n| {} |\n{markdown}\n{notes}\n\n![the best so far](best.png)\n",
            problem.parameters(),
            header.join(" | "),
            header.map(|_| "---").join(" | "),
        );
        folder.write("report.md", report.as_bytes())?;
        Ok(format!("{settings}\n\n{}", table(header, rows)))
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn numbers(values: impl Iterator<Item = f64>) -> String {
    values.map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(", ")
}
