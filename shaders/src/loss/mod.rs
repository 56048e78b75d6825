//! Losses with their gradients.

pub mod cross_entropy;
pub mod mean_squared_error;
