//! Experiments with the decision transformer.

pub mod shortest_paths;
