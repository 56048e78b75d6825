//! A decision transformer of shortest paths, from the file that the command writes.

use fourfold::data::Checkpoint;
use fourfold::models::SequenceModel;
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::shortest_paths::{DirectedGraph, Prior, STEPS, network};
use fourfold::shaders::Data;
use serde_json::Value;

use crate::Error;

/// The metadata `environment` of a file.
pub(in crate::dt) const ENVIRONMENT: &str = "shortest-paths";

/// The network with its weights, and the graph that it knows.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) model: DecisionTransformer,
    pub(super) weights: Data,
    pub(super) graph: DirectedGraph,
    pub(super) prior: Prior,
}

/// The most that a size in a file says: more is a damaged file.
const LARGEST: u64 = 1_024;

impl Trained {
    /// Reads a checkpoint of `fourfold dt shortest-paths`; `name` stands for the file in errors.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |expected: &str, got: &str| Error::input(name, expected, got);
        let file = Checkpoint::from_bytes(name, bytes).map_err(|error| Error::Input(error.to_string()))?;
        let text = |key: &str| file.get(key).map_err(|error| Error::Input(error.to_string()));
        let environment = text("environment")?;
        if environment != ENVIRONMENT {
            return Err(wrong("an agent of shortest-paths", environment));
        }
        let settings = text("settings")?;
        let settings: Value = serde_json::from_str(settings).map_err(|_| wrong("`settings` as JSON", settings))?;
        let number = |key: &str, most: u64| {
            let value = settings.get(key).and_then(Value::as_u64).filter(|number| (1..=most).contains(number));
            let got = || settings.get(key).map_or("none".into(), Value::to_string);
            value.map(|number| number as usize).ok_or_else(|| wrong(&format!("`{key}` from 1 to {most}"), &got()))
        };
        let size = |key| number(key, LARGEST);
        let sizes = network(number("context", STEPS as u64)?, size("width")?, size("layers")?, size("heads")?, 0.0);
        let model = DecisionTransformer::new(sizes).map_err(|error| wrong("a network", &error.to_string()))?;
        let weights = file.f32("weights", &[model.parameters().length()]);
        let weights = Data::F32(weights.map_err(|error| Error::Input(error.to_string()))?.to_vec());
        let seed = text("seed")?;
        let graph = seed.parse().ok().and_then(DirectedGraph::of_seed);
        let graph = graph.ok_or_else(|| wrong("`seed` of a graph", seed))?.0;
        let power = settings.get("power").and_then(Value::as_f64).unwrap_or(10.0) as f32;
        Ok(Self { model, weights, graph, prior: Prior { steps: STEPS, power } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;

    #[test]
    fn the_shipped_file_is_read_and_another_is_refused_by_name() {
        let trained = Trained::read("shortest_paths.safetensors", weights::SHORTEST_PATHS.bytes().unwrap()).unwrap();
        assert_eq!((trained.graph.nodes(), trained.model.context(), trained.prior.power), (20, 3, 10.0));
        let error = Trained::read("swing_up.safetensors", weights::SWING_UP.bytes().unwrap()).unwrap_err().to_string();
        assert_eq!(error, "swing_up.safetensors: expected an agent of shortest-paths, got cart-pole-swing-up-easy");
    }
}
