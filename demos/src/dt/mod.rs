//! Decision transformers: the data that they learn from, and the experiments.

pub mod collection;
pub mod contender;
pub mod control;
pub mod data_set;
pub mod gymnasium;
pub mod score;
pub mod sweep;
