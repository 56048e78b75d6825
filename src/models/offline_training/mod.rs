//! Training of what learns from windows of recorded trajectories, wholly on the GPU.

mod error;
mod settings;
mod tables;
mod training;

pub use error::OfflineTrainingError;
pub use settings::{OfflineSettings, ReturnsToGo, Starts};
pub use training::OfflineTraining;
