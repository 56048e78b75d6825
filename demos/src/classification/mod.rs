//! Training and judging classifiers of images, everything of a step on the GPU.

mod curvature;
mod evaluation;
mod trainer;

pub use curvature::{Curvature, Spectrum};
pub use evaluation::{Evaluator, Score};
pub use trainer::{EpochLosses, Method, Recipe, Trainer};
