//! The experiments with the attention neuron.

pub mod actor;
pub mod cloning;
pub mod episodes;
pub mod evaluation;
pub mod recipe;
pub mod teacher;
pub mod training;
