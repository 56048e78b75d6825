//! The experiments with the attention neuron.

pub mod actor;
pub mod cloning;
pub mod episodes;
pub mod evaluation;
pub mod recipe;
pub mod scene;
pub mod stage;
pub mod strip;
pub mod teacher;
pub mod terminal;
pub mod training;
pub mod watching;
