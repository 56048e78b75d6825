//! The error of building a graph.

use std::fmt;
use std::panic::Location;

/// A mistake in building a graph: which operation, what was wrong, and the caller's line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphError {
    /// The operation by name.
    pub operation: &'static str,
    /// Expected and got, shapes included.
    pub message: String,
    /// The line that asked for it.
    pub location: &'static Location<'static>,
}

impl fmt::Display for GraphError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} (at {})", self.operation, self.message, self.location)
    }
}

impl std::error::Error for GraphError {}
