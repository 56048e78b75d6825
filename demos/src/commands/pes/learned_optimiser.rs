//! `fourfold pes learned-optimiser`: an optimiser that is learned, and how it does beside tuned rivals.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use fourfold::evolution::Estimator;
use fourfold::models::learned_optimiser::TrainedOptimiser;

use crate::failure::Failure;
use crate::options::Common;
use crate::pes::learned_optimiser::{MetaTraining, Outcome, Point, Settings};
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// Train an optimiser by PES and by truncated ES, and hold both against tuned SGD and Adam
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Outer iterations
    #[arg(long, value_name = "COUNT", default_value_t = 400)]
    pub iterations: usize,
    /// Inner steps of an unroll
    #[arg(long, value_name = "STEPS", default_value_t = 20)]
    pub truncation: usize,
    /// Inner steps of an episode
    #[arg(long, value_name = "STEPS", default_value_t = 200)]
    pub horizon: usize,
    /// Antithetic particles, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub particles: usize,
    /// Chunks of particles that are each at an inner time of their own
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub chunks: usize,
    /// The standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.01)]
    pub sigma: f32,
    /// The learning rate of Adam, which trains the optimiser
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-2)]
    pub rate: f32,
    /// The decay of Adam's first moment
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.9)]
    pub beta1: f64,
    /// Hidden units of the optimiser
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub hidden: usize,
    /// The scale of its steps: 0.001 in the literature
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-2)]
    pub direction: f32,
    /// Seeds of each contest with tuned rivals
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub seeds: usize,
    /// Inner steps of the contests beyond what was trained
    #[arg(long, value_name = "STEPS", default_value_t = 1_000)]
    pub long: usize,
    /// Where the files of MNIST and Fashion-MNIST lie, in folders of their names
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,
    /// Learn on the embedded digits alone, for which no file is needed
    #[arg(long)]
    pub digits: bool,
    /// Train nothing, and show the optimiser in this file
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

impl Arguments {
    fn settings(&self, common: &Common) -> Result<Settings, Failure> {
        let counts = [
            ("--iterations", self.iterations),
            ("--horizon", self.horizon),
            ("--seeds", self.seeds),
            ("--long", self.long),
            ("--hidden", self.hidden),
        ];
        if let Some((flag, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Failure::Input(format!("{flag} takes a number from 1 on, got 0")));
        }
        if !(self.direction > 0.0 && self.direction.is_finite()) {
            return Err(Failure::Input(format!("--direction takes a number above 0, got {}", self.direction)));
        }
        let less = |count: usize, most: usize| if common.quick { count.min(most) } else { count };
        Ok(Settings {
            seed: common.seed,
            data_dir: self.data_dir.clone(),
            digits_alone: self.digits,
            hidden: self.hidden,
            direction: self.direction,
            batch: 32,
            horizon: less(self.horizon, 40),
            truncation: self.truncation,
            particles: less(self.particles, 4),
            chunks: self.chunks,
            sigma: self.sigma,
            rate: self.rate,
            beta1: self.beta1,
            iterations: less(self.iterations, 6),
            episodes: less(4, 1),
            seeds: less(self.seeds, 2),
            long: less(self.long, 60),
        })
    }
}

/// A curve of meta-training, as the report shows it.
#[derive(Debug)]
struct Curve {
    name: String,
    points: Vec<Point>,
    /// Inner steps of an outer iteration.
    inner_steps: usize,
}

/// What a run came to.
#[derive(Debug)]
struct Results {
    curves: Vec<Curve>,
    outcomes: Vec<Outcome>,
    /// Seconds of training, and of the contests.
    seconds: [f64; 2],
}

/// Trains, competes and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.settings(common)?;
    let gpu = common.open(false)?;
    let loaded = arguments.weights.as_deref().map(TrainedOptimiser::load).transpose()?;
    let estimators = [("PES", Estimator::PES), ("truncated ES", Estimator::TRUNCATED_ES)];
    let mut trainings = Vec::new();
    if loaded.is_none() {
        for (name, estimator) in estimators {
            trainings.push(MetaTraining::new(&gpu, name, estimator, &settings)?);
        }
    }
    let contests = settings.contests()?;
    let value = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "pes", &gpu, value)?;

    let begun = Instant::now();
    let mut progress = Progress::new("pes", (trainings.len() * settings.iterations) as u64, common.quiet);
    // In turns, so that both have the same machine.
    while trainings.iter().any(|training| !training.finished()) {
        for training in &mut trainings {
            progress.advance(training.advance()? as u64);
            if let Some(point) = training.points().last() {
                progress.say(format!("{}: {:.3} at {}", training.name, point.loss, point.iteration));
            }
        }
    }
    progress.finish();
    let trained = begun.elapsed().as_secs_f64();

    let mut learned: Vec<(String, TrainedOptimiser)> =
        loaded.map(|loaded| ("learned".into(), loaded)).into_iter().collect();
    for (training, file) in trainings.iter().zip(["pes.safetensors", "truncated-es.safetensors"]) {
        let trained = training.trained()?;
        folder.write_checkpoint(file, &trained.to_checkpoint())?;
        learned.push((format!("learned by {}", training.name), trained));
    }
    let curve = |training: &MetaTraining| Curve {
        name: training.name.clone(),
        points: training.points().to_vec(),
        inner_steps: training.inner_steps(),
    };
    let curves = trainings.iter().map(curve).collect();
    drop(trainings);

    let begun = Instant::now();
    let mut progress = Progress::new("contests", contests.len() as u64, common.quiet);
    let mut outcomes = Vec::new();
    for contest in contests {
        outcomes.push(contest.run(&gpu, &learned, settings.seeds, |what| progress.say(what))?);
        progress.advance(1);
    }
    progress.finish();
    let results = Results { curves, outcomes, seconds: [trained, begun.elapsed().as_secs_f64()] };
    println!("{}", report::write(&folder, &settings, &results, &gpu)?);
    Ok(())
}
