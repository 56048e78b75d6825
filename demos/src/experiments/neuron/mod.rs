//! The experiments with the attention neuron, a policy that does not care in which order its inputs are wired.

pub mod actor;
pub mod ant;
pub mod clone;
pub mod cloning;
pub mod drive;
pub mod episodes;
pub mod evaluation;
mod imitation;
pub mod input_order;
pub mod network;
pub mod pong;
pub mod recipe;
pub mod reshuffle;
pub mod scene;
mod shuffles;
pub mod sight;
pub mod stage;
pub mod strip;
pub mod teacher;
pub mod terminal;
pub mod train;
pub mod training;
pub mod watch;
pub mod watching;
