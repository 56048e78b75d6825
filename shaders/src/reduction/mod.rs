//! Sums, maxima and norms.

pub mod argmax;
pub mod global_norm;
pub mod reduce;
