//! A problem with the settings of its paper, and how it is shown.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{
    Estimator, Inner, InnerProblem, OuterTensors, Part, Perturbation, UnrollSettings, UnrolledGradient,
};

use super::judge::{Judge, Judged};
use super::recipe::{ObjectiveName, Recipe};
use crate::failure::Failure;

/// A problem.
#[derive(Debug)]
pub struct Task {
    /// The name on the command line.
    pub name: String,
    /// A description with the source of the settings, in a few sentences.
    pub about: String,
    pub problem: Arc<dyn InnerProblem>,
    pub judged: Judged,
    /// Initial theta.
    pub theta: Vec<f32>,
    /// Labels of the outer parameters, for the axes of plots; empty where they are too many.
    pub parameters: Vec<&'static str>,
    /// Label of the objective, for the axes of plots.
    pub objective: &'static str,
    /// The least range of the objective that plots show.
    pub range: Option<std::ops::Range<f64>>,
    /// The trainings of `compare`, with the settings of the paper.
    pub entries: Vec<Entry>,
    /// Iterations that tables show.
    pub milestones: Vec<usize>,
    /// The best theta, where it is known.
    pub best: Option<Vec<f64>>,
    /// The part of the plane in which the objective is drawn over two parameters.
    pub map: Option<Map>,
    /// Measurements of others with the same settings.
    pub references: Vec<Reference>,
}

/// One of the trainings that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub recipe: Recipe,
}

impl Entry {
    /// Names a training.
    pub fn new(name: impl Into<String>, recipe: Recipe) -> Self {
        Self { name: name.into(), recipe }
    }
}

/// The part of a plane of two parameters that a picture shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    pub x: std::ops::Range<f64>,
    pub y: std::ops::Range<f64>,
    /// The objective from the one end of the colours to the other, on a logarithmic scale.
    pub colours: std::ops::Range<f64>,
}

/// Measurements of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The name of the [`Entry`].
    pub entry: &'static str,
    /// Iterations, and the objective there.
    pub values: &'static [(usize, &'static str)],
}

impl Task {
    /// Returns the initial settings of `fourfold pes PROBLEM --estimator NAME`: those of the paper where there are some,
    /// else those of its PES.
    pub fn recipe(&self, estimator: Estimator) -> Recipe {
        let of = |entry: &&Entry| entry.recipe.is_kin(estimator);
        match self.entries.iter().find(of) {
            Some(entry) => Recipe { estimator, ..entry.recipe.clone() },
            None => self.entries[0].recipe.with_estimator(estimator, self.problem.horizon()),
        }
    }

    /// Shows the objective that is trained: the loss of the last step in place of the sum.
    pub fn shown_by(mut self, objective: ObjectiveName) -> Self {
        if let (ObjectiveName::Final, Some(steps), Judged::Sum) = (objective, self.problem.horizon(), &self.judged) {
            self.judged = Judged::Last { steps };
            self.objective = "final loss";
            self.range = None;
            self.about += " Here the objective is the loss of the last step instead (--objective final).";
            if let Some(Map { colours, .. }) = &mut self.map {
                *colours = colours.start / steps as f64..colours.end / steps as f64;
            }
        }
        self
    }

    /// Creates an evaluation of the outer objective, for `points` points at a time.
    ///
    /// # Errors
    /// Out of memory.
    pub fn judge(&self, gpu: &Gpu, points: usize) -> Result<Judge, Failure> {
        Judge::new(gpu, &self.problem, &self.judged, points)
    }

    /// Creates the gradient of a recipe, for a part of its particles. Neither submits nor polls.
    ///
    /// # Errors
    /// Settings out of range, or out of memory.
    pub fn gradient(
        &self,
        gpu: &Gpu,
        recipe: &Recipe,
        part: Part,
        outer: &OuterTensors,
    ) -> Result<UnrolledGradient, Failure> {
        let estimator = match recipe.estimator {
            // A direction that lasts for an inner problem has the least variance; one that never ends needs new ones.
            Estimator::Dodge(Perturbation::NRES) if self.problem.horizon().is_none() => {
                Estimator::Dodge(Perturbation::PES)
            }
            estimator => estimator,
        };
        let settings = UnrollSettings {
            objective: recipe.objective(),
            chunks: recipe.chunks,
            staggered: recipe.staggered,
            part,
            ..UnrollSettings::new(estimator, recipe.particles, recipe.truncation, recipe.sigma)
        };
        Ok(UnrolledGradient::new(gpu, self.problem.clone(), &settings, outer)?)
    }

    /// Checks the trainings of a run.
    ///
    /// # Errors
    /// Two of one name, a value out of its range, or one that does not suit the problem.
    pub fn check(&self, entries: &[Entry]) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::Input(message));
        for (index, Entry { name: label, recipe }) in entries.iter().enumerate() {
            if entries[..index].iter().any(|entry| entry.name == *label) {
                return refuse(format!("--estimators: expected distinct names, got `{label}` twice"));
            }
            recipe.check(self.problem.parameters())?;
            let (name, problem) = (recipe.estimator, &self.name);
            if name.needs_derivative() && !Inner::from(self.problem.clone()).is_differentiable() {
                return refuse(format!(
                    "--estimator {name} needs the derivative of the inner problem, and {problem} has none: take pes, nres, \
                     gpes:UNROLLS, es or full-es"
                ));
            }
            let needs = match self.problem.horizon() {
                None if name == Estimator::FULL_ES => "--estimator full-es",
                None if recipe.staggered => "--staggered",
                None if recipe.objective == ObjectiveName::Final => "--objective final",
                Some(horizon) if name == Estimator::FULL_ES && recipe.truncation != horizon => {
                    let got = recipe.truncation;
                    return refuse(format!(
                        "--estimator full-es unrolls whole inner problems: --truncation {horizon}, got {got}"
                    ));
                }
                _ => continue,
            };
            return refuse(format!("{needs} needs an inner problem that ends, and {problem} never does"));
        }
        Ok(())
    }
}
