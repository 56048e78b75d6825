//! The reason for which a command ended, and the exit code that tells a script so.

use std::fmt;

use fourfold::data::printable;
use fourfold::graph::SessionError;

/// A message for the user, with its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The input is wrong: a flag, a value, a file, a folder. Exit code 2.
    Input(String),
    /// The run itself failed, or found what it was made to find (a kernel that computes wrong numbers). Exit code 1.
    Run(String),
    /// As [`Failure::Run`], with an exit code of its own.
    Coded(u8, String),
    /// The device was lost, or has no memory left: the run can go on from its last checkpoint on another. Exit code 3.
    Lost(String),
    /// Ctrl-C stopped the run, which said so. Exit code 130; 143 after SIGTERM, see [`stop::code`](crate::run::stop::code).
    Stopped,
    /// Another rank failed, with this exit code, and says why.
    Elsewhere(u8),
}

impl Failure {
    pub fn input(message: impl fmt::Display) -> Self {
        Failure::Input(message.to_string())
    }

    pub fn run(message: impl fmt::Display) -> Self {
        Failure::Run(message.to_string())
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Run(_) => 1,
            Failure::Coded(code, _) | Failure::Elsewhere(code) => *code,
            Failure::Input(_) => 2,
            Failure::Lost(_) => 3,
            Failure::Stopped => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may quote files, flags and other programs: control characters become escapes, but for lines and tabs.
        match self {
            Failure::Stopped => formatter.write_str("stopped"),
            Failure::Elsewhere(_) => formatter.write_str("another rank failed and says why"),
            Failure::Input(message) | Failure::Run(message) | Failure::Coded(_, message) | Failure::Lost(message) => {
                let line = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
                formatter.write_str(&message.split('\n').map(line).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

impl std::error::Error for Failure {}

/// A wrong file is wrong input, and so is a folder that cannot be written; a disk that is full is not.
impl From<fourfold::data::Error> for Failure {
    fn from(error: fourfold::data::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match &error {
            fourfold::data::Error::Write { source, .. }
                if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
            {
                Failure::run(error)
            }
            _ => Failure::input(error),
        }
    }
}

/// Describes a buffer that the adapter does not allow, to somebody who chose the sizes of a run.
fn too_large(bytes: u64, limit: u64) -> Failure {
    let [bytes, limit] = [bytes, limit].map(|bytes| bytes as f64 / f64::from(1 << 30));
    Failure::Input(format!(
        "the sizes of this run: expected buffers of up to {limit:.2} GiB, which this adapter allows, got one of {bytes:.2} GiB: \
         take a smaller batch, context or width, or fewer particles"
    ))
}

impl From<fourfold::Error> for Failure {
    fn from(error: fourfold::Error) -> Self {
        match error {
            fourfold::Error::BufferTooLarge { bytes, limit, .. } => too_large(bytes, limit),
            lost @ (fourfold::Error::DeviceLost { .. } | fourfold::Error::OutOfMemory { .. }) => {
                Failure::Lost(lost.to_string())
            }
            error => Failure::run(error),
        }
    }
}

/// Settings, WGSL files and numbers that are not finite are the user's; a device's refusal is the run's.
impl From<fourfold::rollout::Error> for Failure {
    fn from(error: fourfold::rollout::Error) -> Self {
        match error {
            fourfold::rollout::Error::Gpu(error) => error.into(),
            fourfold::rollout::Error::Fault { .. } => Failure::run(error),
            error => Failure::input(error),
        }
    }
}

/// Settings and problems are the user's; a device's refusal is the run's.
impl From<fourfold::evolution::Error> for Failure {
    fn from(error: fourfold::evolution::Error) -> Self {
        match error {
            fourfold::evolution::Error::Gpu(error) => error.into(),
            fourfold::evolution::Error::Rollout(error) => error.into(),
            fourfold::evolution::Error::Graph { error, .. } => error.into(),
            error => Failure::input(error),
        }
    }
}

/// Settings and checkpoints are the user's; a device's refusal is the run's.
impl From<fourfold::models::offline_training::OfflineTrainingError> for Failure {
    fn from(error: fourfold::models::offline_training::OfflineTrainingError) -> Self {
        use fourfold::models::offline_training::OfflineTrainingError::{Checkpoint, Graph, Session, Setting};
        match error {
            Setting { .. } | Checkpoint(_) => Failure::input(error),
            Graph(error) => error.into(),
            Session(error) => error.into(),
            error => Failure::run(error),
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Gpu(error) => error.into(),
            error => Failure::run(error),
        }
    }
}

impl From<fourfold::graph::GraphError> for Failure {
    /// Leaves out the line of the program, which is nothing to a user.
    fn from(error: fourfold::graph::GraphError) -> Self {
        let fourfold::graph::GraphError { operation, message, .. } = error;
        Failure::Input(format!("the sizes of this run: expected smaller ones, got {operation}: {message}"))
    }
}

impl From<fourfold::models::agent::AgentError> for Failure {
    fn from(error: fourfold::models::agent::AgentError) -> Self {
        use fourfold::models::agent::AgentError::{Environment, Graph, Session, Settings};
        match error {
            Graph(error) => error.into(),
            Session(error) => error.into(),
            Environment(error) => error.into(),
            Settings { .. } => Failure::input(error),
            error => Failure::run(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_what_is_quoted_become_escapes() {
        let failure = Failure::input("expected\ta\u{1b}[31m,\ngot\r\u{7}b");
        assert_eq!(failure.to_string(), "expected\ta\\u{1b}[31m,\ngot\\r\\u{7}b");
    }
}
