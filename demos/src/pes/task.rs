//! A problem as the command knows it: with the settings of its paper, and how it is shown.

use super::{Backend, EstimatorName, Recipe};

/// A problem.
#[derive(Debug)]
pub struct Task {
    /// As on the command line.
    pub name: String,
    /// What the problem is and where its settings come from, in a few sentences.
    pub about: String,
    pub backend: Box<dyn Backend>,
    /// Where theta starts.
    pub theta: Vec<f32>,
    /// What the outer parameters are, for the axes of plots; empty where they are too many.
    pub parameters: Vec<&'static str>,
    /// What the objective is, for the axes of plots.
    pub objective: &'static str,
    /// The least range of the objective that plots show.
    pub range: Option<std::ops::Range<f64>>,
    /// What `compare` compares, with the settings of the paper.
    pub entries: Vec<Entry>,
    /// Iterations that tables show.
    pub milestones: Vec<usize>,
    /// The best theta, where it is known.
    pub best: Option<Vec<f64>>,
    /// Where the objective is drawn over two parameters.
    pub map: Option<Map>,
    /// What others measured with the same settings.
    pub references: Vec<Reference>,
}

/// One of the trainings that are compared.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    pub name: String,
    pub recipe: Recipe,
}

impl Entry {
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

/// What others measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The name of the [`Entry`].
    pub entry: &'static str,
    /// Iterations, and the objective there.
    pub values: &'static [(usize, &'static str)],
}

impl Task {
    /// What `fourfold pes PROBLEM --estimator NAME` begins with: the settings of the paper where there are some, else
    /// those of its PES.
    pub fn recipe(&self, estimator: EstimatorName) -> Recipe {
        let of = |entry: &&Entry| entry.recipe.estimator.is_kin(estimator);
        let horizon = self.backend.horizon();
        match self.entries.iter().find(of) {
            Some(entry) => Recipe { estimator, ..entry.recipe.clone() },
            None => self.entries[0].recipe.with_estimator(estimator, horizon),
        }
    }
}
