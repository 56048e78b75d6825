//! The path that a transformer generates from each node.

use fourfold::models::shortest_paths::PathDecoder;
use serde::{Deserialize, Serialize};

use super::Walk;
use crate::failure::Failure;

/// The path from each node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// Up to the goal, or of all steps.
    #[serde(with = "fields")]
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

/// Walks in a file.
mod fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Walk;

    #[derive(Serialize, Deserialize)]
    struct Fields {
        nodes: Vec<usize>,
        actions: Vec<usize>,
    }

    pub fn serialize<S: Serializer>(walks: &[Walk], serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(walks.iter().map(|walk| Fields { nodes: walk.nodes.clone(), actions: walk.actions.clone() }))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<Walk>, D::Error> {
        let fields = Vec::<Fields>::deserialize(deserializer)?;
        Ok(fields.into_iter().map(|Fields { nodes, actions }| Walk { nodes, actions }).collect())
    }
}
