//! The parts of the `fourfold` command, from the floor up: failures, options and pictures; runs and their reports;
//! experiments; commands; the command line.

// A reader of the output that goes away makes these panic: `show!` and `tell!` of `output` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod adapter;
pub mod animation;
pub mod by_name;
pub mod command_line;
pub mod commands;
pub mod content_hash;
pub mod data_name;
pub mod entry;
mod estimate;
pub mod experiment;
pub mod experiments;
pub mod failure;
pub mod guide;
pub mod gymnasium;
pub mod limits;
pub mod options;
pub mod output;
pub mod picture;
pub mod player;
pub mod progress;
pub mod ranks;
pub mod run;
pub mod runtime_folder;
pub mod statistics;
pub mod table;
pub mod translation;
mod tuning;
mod wait_limit;
