//! Where gradients and objectives of a problem come from: the hook for every kind of inner problem.

use std::fmt;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{
    Evaluator, EvaluatorSettings, Inner, InnerProblem, OuterTensors, UnrollSettings, UnrolledGradient,
};

use super::Recipe;
use crate::failure::Failure;

/// The outer objective.
pub trait Judge: fmt::Debug {
    /// The objective at each of some rows of parameters, one after the other.
    ///
    /// # Errors
    /// The loss of the device.
    fn judge(&self, rows: &[f32]) -> Result<Vec<f64>, Failure>;
}

/// An inner problem with its objective.
pub trait Backend: fmt::Debug {
    /// The inner problem.
    fn inner(&self) -> Inner<'_>;

    /// Creates an evaluation of the outer objective, for `points` points at a time.
    ///
    /// # Errors
    /// Out of memory.
    fn judge(&self, gpu: &Gpu, points: usize) -> Result<Box<dyn Judge>, Failure>;

    /// Outer parameters.
    fn parameters(&self) -> usize {
        self.inner().parameters()
    }

    /// Steps of the inner problem; `None` if it never ends.
    fn horizon(&self) -> Option<usize> {
        self.inner().horizon()
    }

    /// Returns true if there is a derivative.
    fn differentiable(&self) -> bool {
        self.inner().is_differentiable()
    }

    /// Creates the gradient of a recipe. Neither submits nor polls.
    ///
    /// # Errors
    /// Settings that are out of range, or out of memory.
    fn gradient(&self, gpu: &Gpu, recipe: &Recipe, outer: &OuterTensors) -> Result<UnrolledGradient, Failure> {
        let estimator = recipe.estimator.estimator(self.horizon());
        let settings = UnrollSettings {
            objective: recipe.objective(),
            chunks: recipe.chunks,
            staggered: recipe.staggered,
            ..UnrollSettings::new(estimator, recipe.particles, recipe.truncation, recipe.sigma)
        };
        Ok(UnrolledGradient::new(gpu, self.inner(), &settings, outer)?)
    }
}

/// The objective of a problem in WGSL.
#[derive(Clone)]
pub enum Judged {
    /// The sum of the losses of whole inner problems, the mean over so many.
    Sum { episodes: usize },
    /// The loss after so many steps.
    Last { steps: usize },
    /// A function of the one parameter, in closed form.
    Closed(Arc<dyn Fn(f64) -> f64>),
}

impl fmt::Debug for Judged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum { episodes } => write!(formatter, "Sum({episodes})"),
            Self::Last { steps } => write!(formatter, "Last({steps})"),
            Self::Closed(_) => formatter.write_str("Closed"),
        }
    }
}

/// Inner problems in WGSL.
#[derive(Debug, Clone)]
pub struct Wgsl {
    pub problem: Arc<dyn InnerProblem>,
    pub judged: Judged,
}

impl Backend for Wgsl {
    fn inner(&self) -> Inner<'_> {
        self.problem.clone().into()
    }

    fn judge(&self, gpu: &Gpu, points: usize) -> Result<Box<dyn Judge>, Failure> {
        let evaluator = |episodes, steps| -> Result<Evaluator, Failure> {
            let settings = EvaluatorSettings { points, episodes, steps, key: JUDGED };
            Ok(Evaluator::new(gpu, self.inner(), &settings)?)
        };
        Ok(Box::new(match &self.judged {
            Judged::Sum { episodes } => InnerProblems { evaluator: evaluator(*episodes, None)?, last: false },
            Judged::Last { steps } => InnerProblems { evaluator: evaluator(1, Some(*steps))?, last: true },
            Judged::Closed(function) => return Ok(Box::new(Closed(function.clone()))),
        }))
    }
}

/// The key of the random numbers of evaluations.
const JUDGED: u32 = 0x0B1E_C71E;

#[derive(Debug)]
struct InnerProblems {
    evaluator: Evaluator,
    last: bool,
}

impl Judge for InnerProblems {
    fn judge(&self, rows: &[f32]) -> Result<Vec<f64>, Failure> {
        let evaluated = self.evaluator.run(rows)?;
        Ok(evaluated.into_iter().map(|at| if self.last { at.last } else { at.sum }).collect())
    }
}

struct Closed(Arc<dyn Fn(f64) -> f64>);

impl fmt::Debug for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Closed")
    }
}

impl Judge for Closed {
    fn judge(&self, rows: &[f32]) -> Result<Vec<f64>, Failure> {
        Ok(rows.iter().map(|&theta| (self.0)(theta.into())).collect())
    }
}
