//! Gradients against finite differences in f64, by the reference interpreter: no kernel takes part.
//!
//! `rules` puts every operation with a derivative into the middle of a graph and compares first, second and third
//! derivatives.

mod finite_differences;
mod rules;
