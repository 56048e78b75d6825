//! Errors of estimators, evaluators and outer loops.

use std::fmt;
use std::sync::Arc;

use crate::graph::{GraphError, SessionError};
use crate::{data, gpu, rollout};

/// An error of an estimator, an evaluator or an outer loop.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// Settings that are out of range or contradict each other.
    Settings {
        /// One sentence with the name, the expected value and the value that was given.
        message: String,
    },
    /// A problem's WGSL is invalid, or a rollout failed.
    Rollout(rollout::Error),
    /// The graph of an inner problem is invalid.
    Graph {
        /// The name of the problem.
        problem: String,
        /// The operation that is wrong, and the line that made it.
        error: GraphError,
    },
    /// The graph of an inner problem cannot run on its buffers.
    Session(SessionError),
    /// A checkpoint lacks a tensor, or has it in another shape.
    Checkpoint(Arc<data::Error>),
    /// The GPU floor failed.
    Gpu(gpu::Error),
}

impl Error {
    pub(super) fn settings<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Settings { message: message.into() })
    }
}

impl From<data::Error> for Error {
    fn from(error: data::Error) -> Self {
        Self::Checkpoint(Arc::new(error))
    }
}

impl From<gpu::Error> for Error {
    fn from(error: gpu::Error) -> Self {
        Self::Gpu(error)
    }
}

impl From<rollout::Error> for Error {
    fn from(error: rollout::Error) -> Self {
        match error {
            rollout::Error::Gpu(error) => Self::Gpu(error),
            rollout::Error::Settings { message } => Self::Settings { message },
            error => Self::Rollout(error),
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Gpu(error) => Self::Gpu(error),
            error => Self::Session(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings { message } => f.write_str(message),
            Self::Rollout(error) => error.fmt(f),
            Self::Graph { problem, error } => write!(f, "the inner problem {problem}: {error}"),
            Self::Session(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Gpu(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings { .. } => None,
            Self::Rollout(error) => Some(error),
            Self::Graph { error, .. } => Some(error),
            Self::Session(error) => Some(error),
            Self::Checkpoint(error) => Some(&**error),
            Self::Gpu(error) => Some(error),
        }
    }
}
