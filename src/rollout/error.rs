//! Errors of rollouts and vector environments.

use std::fmt;

use crate::gpu;
use crate::graph::{GraphError, SessionError};

/// An error of a rollout or a vector environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// A WGSL file of an environment or a policy that cannot be used.
    File {
        /// The WGSL file.
        file: String,
        /// The line in it, from 1, where known.
        line: Option<usize>,
        /// The mistake, in one sentence.
        message: String,
    },
    /// Settings that are out of range or contradict each other.
    Settings {
        /// The setting, its range and the value given, in one sentence.
        message: String,
    },
    /// A function of a WGSL file gave a number that is not finite.
    Fault {
        /// The WGSL file.
        file: String,
        /// The function by name.
        function: &'static str,
        /// The member of the population.
        member: usize,
        /// Its episode, from 0.
        episode: usize,
        /// The step of the episode, from 0.
        step: usize,
    },
    /// An action that somebody gave to an environment is not finite.
    Action {
        /// The episode among those side by side.
        lane: usize,
        /// The step of the episode, from 0.
        step: usize,
    },
    /// The graph of a network refused.
    Graph(GraphError),
    /// The session of a network refused.
    Session(SessionError),
    /// The GPU floor refused.
    Gpu(gpu::Error),
}

impl Error {
    /// A file of which a software driver would not finish a single step in a dispatch.
    pub(crate) fn too_many_passes(file: &str) -> Self {
        let message = format!(
            "{file}: one step takes more passes through loops than the 65,535 that software drivers allow to a dispatch"
        );
        Error::Settings { message }
    }
}

impl From<GraphError> for Error {
    fn from(error: GraphError) -> Self {
        Error::Graph(error)
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Error::Session(error)
    }
}

impl From<gpu::Error> for Error {
    fn from(error: gpu::Error) -> Self {
        Error::Gpu(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { file, line: Some(line), message } => write!(f, "{file}:{line}: {message}"),
            Error::File { file, line: None, message } => write!(f, "{file}: {message}"),
            Error::Settings { message } => f.write_str(message),
            Error::Fault { file, function, member, episode, step } => write!(
                f,
                "{file}: `{function}` returned a number that is not finite, for member {member} in step {step} of its \
                 episode {episode}"
            ),
            Error::Action { lane, step } => {
                write!(f, "the action that lane {lane} was given in step {step} of its episode is not finite")
            }
            Error::Graph(error) => error.fmt(f),
            Error::Session(error) => error.fmt(f),
            Error::Gpu(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Graph(error) => Some(error),
            Error::Session(error) => Some(error),
            Error::Gpu(error) => Some(error),
            _ => None,
        }
    }
}
