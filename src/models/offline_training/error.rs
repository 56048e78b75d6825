//! Errors of offline training.

use std::fmt;

use crate::data;
use crate::gpu;
use crate::graph::{GraphError, SessionError};

/// The reason why a training on recorded trajectories cannot start or continue.
#[derive(Debug)]
#[non_exhaustive]
pub enum OfflineTrainingError {
    /// A setting is out of its range, or does not fit the model or the trajectories.
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// Its valid range.
        expected: String,
        /// The value given.
        got: String,
    },
    /// The model cannot be planned at these sizes.
    Graph(GraphError),
    /// The session or the GPU floor refused.
    Session(SessionError),
    /// The checkpoint is of another training.
    Checkpoint(data::Error),
}

pub(super) fn wrong(
    setting: &'static str,
    expected: impl Into<String>,
    got: impl fmt::Display,
) -> OfflineTrainingError {
    OfflineTrainingError::Setting { setting, expected: expected.into(), got: got.to_string() }
}

impl fmt::Display for OfflineTrainingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { setting, expected, got } => {
                write!(formatter, "offline training: expected {setting} of {expected}, got {got}")
            }
            Self::Graph(error) => error.fmt(formatter),
            Self::Session(error) => error.fmt(formatter),
            Self::Checkpoint(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for OfflineTrainingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setting { .. } => None,
            Self::Graph(error) => Some(error),
            Self::Session(error) => Some(error),
            Self::Checkpoint(error) => Some(error),
        }
    }
}

impl From<GraphError> for OfflineTrainingError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<SessionError> for OfflineTrainingError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<gpu::Error> for OfflineTrainingError {
    fn from(error: gpu::Error) -> Self {
        Self::Session(error.into())
    }
}

impl From<data::Error> for OfflineTrainingError {
    fn from(error: data::Error) -> Self {
        Self::Checkpoint(error)
    }
}
