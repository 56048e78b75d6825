//! The introduction's experiment of Decision Transformer (Chen, Lu et al. 2021): shortest paths on a random graph, learnt
//! from random walks.

mod decoder;
mod directed_graph;
mod outcome;
pub mod picture;
mod trial;
mod walks;

pub use decoder::{Decoded, Decoder, Prior};
pub use directed_graph::{DirectedGraph, Filter};
pub use outcome::{AtDistance, Outcome};
pub use trial::{Finished, Recipe, Task, Trial};
pub use walks::{Walk, Walks};
