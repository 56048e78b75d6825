//! Elementwise kernels.

/// An expression over elements.
#[derive(Debug)]
pub struct Program;
