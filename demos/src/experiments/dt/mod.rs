//! Decision transformers, which learn from recorded episodes.

mod contender;
pub mod control;
mod data_set;
pub mod key_to_door;
pub mod pong;
mod score;
pub mod shortest_paths;
mod source;
pub mod sweep;
pub mod train;
pub mod trained;
