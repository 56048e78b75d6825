//! What can be wrong with data that comes from outside.

use std::fmt;

use super::printable::{printable, quotable};

/// Why data could not be read or written: one sentence, which names the file, what was expected and what came.
///
/// The sentence is one line without control characters, whatever names and texts of a file it quotes.
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
        let file = match self {
            Error::Read { file, .. } | Error::Write { file, .. } => file,
            Error::Content { file, .. } | Error::Tensor { file, .. } => file,
        };
        let file = printable(file);
        match self {
            Error::Read { source, .. } => write!(formatter, "cannot read {file}: {source}"),
            Error::Write { source, .. } => write!(formatter, "cannot write {file}: {source}"),
            Error::Content { expected, got, .. } => {
                write!(formatter, "{file}: expected {}, got {}", quotable(expected), quotable(got))
            }
            Error::Tensor { tensor, expected, got, .. } => {
                let [tensor, expected, got] = [tensor, expected, got].map(|text| quotable(text));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_one_line_whatever_they_quote() {
        let error = Error::tensor("a\nb", "w\u{1b}[31m", "x", "y\r").to_string();
        assert_eq!(error, r"a\nb: tensor `w\u{1b}[31m`: expected x, got y\r");
        let error = Error::content("file", "x", "n".repeat(100_000)).to_string();
        assert!(error.len() < 1000, "{} bytes", error.len());
    }
}
