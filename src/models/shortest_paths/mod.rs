//! Shortest paths on a random graph, learnt from random walks: the introduction's experiment of Decision Transformer (Chen,
//! Lu et al. 2021), whose code was not released.
//!
//! A transformer sees the nodes of a walk and predicts the steps that are left to the goal; asked for few, it finds the way.

mod decoder;
mod directed_graph;
mod walks;

pub use decoder::{GeneratedPath, PathDecoder, Prior};
pub use directed_graph::{DirectedGraph, GraphFilter};
pub use walks::{BETA2, Walk, Walks};

use crate::data::Actions;
use crate::models::decision_transformer::{DropoutRates, Initialisation, Returns, Settings, Tokens};

/// Nodes of a graph.
pub const NODES: usize = 20;

/// The probability of each edge.
pub const SPARSITY: f32 = 0.1;

/// Steps of a walk and of a generated path, T.
pub const STEPS: usize = 10;

/// Returns the network that predicts the return of a node, and the action for a node and a return.
pub fn network(context: usize, width: usize, layers: usize, heads: usize, dropout: f32) -> Settings {
    Settings {
        times: Some(context),
        tokens: Tokens::ObservationReturnAction,
        // Lengths from 0 to T, and "never".
        returns: Returns::Classes(STEPS + 2),
        return_loss: 1.0,
        dropout: DropoutRates::all(dropout),
        initialisation: Initialisation::Scaled,
        ..Settings::gym(NODES, Actions::Discrete(NODES), context).sized(width, layers, heads)
    }
}
