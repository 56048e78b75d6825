//! Evolution strategies over rollouts: estimators that see nothing of an objective but a number for each member of a
//! population.
//!
//! A member is a flat `f32` tensor of parameters, its number is its fitness, and fitness is maximised.
//!
//! * [`Strategy`] is OpenAI-ES or PGPE, whole on the GPU: many generations in one submission, none of which reads
//!   anything back.
//! * [`CmaEs`] runs on the CPU in `f64`: sampling and adapting a covariance matrix cost little beside the rollouts of
//!   small networks, and nothing else learns as much from each of them (feature `cma-es`, on by default).
//! * [`OuterLoop`] descends along the gradient that a [`Source`] estimates: a [`TruncatedUnroll`] of an [`InnerProblem`]
//!   by persistent evolution strategies and their kin, as an [`Estimator`] says. Losses are minimised there.
//!   Where the problem has a derivative, a [`TangentUnroll`] takes it (truncated backpropagation, real-time recurrent
//!   learning and their kin), and an [`AnalyticUnroll`] joins both.
//! * [`Evaluator`] gives the outer objective at any points.
//! * [`Population`] trains the members of a [`GraphProblem`] side by side: networks whose training is itself the inner
//!   problem of an evolution strategy.

#[cfg(feature = "cma-es")]
pub mod cma_es;

mod analytic;
mod estimator;
mod evaluation;
mod outer;
pub mod population;
mod strategy;
mod tangent;
mod truncation;

#[cfg(feature = "cma-es")]
pub use cma_es::CmaEs;

pub use analytic::{AnalyticPlan, AnalyticUnroll};
pub use estimator::{Estimator, Particles, Renewal};
pub use evaluation::{Evaluated, Evaluator};
pub use fourfold_shaders::inner_problem::{InnerProblem, Loss, Objective};
pub use fourfold_shaders::problems;
pub use outer::{Descent, Kept, Outer, OuterLoop, OuterSettings, Progress, Source};
pub use population::{
    GraphProblem, Inner, InnerStep, MemberState, Population, PopulationEvaluation, PopulationPlan, PopulationUnroll,
    SharedTensor,
};
pub use strategy::{Method, Plan, Settings, Strategy};
pub use tangent::{TangentMethod, TangentPlan, TangentSettings, TangentUnroll};
pub use truncation::{TruncatedUnroll, TruncationPlan, TruncationSettings};
