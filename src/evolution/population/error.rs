//! What can go wrong with a population.

use std::fmt;

use crate::gpu;
use crate::graph::{GraphError, SessionError};

/// What can go wrong with a population.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PopulationError {
    /// A graph that the problem built wrongly.
    Graph { problem: String, error: GraphError },
    /// Settings that make no sense together.
    Settings { message: String },
    /// A session that could not be made.
    Session(SessionError),
    /// The GPU floor refused.
    Gpu(gpu::Error),
}

impl fmt::Display for PopulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PopulationError::Graph { problem, error } => write!(f, "the inner problem {problem}: {error}"),
            PopulationError::Settings { message } => f.write_str(message),
            PopulationError::Session(error) => error.fmt(f),
            PopulationError::Gpu(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PopulationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PopulationError::Graph { error, .. } => Some(error),
            PopulationError::Settings { .. } => None,
            PopulationError::Session(error) => Some(error),
            PopulationError::Gpu(error) => Some(error),
        }
    }
}

impl From<SessionError> for PopulationError {
    fn from(error: SessionError) -> Self {
        PopulationError::Session(error)
    }
}

impl From<gpu::Error> for PopulationError {
    fn from(error: gpu::Error) -> Self {
        PopulationError::Gpu(error)
    }
}
