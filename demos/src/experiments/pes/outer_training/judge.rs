//! The outer objective at given points.

use std::fmt;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{Evaluator, EvaluatorSettings, InnerProblem};

use crate::failure::Failure;

/// The outer objective of a problem.
#[derive(Clone)]
pub enum Judged {
    /// The sum of the losses of an inner problem.
    Sum,
    /// The loss after so many steps.
    Last { steps: usize },
    /// A function of the one parameter, in closed form.
    Closed(Arc<dyn Fn(f64) -> f64>),
}

impl fmt::Debug for Judged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => formatter.write_str("Sum"),
            Self::Last { steps } => write!(formatter, "Last({steps})"),
            Self::Closed(_) => formatter.write_str("Closed"),
        }
    }
}

/// The key of the random numbers of evaluations.
const KEY: u32 = 0x0B1E_C71E;

/// An evaluation of the outer objective on a device.
#[derive(Debug)]
pub struct Judge {
    judged: Judged,
    /// None for a closed form.
    evaluator: Option<Evaluator>,
}

impl Judge {
    /// Creates an evaluation for `points` points at a time.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(gpu: &Gpu, problem: &Arc<dyn InnerProblem>, judged: &Judged, points: usize) -> Result<Self, Failure> {
        let steps = match *judged {
            Judged::Sum => None,
            Judged::Last { steps } => Some(steps),
            Judged::Closed(_) => return Ok(Self { judged: judged.clone(), evaluator: None }),
        };
        let settings = EvaluatorSettings { points, episodes: 1, steps, key: KEY };
        Ok(Self { judged: judged.clone(), evaluator: Some(Evaluator::new(gpu, problem.clone(), &settings)?) })
    }

    /// Returns the objective at each of some rows of parameters, one after the other.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn judge(&self, rows: &[f32]) -> Result<Vec<f64>, Failure> {
        let evaluated = self.evaluator.as_ref().map_or(Ok(Vec::new()), |evaluator| evaluator.run(rows))?.into_iter();
        Ok(match &self.judged {
            Judged::Sum => evaluated.map(|at| at.sum).collect(),
            Judged::Last { .. } => evaluated.map(|at| at.last).collect(),
            Judged::Closed(function) => rows.iter().map(|&theta| function(theta.into())).collect(),
        })
    }
}
