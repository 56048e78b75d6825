//! The path that a transformer generates from each node.

use fourfold::models::shortest_paths::PathDecoder;
use serde::{Deserialize, Serialize};

use super::Walk;
use crate::failure::Failure;

/// The path from each node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// Up to the goal, or of all steps.
    pub walks: Vec<Walk>,
    /// The path length that was predicted at the start of each; 0 for the goal.
    pub predicted: Vec<usize>,
}

impl Decoded {
    /// Generates all paths with the weights as they are now; lengths of probability below `least` are left aside.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn by(decoder: &mut PathDecoder, least: f32) -> Result<Self, Failure> {
        let steps = decoder.steps();
        decoder.begin(least, 0)?;
        let values = decoder.submit(steps)?.wait()?;
        let paths = decoder.paths(&values, steps);
        Ok(Self {
            predicted: paths.iter().map(|path| path.lengths.first().copied().unwrap_or(0)).collect(),
            walks: paths.into_iter().map(|path| Walk { nodes: path.nodes, actions: path.actions }).collect(),
        })
    }
}
