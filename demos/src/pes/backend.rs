//! Where gradients and objectives of a problem come from: the hook for every kind of inner problem.

use std::fmt;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{
    AnalyticPlan, AnalyticUnroll, Estimator, Evaluator, InnerProblem, Outer, Source, TangentMethod, TangentPlan,
    TangentSettings, TangentUnroll, TruncatedUnroll, TruncationPlan, TruncationSettings,
};

use super::{EstimatorName, Recipe};
use crate::Failure;

/// An estimate of the gradient, and what it costs.
#[derive(Debug)]
pub struct Estimate {
    pub source: Box<dyn Source>,
    /// Inner steps of one outer iteration.
    pub inner_steps: usize,
}

/// The outer objective.
pub trait Judge: fmt::Debug {
    /// The objective at each of some rows of parameters, one after the other.
    ///
    /// # Errors
    /// The loss of the device.
    fn judge(&self, rows: &[f32]) -> Result<Vec<f64>, Failure>;
}

/// A kind of inner problem. Another kind than [`Wgsl`] is hooked in by an implementation of this.
pub trait Backend: fmt::Debug {
    fn parameters(&self) -> usize;

    /// Steps of the inner problem; `None` where it never ends.
    fn horizon(&self) -> Option<usize>;

    /// Whether there is a derivative.
    fn differentiable(&self) -> bool;

    /// What estimates the gradient by a recipe. Neither submits nor polls.
    ///
    /// # Errors
    /// Settings that make no sense, or no memory.
    fn estimate(&self, gpu: &Gpu, recipe: &Recipe, outer: &Outer) -> Result<Estimate, Failure>;

    /// The outer objective, for `points` points at a time.
    ///
    /// # Errors
    /// No memory.
    fn judge(&self, gpu: &Gpu, points: usize) -> Result<Box<dyn Judge>, Failure>;
}

/// What the objective of a problem in WGSL is.
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
    fn parameters(&self) -> usize {
        self.problem.parameters()
    }

    fn horizon(&self) -> Option<usize> {
        self.problem.horizon()
    }

    fn differentiable(&self) -> bool {
        self.problem.tangent_source().is_some()
    }

    fn estimate(&self, gpu: &Gpu, recipe: &Recipe, outer: &Outer) -> Result<Estimate, Failure> {
        let (problem, target) = (self.problem.clone(), gpu.target());
        let perturbed = |estimator| TruncationSettings {
            objective: recipe.objective(),
            chunks: recipe.chunks,
            staggered: recipe.staggered,
            ..TruncationSettings::new(estimator, recipe.particles, recipe.truncation, recipe.sigma)
        };
        let evolved = |estimator| -> Result<Estimate, Failure> {
            let plan = TruncationPlan::new(problem.clone(), perturbed(estimator), &target)?;
            let inner_steps = plan.inner_steps();
            Ok(Estimate { source: Box::new(TruncatedUnroll::new(gpu, plan, outer)?), inner_steps })
        };
        let differentiated = |method| -> Result<Estimate, Failure> {
            let settings =
                TangentSettings { objective: recipe.objective(), ..TangentSettings::new(method, recipe.truncation) };
            let plan = TangentPlan::new(problem.clone(), settings, &target)?;
            let inner_steps = plan.inner_steps();
            Ok(Estimate { source: Box::new(TangentUnroll::new(gpu, plan, outer)?), inner_steps })
        };
        match recipe.estimator {
            EstimatorName::Pes => evolved(Estimator::PES),
            EstimatorName::Nres => evolved(Estimator::NRES),
            EstimatorName::Gpes(unrolls) => evolved(Estimator::gpes(unrolls)),
            EstimatorName::Es | EstimatorName::FullEs => evolved(Estimator::TRUNCATED_ES),
            EstimatorName::PesA => {
                let plan = AnalyticPlan::new(problem.clone(), perturbed(Estimator::PES), &target)?;
                let inner_steps = plan.truncation.inner_steps() + plan.tangent.inner_steps();
                Ok(Estimate { source: Box::new(AnalyticUnroll::new(gpu, plan, outer)?), inner_steps })
            }
            EstimatorName::Tbptt => differentiated(TangentMethod::Tbptt),
            EstimatorName::Rtrl => differentiated(TangentMethod::Rtrl),
            EstimatorName::Uoro => differentiated(TangentMethod::Uoro { replicas: recipe.particles }),
            // A direction that lasts for an inner problem has the least variance; one that never ends needs new ones.
            EstimatorName::Dodge => differentiated(TangentMethod::Dodge {
                estimator: if self.horizon().is_some() { Estimator::NRES } else { Estimator::PES },
                directions: recipe.particles,
            }),
        }
    }

    fn judge(&self, gpu: &Gpu, points: usize) -> Result<Box<dyn Judge>, Failure> {
        let evaluator = |episodes, steps| -> Result<Evaluator, Failure> {
            Ok(Evaluator::new(gpu, self.problem.clone(), [points, episodes, steps], JUDGED)?)
        };
        Ok(Box::new(match &self.judged {
            Judged::Sum { episodes } => InnerProblems { evaluator: evaluator(*episodes, 0)?, last: false },
            Judged::Last { steps } => InnerProblems { evaluator: evaluator(1, *steps)?, last: true },
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
        Ok(evaluated.into_iter().map(|at| f64::from(if self.last { at.last } else { at.sum })).collect())
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
