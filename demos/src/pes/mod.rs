//! Persistent evolution strategies and what they are compared with: the problems, their settings, and trainings.

pub mod backend;
pub mod catalogue;
pub mod control;
pub mod estimator;
pub mod hyperparameters;
pub mod learned_optimiser;
pub mod recipe;
pub mod task;
pub mod trace;
pub mod training;
pub mod variance;

pub use backend::{Backend, Judge, Judged, Wgsl};
pub use estimator::EstimatorName;
pub use recipe::{ObjectiveName, OptimiserName, Recipe};
pub use task::{Entry, Map, Reference, Task};
pub use trace::{Point, Trace};
pub use training::Training;
