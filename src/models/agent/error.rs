//! Errors of agents.

use std::fmt;

use crate::graph::{GraphError, SessionError};
use crate::rollout;

/// The reason why an agent cannot be made or cannot act.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AgentError {
    /// Settings that do not go with the model or the environment.
    Settings {
        /// The sentence: expected and got.
        message: String,
    },
    /// The model built an invalid graph.
    Graph(GraphError),
    /// Buffers or weights that do not fit, or the GPU floor refused.
    Session(SessionError),
    /// The environment refused.
    Environment(rollout::Error),
}

impl From<GraphError> for AgentError {
    fn from(error: GraphError) -> Self {
        AgentError::Graph(error)
    }
}

impl From<SessionError> for AgentError {
    fn from(error: SessionError) -> Self {
        AgentError::Session(error)
    }
}

impl From<rollout::Error> for AgentError {
    fn from(error: rollout::Error) -> Self {
        AgentError::Environment(error)
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentError::Settings { message } => f.write_str(message),
            AgentError::Graph(error) => error.fmt(f),
            AgentError::Session(error) => error.fmt(f),
            AgentError::Environment(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AgentError::Settings { .. } => None,
            AgentError::Graph(error) => Some(error),
            AgentError::Session(error) => Some(error),
            AgentError::Environment(error) => Some(error),
        }
    }
}
