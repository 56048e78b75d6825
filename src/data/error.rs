//! Errors of data from outside: files, folders and memory.

use std::fmt;

use super::printable::{fitted, printable};

/// The reason why data could not be read or written: one sentence with the file, the expected and the actual content.
///
/// The sentence is one line without control characters, whatever names and texts of a file it quotes, and has at most 200
/// characters besides the file's own name.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    Read {
        /// The path.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    Write {
        /// The path.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Invalid content of a file, or of data given in memory.
    Content {
        /// The path, or the name of the data.
        file: String,
        /// A description of valid content.
        expected: String,
        /// A description of the content found.
        got: String,
    },
    /// An invalid tensor of a checkpoint.
    Tensor {
        /// The path, or the name of the data.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// A description of a valid tensor.
        expected: String,
        /// A description of the tensor found.
        got: String,
    },
}

impl Error {
    pub(crate) fn content(file: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Content { file: file.to_owned(), expected: expected.into(), got: got.into() }
    }

    pub(crate) fn tensor(file: &str, tensor: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Tensor { file: file.to_owned(), tensor: tensor.to_owned(), expected: expected.into(), got: got.into() }
    }
}

/// The most characters of a sentence besides the file's name.
const LONGEST: usize = 200;

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
                let [expected, got] = fitted([expected, got], LONGEST - ": expected , got ".len());
                write!(formatter, "{file}: expected {expected}, got {got}")
            }
            Error::Tensor { tensor, expected, got, .. } => {
                let room = LONGEST - ": tensor ``: expected , got ".len();
                let [tensor, expected, got] = fitted([tensor, expected, got], room);
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
        let long = "n".repeat(100_000);
        let error = Error::content("file", "x", &*long).to_string();
        assert_eq!(error.chars().count(), "file".len() + LONGEST, "{error}");
        let error = Error::tensor("file", &long, "x", &*long).to_string();
        assert!(error.chars().count() <= "file".len() + LONGEST, "{error}");
    }
}
