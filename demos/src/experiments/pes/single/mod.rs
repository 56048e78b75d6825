//! `fourfold pes PROBLEM`: outer parameters trained by one estimator.

use std::path::PathBuf;

use clap::Args;
use fourfold::evolution::Estimator;
use serde::{Deserialize, Serialize};

use super::outer_training::catalogue;
use super::outer_training::recipe::{ObjectiveName, OptimiserName, Recipe};
use super::outer_training::task::{Entry, Task};
use super::outer_training::train;
use crate::by_name::ByName;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;

/// Train outer parameters through truncated unrolls, by persistent evolution strategies and their kin
///
/// Flags default to the values of the problem's paper.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Problem: toy, influence, lorenz, ridge (on embedded data) or ridge:FILE (a table, the target last)
    pub problem: Option<String>,
    /// Gradient estimator: pes, nres, gpes:UNROLLS, es, full-es, pes-a, tbptt, rtrl, uoro or dodge
    #[arg(long, value_name = "NAME", default_value = "pes")]
    pub estimator: ByName<Estimator>,
    /// Objective of an inner problem
    #[arg(long, value_enum)]
    pub objective: Option<ObjectiveName>,
    /// Inner steps of an unroll
    #[arg(long, value_name = "STEPS")]
    pub truncation: Option<usize>,
    /// Antithetic particles, an even number; replicas of uoro; directions of dodge
    #[arg(long, value_name = "COUNT")]
    pub particles: Option<usize>,
    /// Standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true)]
    pub sigma: Option<f32>,
    /// Chunks of particles, each at its own inner time
    #[arg(long, value_name = "COUNT")]
    pub chunks: Option<usize>,
    /// Start chunks at different inner times
    #[arg(long)]
    pub staggered: bool,
    /// Optimiser of the outer parameters
    #[arg(long, value_enum)]
    pub optimiser: Option<OptimiserName>,
    /// Decay of Adam's first moment
    #[arg(long, allow_negative_numbers = true)]
    pub beta1: Option<f64>,
    /// Learning rate
    #[arg(long, allow_negative_numbers = true)]
    pub rate: Option<f32>,
    /// Clip each number of the gradient to plus and minus this
    #[arg(long, allow_negative_numbers = true, value_name = "BOUND")]
    pub clip: Option<f32>,
    /// Outer iterations
    #[arg(long, value_name = "COUNT")]
    pub iterations: Option<usize>,
    /// Initial theta: numbers separated by commas
    #[arg(long, allow_hyphen_values = true, value_name = "NUMBERS", value_delimiter = ',')]
    pub theta: Option<Vec<f32>>,
    /// Width of the picture of the objective, in points
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub pixels: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "pes";
    const SEEDS: Option<&'static str> = Some("1");
    const RANKS: bool = true;
    const QUICK: &'static [(&'static str, &'static str)] = &[("iterations", "2000"), ("pixels", "100")];
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[]);

    fn inputs(&self) -> Vec<PathBuf> {
        catalogue::file(self.problem.as_deref()).map(PathBuf::from).into_iter().collect()
    }

    fn folder(&self) -> String {
        catalogue::folder(Self::NAME, self.problem.as_deref())
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--pixels", self.pixels, 2..=4_000)])?;
        let ByName(estimator) = self.estimator;
        for (given, flag, known) in [
            (self.sigma.is_some(), "--sigma", estimator.is_perturbed()),
            (self.particles.is_some(), "--particles", estimator.has_particles()),
        ] {
            if given && !known {
                return Err(Failure::Input(format!("{flag} has no effect with --estimator {estimator}: leave it out")));
            }
        }
        let task = catalogue::find(self.problem.as_deref())?;
        task.check(&[self.entry(&task)])
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let task = catalogue::find(self.problem.as_deref())?;
        let entry = self.entry(&task);
        let task = task.shown_by(entry.recipe.objective);
        let (mut report, diverged) = train(run, &task, &[entry], self.pixels)?;
        if let Some(failure) = diverged {
            report.fail(failure);
        }
        Ok(report)
    }
}

impl Settings {
    /// Fills the flags that are not given from the settings of the paper.
    fn entry(&self, task: &Task) -> Entry {
        let ByName(estimator) = self.estimator;
        let paper = task.recipe(estimator);
        let paper = self.particles.map_or(paper.clone(), |particles| paper.with_particles(particles));
        let recipe = Recipe {
            estimator,
            objective: self.objective.unwrap_or(paper.objective),
            truncation: self.truncation.unwrap_or(paper.truncation),
            particles: paper.particles,
            sigma: self.sigma.unwrap_or(paper.sigma),
            chunks: self.chunks.unwrap_or(paper.chunks),
            staggered: self.staggered || (paper.staggered && self.chunks != Some(1)),
            optimiser: self.optimiser.unwrap_or(paper.optimiser),
            beta1: self.beta1.unwrap_or(paper.beta1),
            rate: self.rate.unwrap_or(paper.rate),
            clip: self.clip.or(paper.clip),
            iterations: self.iterations.unwrap_or(paper.iterations),
            theta: self.theta.clone().or(paper.theta),
        };
        Entry::new(estimator.to_string(), recipe)
    }
}
