//! What can be wrong with data that comes from outside.

use std::fmt;

/// Why data could not be read or written: one sentence, which names the file, what was expected and what came.
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be read.
    Read { file: String, source: std::io::Error },
    /// A file or folder cannot be written.
    Write { file: String, source: std::io::Error },
    /// The content of a file, or of data given in memory, is not what it should be.
    Content { file: String, expected: String, got: String },
    /// A tensor of a checkpoint is not what it should be.
    Tensor { file: String, tensor: String, expected: String, got: String },
}

impl Error {
    pub(crate) fn content(file: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Content { file: file.to_owned(), expected: expected.into(), got: got.into() }
    }

    pub(crate) fn tensor(file: &str, tensor: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Tensor { file: file.to_owned(), tensor: tensor.to_owned(), expected: expected.into(), got: got.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { file, source } => write!(formatter, "cannot read {file}: {source}"),
            Error::Write { file, source } => write!(formatter, "cannot write {file}: {source}"),
            Error::Content { file, expected, got } => write!(formatter, "{file}: expected {expected}, got {got}"),
            Error::Tensor { file, tensor, expected, got } => {
                write!(formatter, "{file}: tensor `{tensor}`: expected {expected}, got {got}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { source, .. } | Error::Write { source, .. } => Some(source),
            Error::Content { .. } | Error::Tensor { .. } => None,
        }
    }
}
