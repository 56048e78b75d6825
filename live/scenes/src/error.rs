//! What can go wrong in a scene.

use std::fmt;

/// One sentence for the visitor; nothing of a scene panics.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The device failed or was lost: another is needed.
    Device(String),
    /// A wrong input: a name, a value or a file.
    Input(String),
}

impl Error {
    /// A wrong input by its name.
    pub(crate) fn input(name: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Input(format!("{name}: expected {expected}, got {got}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(message) | Self::Input(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! of_the_device {
    ($($source:ty),*) => {
        $(impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::Device(error.to_string())
            }
        })*
    };
}

of_the_device!(
    fourfold::Error,
    fourfold::evolution::Error,
    fourfold::rollout::Error,
    fourfold::graph::GraphError,
    fourfold::graph::SessionError,
    fourfold::models::agent::AgentError,
    fourfold::models::offline_training::OfflineTrainingError,
    fourfold::data::Error
);
