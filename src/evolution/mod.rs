//! Evolution strategies over rollouts: estimators that see nothing of an objective but a number for each member of a
//! population.
//!
//! A member is a flat `f32` tensor of parameters, its number is its fitness, and fitness is maximised.
//!
//! * [`Strategy`] is OpenAI-ES or PGPE, whole on the GPU: many generations in one submission, none of which reads
//!   anything back.
//! * [`CmaEs`] runs on the CPU in `f64`: sampling and adapting a covariance matrix cost little beside the rollouts of
//!   small networks, and nothing else learns as much from each of them (feature `cma-es`, on by default).
//! * [`Population`] trains the members of a [`GraphProblem`] side by side: networks whose training is itself the inner
//!   problem of an evolution strategy.

#[cfg(feature = "cma-es")]
pub mod cma_es;

pub mod population;

mod strategy;

#[cfg(feature = "cma-es")]
pub use cma_es::CmaEs;

pub use population::{
    GraphProblem, Inner, InnerStep, MemberState, Population, PopulationError, PopulationPlan, SharedTensor,
};
pub use strategy::{Method, Plan, Settings, Strategy};
