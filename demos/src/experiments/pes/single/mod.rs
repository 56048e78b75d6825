//! `fourfold pes PROBLEM`: outer parameters trained by one estimator.

use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::data::Checkpoint;
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
    /// Begin at the theta in FILE, of a run of the same problem or of `fourfold live pes`
    #[arg(long, value_name = "FILE", conflicts_with = "theta")]
    pub start: Option<PathBuf>,
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
        let data = catalogue::file(self.problem.as_deref()).map(PathBuf::from);
        data.into_iter().chain(self.start.clone()).collect()
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
        task.check(&[self.entry(&task)?])
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let task = catalogue::find(self.problem.as_deref())?;
        let entry = self.entry(&task)?;
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
    ///
    /// # Errors
    /// The file of `--start` cannot be read or is of another problem.
    fn entry(&self, task: &Task) -> Result<Entry, Failure> {
        let start = self.start.as_deref().map(|file| theta_of(file, task)).transpose()?;
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
            theta: self.theta.clone().or(start).or(paper.theta),
        };
        Ok(Entry::new(estimator.to_string(), recipe))
    }
}

/// Reads the theta that a run of the problem wrote.
fn theta_of(file: &Path, task: &Task) -> Result<Vec<f32>, Failure> {
    let checkpoint = Checkpoint::load(file)?;
    checkpoint.expect("problem", &task.name)?;
    Ok(checkpoint.f32("theta", &[task.theta.len()])?.to_vec())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use fourfold::shaders::Data;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn a_run_begins_at_the_theta_of_a_file_of_its_problem_alone() {
        let folder = std::env::temp_dir().join(format!("fourfold-start-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("theta.safetensors");
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("problem", "toy");
        checkpoint.insert("theta", &[2], Data::F32(vec![-1.5, 0.25]));
        std::fs::write(&file, checkpoint.to_bytes()).unwrap();
        let recipe = |problem: &str| {
            let settings = Flags::parse_from(["pes", problem, "--start", file.to_str().unwrap()]).settings;
            assert_eq!(settings.inputs(), std::slice::from_ref(&file));
            settings.entry(&catalogue::find(Some(problem)).unwrap()).map(|entry| entry.recipe.theta)
        };
        assert_eq!(recipe("toy"), Ok(Some(vec![-1.5, 0.25])));
        let failure = recipe("lorenz").unwrap_err();
        assert!(failure.to_string().ends_with("expected a checkpoint with problem `lorenz`, got `toy`"), "{failure}");
        assert_eq!(failure.code(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
