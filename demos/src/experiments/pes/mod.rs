//! Persistent evolution strategies and what they are compared with.

pub mod compare;
pub mod control;
mod hyperparameter_training;
pub mod hyperparameters;
pub mod learned_optimiser;
mod outer_training;
pub mod schedule;
pub mod single;
pub mod variance;
