//! The parts of the `fourfold` command: its arguments, what a run leaves behind, and what a user sees meanwhile.

pub mod arguments;
pub mod bitmap;
pub(crate) mod canvas;
pub mod classification;
pub mod column_plot;
pub mod commands;
pub mod content_hash;
pub mod dt;
pub mod failure;
pub mod heat_map;
pub mod neuron;
pub mod pes;
pub mod plot;
pub mod progress;
pub mod run_folder;
pub mod statistics;
pub mod table;

pub use failure::Failure;
