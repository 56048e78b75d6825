//! The settings of a run: checked, and written into its checkpoint.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Compare, One};
use crate::failure::Failure;
use crate::options::Common;
use crate::pes::{Entry, EstimatorName, Recipe, Task, catalogue};

/// Which seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeds {
    /// So many, from `--seed` on.
    Count(usize),
    These(Vec<u32>),
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("expected a count, or seeds below 2^32 with commas between them, got `{text}`");
        match text.contains(',') {
            false => text.parse().map(Self::Count).map_err(wrong),
            true => {
                let parts = text.split(',').filter(|part| !part.is_empty());
                let seeds = parts.map(str::parse).collect::<Result<Vec<u32>, _>>().map_err(wrong)?;
                Ok(Self::These(seeds))
            }
        }
    }
}

/// Everything that decides the numbers of a run besides the adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// As on the command line.
    pub problem: String,
    pub entries: Vec<Entry>,
    pub seeds: Vec<u32>,
    /// Whether all estimators of the problem are compared: then one that diverges is a result.
    pub comparison: bool,
    /// Points of a picture of the objective from side to side.
    pub pixels: usize,
}

/// What `--quick` leaves.
const QUICK: (usize, usize) = (300, 2);

impl Settings {
    /// One estimator.
    ///
    /// # Errors
    /// A value out of its range, with the flag's name.
    pub fn of_one(common: &Common, problem: &str, flags: &One) -> Result<Self, Failure> {
        let task = catalogue::find(problem)?;
        let estimator = flags.estimator.unwrap_or(EstimatorName::Pes);
        for (given, flag, known) in [
            (flags.sigma.is_some(), "--sigma", estimator.perturbs()),
            (flags.particles.is_some(), "--particles", estimator.counts()),
        ] {
            if given && !known {
                return Err(Failure::Input(format!("{flag} means nothing to --estimator {estimator}")));
            }
        }
        let paper = task.recipe(estimator);
        let recipe = Recipe {
            estimator,
            objective: flags.objective.unwrap_or(paper.objective),
            truncation: flags.truncation.unwrap_or(paper.truncation),
            particles: flags.particles.unwrap_or(paper.particles),
            sigma: flags.sigma.unwrap_or(paper.sigma),
            chunks: flags.chunks.unwrap_or(paper.chunks),
            staggered: flags.staggered || (paper.staggered && flags.chunks != Some(1)),
            optimiser: flags.optimiser.unwrap_or(paper.optimiser),
            beta1: flags.beta1.unwrap_or(paper.beta1),
            rate: flags.rate.unwrap_or(paper.rate),
            clip: flags.clip.or(paper.clip),
            iterations: flags.iterations.unwrap_or(paper.iterations),
            theta: flags.theta.clone().or(paper.theta),
        };
        Self::new(common, &task, vec![Entry::new(estimator.to_string(), recipe)], &flags.seeds, false)
    }

    /// All estimators that the problem allows, or some of them.
    ///
    /// # Errors
    /// An estimator that is not among them, or a value out of its range.
    pub fn of_all(common: &Common, problem: &str, flags: &Compare) -> Result<Self, Failure> {
        let task = catalogue::find(problem)?;
        let mut entries = Vec::new();
        match &flags.estimators {
            None => entries.clone_from(&task.entries),
            Some(names) => {
                for &name in names {
                    let of = |entry: &&Entry| entry.recipe.estimator.is_kin(name);
                    let found: Vec<Entry> = task.entries.iter().filter(of).cloned().collect();
                    match found.is_empty() {
                        true => entries.push(Entry::new(name.to_string(), task.recipe(name))),
                        false => entries.extend(found),
                    }
                }
            }
        }
        for Entry { recipe, .. } in &mut entries {
            recipe.iterations = flags.iterations.unwrap_or(recipe.iterations);
            if let Some(particles) = flags.particles.filter(|_| recipe.estimator.perturbs()) {
                recipe.particles = particles;
            }
        }
        Self::new(common, &task, entries, &flags.seeds, true)
    }

    fn new(
        common: &Common,
        task: &Task,
        mut entries: Vec<Entry>,
        seeds: &Option<Seeds>,
        comparison: bool,
    ) -> Result<Self, Failure> {
        let refuse = |message: String| Err(Failure::Input(message));
        let mut seeds = match seeds {
            None if comparison => counted(common, 5)?,
            None => counted(common, 1)?,
            Some(Seeds::Count(count)) => counted(common, *count)?,
            Some(Seeds::These(seeds)) => seeds.clone(),
        };
        let repeated = |index: usize| seeds[..index].contains(&seeds[index]);
        if seeds.is_empty() || (0..seeds.len()).any(repeated) {
            return refuse("--seeds takes a number from 1 on, or different seeds".into());
        }
        if common.quick {
            seeds.truncate(QUICK.1);
            entries.iter_mut().for_each(|entry| entry.recipe.iterations = entry.recipe.iterations.min(QUICK.0));
        }
        let backend = &task.backend;
        for Entry { recipe, .. } in &entries {
            recipe.check(backend.parameters())?;
            let (name, problem) = (recipe.estimator, &task.name);
            if name.differentiates() && !backend.differentiable() {
                return refuse(format!(
                    "--estimator {name} needs the derivative of the inner problem, and {problem} has none: take pes, nres, \
                     gpes:UNROLLS, es or full-es"
                ));
            }
            match backend.horizon() {
                None if name == EstimatorName::FullEs => {
                    return refuse(format!(
                        "--estimator full-es needs an inner problem that ends, and {problem} never does"
                    ));
                }
                None if recipe.staggered => {
                    return refuse(format!("--staggered needs an inner problem that ends, and {problem} never does"));
                }
                Some(horizon) if name == EstimatorName::FullEs && recipe.truncation != horizon => {
                    let got = recipe.truncation;
                    return refuse(format!(
                        "--estimator full-es unrolls whole inner problems: --truncation {horizon}, got {got}"
                    ));
                }
                _ => {}
            }
        }
        let pixels = if common.quick { 100 } else { 500 };
        Ok(Self { problem: task.name.clone(), entries, seeds, comparison, pixels })
    }
}

/// So many seeds from `--seed` on.
fn counted(common: &Common, count: usize) -> Result<Vec<u32>, Failure> {
    let last = common.seed.checked_add(count as u64).filter(|&last| count <= 1 << 20 && last <= 1 << 32);
    match last {
        Some(last) => Ok((common.seed..last).map(|seed| seed as u32).collect()),
        None => Err(Failure::Input(format!(
            "--seed and --seeds take seeds below 2^32, a million at most, got {count} from {} on",
            common.seed
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_list() {
        assert_eq!("5".parse(), Ok(Seeds::Count(5)));
        assert_eq!("3,5,7".parse(), Ok(Seeds::These(vec![3, 5, 7])));
        assert_eq!("3,".parse(), Ok(Seeds::These(vec![3])));
        assert!("3,x".parse::<Seeds>().unwrap_err().ends_with("got `3,x`"));
    }

    #[test]
    fn every_problem_is_consistent_with_its_settings() {
        for problem in ["toy", "influence", "lorenz", "ridge"] {
            let settings = Settings::of_all(&Common::default(), problem, &Compare::default()).unwrap();
            let task = catalogue::find(problem).unwrap();
            assert_eq!(settings.entries, task.entries);
            assert_eq!(task.theta.len(), task.backend.parameters());
            for reference in &task.references {
                assert!(task.entries.iter().any(|entry| entry.name == reference.entry), "{}", reference.entry);
                assert!(reference.values.iter().all(|(iteration, _)| task.milestones.contains(iteration)));
            }
        }
    }
}
