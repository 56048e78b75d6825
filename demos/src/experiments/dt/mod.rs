//! Decision transformers, which learn from recorded episodes.

pub mod key_to_door;
pub mod shortest_paths;
