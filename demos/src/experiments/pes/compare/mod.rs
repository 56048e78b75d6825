//! `fourfold pes compare PROBLEM`: all estimators that a problem allows.

use std::path::PathBuf;

use clap::Args;
use fourfold::evolution::Estimator;
use serde::{Deserialize, Serialize};

use super::outer_training::catalogue;
use super::outer_training::task::{Entry, Task};
use super::outer_training::train;
use crate::by_name::ByName;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;

/// Compare all estimators that a problem allows, with the settings of the paper
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Problem: toy, influence, lorenz, ridge (on embedded data) or ridge:FILE (a table, the target last)
    pub problem: Option<String>,
    /// Estimators, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub estimators: Option<Vec<ByName<Estimator>>>,
    /// Outer iterations of all [default: those of the paper]
    #[arg(long, value_name = "COUNT")]
    pub iterations: Option<usize>,
    /// Antithetic particles of all estimators that have them [default: those of the paper]
    #[arg(long, value_name = "COUNT")]
    pub particles: Option<usize>,
    /// Width of the picture of the objective, in points
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub pixels: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "pes compare";
    const SEEDS: Option<&'static str> = Some("5");
    const RANKS: bool = true;
    const QUICK: &'static [(&'static str, &'static str)] = &[("seeds", "2"), ("iterations", "1000"), ("pixels", "100")];
    const PAPER: Option<&'static [(&'static str, &'static str)]> = Some(&[]);

    fn inputs(&self) -> Vec<PathBuf> {
        catalogue::file(self.problem.as_deref()).map(PathBuf::from).into_iter().collect()
    }

    fn folder(&self) -> String {
        catalogue::folder(Self::NAME, self.problem.as_deref())
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--pixels", self.pixels, 2..=4_000)])?;
        let task = catalogue::find(self.problem.as_deref())?;
        task.check(&self.entries(&task))
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let task = catalogue::find(self.problem.as_deref())?;
        // An estimator that diverges is a result.
        let (report, _diverged) = train(run, &task, &self.entries(&task), self.pixels)?;
        Ok(report)
    }
}

impl Settings {
    fn entries(&self, task: &Task) -> Vec<Entry> {
        let mut entries = match &self.estimators {
            None => task.entries.clone(),
            Some(names) => names.iter().flat_map(|&ByName(estimator)| Self::named(task, estimator)).collect(),
        };
        for Entry { recipe, .. } in &mut entries {
            recipe.iterations = self.iterations.unwrap_or(recipe.iterations);
            if let Some(particles) = self.particles.filter(|_| recipe.estimator.is_perturbed()) {
                *recipe = recipe.with_particles(particles);
            }
        }
        entries
    }

    /// Finds the paper's trainings by an estimator, or creates one.
    fn named(task: &Task, estimator: Estimator) -> Vec<Entry> {
        let of = |entry: &&Entry| entry.recipe.is_kin(estimator);
        let found: Vec<Entry> = task.entries.iter().filter(of).cloned().collect();
        if found.is_empty() { vec![Entry::new(estimator.to_string(), task.recipe(estimator))] } else { found }
    }
}
