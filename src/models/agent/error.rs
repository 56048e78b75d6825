//! Errors of agents.

use std::fmt;

use crate::graph::{GraphError, SessionError};
use crate::{gpu, rollout};

/// The reason why an agent cannot be made or cannot act.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AgentError {
    /// Settings that do not go with the model or the environment.
    Settings {
        /// The sentence: expected and got.
        message: String,
    },
    /// An observation that is not finite, or an action that is not since the weights or a reward are not.
    NotFinite {
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

/// Refuses numbers of `episodes` episodes that are not finite: no action that comes of them is one.
pub(super) fn check_finite(what: &str, numbers: &[f32], episodes: usize) -> Result<(), AgentError> {
    let Some(place) = numbers.iter().position(|number| !number.is_finite()) else { return Ok(()) };
    let width = numbers.len().div_ceil(episodes);
    let (episode, index, got) = (place / width, place % width, numbers[place]);
    let message = format!("{what} of episode {episode}: expected finite numbers, got {got} at index {index}");
    Err(AgentError::NotFinite { message })
}

/// Refuses returns that are not one finite number for each episode.
pub(super) fn check_returns(returns: &[f32], episodes: usize) -> Result<(), AgentError> {
    if returns.len() != episodes || returns.iter().any(|target| !target.is_finite()) {
        let message = format!("expected {episodes} finite returns, got {returns:?}");
        return Err(AgentError::Settings { message });
    }
    Ok(())
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

impl From<gpu::Error> for AgentError {
    fn from(error: gpu::Error) -> Self {
        AgentError::Session(error.into())
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
            AgentError::Settings { message } | AgentError::NotFinite { message } => f.write_str(message),
            AgentError::Graph(error) => error.fmt(f),
            AgentError::Session(error) => error.fmt(f),
            AgentError::Environment(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AgentError::Settings { .. } | AgentError::NotFinite { .. } => None,
            AgentError::Graph(error) => Some(error),
            AgentError::Session(error) => Some(error),
            AgentError::Environment(error) => Some(error),
        }
    }
}
