//! A decision transformer of Key-to-Door, from the file that the command writes.

use fourfold::data::{Actions, Checkpoint, Standardisation};
use fourfold::models::decision_transformer::{DecisionTransformer, DropoutRates, ReturnCritic, Settings};
use fourfold::models::{AgentSettings, SequenceModel};
use fourfold::rollout::environments::KeyToDoor;
use fourfold::shaders::Data;
use serde_json::Value;

use crate::Error;

/// The network with its weights, its world, and how returns and observations are scaled.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) model: DecisionTransformer,
    pub(super) weights: Data,
    pub(super) rooms: KeyToDoor,
    pub(super) scale: f32,
    pub(super) standardisation: Option<Standardisation>,
}

/// The critic with its weights and its world. It sees observations that are standardised as the agent's are.
#[derive(Debug)]
pub(super) struct TrainedCritic {
    pub(super) critic: ReturnCritic,
    pub(super) weights: Data,
    pub(super) rooms: KeyToDoor,
}

/// The most that a size in a file says: more is a damaged file.
const LARGEST: u64 = 4_096;

/// The world and the sizes of a file, whatever its network is.
fn described(name: &str, file: &Checkpoint) -> Result<(KeyToDoor, Settings, f32), Error> {
    let wrong = |expected: &str, got: &str| Error::input(name, expected, got);
    let text = |key: &str| file.get(key).map_err(|error| Error::Input(error.to_string()));
    let environment = text("environment")?;
    let sizes = environment.strip_prefix("key-to-door:").and_then(|sizes| sizes.split_once(':'));
    let sizes = sizes.and_then(|(side, steps)| Some((side.parse().ok()?, steps.parse().ok()?)));
    let rooms = match sizes {
        Some((side, steps)) if (2..=100).contains(&side) && (1..=100).contains(&steps) => {
            KeyToDoor::square(side, steps)
        }
        _ => return Err(wrong("an agent of key-to-door:SIDE:STEPS", environment)),
    };
    let json = |key: &str| {
        let text = text(key)?;
        serde_json::from_str::<Value>(text).map_err(|_| wrong(&format!("`{key}` as JSON"), text))
    };
    let (network, asked) = (json("network")?, json("asked")?);
    let size = |key: &str| {
        let value = network.get(key).and_then(Value::as_u64).filter(|size| (1..=LARGEST).contains(size));
        let got = || network.get(key).map_or("none".into(), Value::to_string);
        value.map(|size| size as usize).ok_or_else(|| wrong(&format!("`{key}` from 1 to {LARGEST}"), &got()))
    };
    let actions = Actions::Discrete(size("choices")?);
    let settings = Settings {
        times: size("times").ok(),
        bounded: network.get("bounded").and_then(Value::as_bool).unwrap_or(true),
        dropout: DropoutRates::NONE,
        ..Settings::gym(size("observations")?, actions, size("context")?).sized(
            size("width")?,
            size("layers")?,
            size("heads")?,
        )
    };
    let scale = asked.get("scale").and_then(Value::as_f64).unwrap_or(1.0) as f32;
    Ok((rooms, settings, scale))
}

/// The tensor of a name.
fn tensor(file: &Checkpoint, key: &str, length: usize) -> Result<Vec<f32>, Error> {
    file.f32(key, &[length]).map(<[f32]>::to_vec).map_err(|error| Error::Input(error.to_string()))
}

/// Returns true for the file of a critic.
pub(super) fn is_critic(name: &str, bytes: &[u8]) -> Result<bool, Error> {
    let file = Checkpoint::from_bytes(name, bytes).map_err(|error| Error::Input(error.to_string()))?;
    Ok(file.get("model").is_ok_and(|model| model == CRITIC))
}

/// The metadata `model` of the file of a critic.
const CRITIC: &str = "decision-transformer-critic";

impl TrainedCritic {
    /// Reads the critic of a run of `fourfold dt key-to-door`; `name` stands for the file in errors.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let file = Checkpoint::from_bytes(name, bytes).map_err(|error| Error::Input(error.to_string()))?;
        file.expect("model", CRITIC).map_err(|error| Error::Input(error.to_string()))?;
        let (rooms, settings, _) = described(name, &file)?;
        let critic = ReturnCritic::new(settings).map_err(|error| Error::input(name, "a network", error))?;
        let weights = Data::F32(tensor(&file, "weights", critic.parameters().length())?);
        Ok(Self { critic, weights, rooms })
    }
}

impl Trained {
    /// Reads an agent of `fourfold dt key-to-door`; `name` stands for the file in errors.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let file = Checkpoint::from_bytes(name, bytes).map_err(|error| Error::Input(error.to_string()))?;
        let (rooms, settings, scale) = described(name, &file)?;
        let model = DecisionTransformer::new(settings).map_err(|error| Error::input(name, "a network", error))?;
        let weights = Data::F32(tensor(&file, "weights", model.parameters().length())?);
        let standardisation = match file.tensors().any(|(name, ..)| name == "mean") {
            true => Some(Standardisation {
                mean: tensor(&file, "mean", model.observations())?,
                deviation: tensor(&file, "deviation", model.observations())?,
            }),
            false => None,
        };
        Ok(Self { model, weights, rooms, scale, standardisation })
    }

    /// The settings of an agent with one target for each lane.
    pub(super) fn settings(&self, targets: Vec<f32>) -> AgentSettings {
        AgentSettings {
            targets,
            return_scale: self.scale,
            standardisation: self.standardisation.clone(),
            ..AgentSettings::new(1, 0.0)
        }
    }

    /// An observation as the network has it.
    pub(super) fn standardised(&self, observation: &[f32]) -> Vec<f32> {
        match &self.standardisation {
            None => observation.to_vec(),
            Some(Standardisation { mean, deviation }) => {
                let moments = mean.iter().zip(deviation);
                observation.iter().zip(moments).map(|(seen, (mean, deviation))| (seen - mean) / deviation).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;

    #[test]
    fn the_shipped_file_is_read_and_another_is_refused_by_name() {
        let trained = Trained::read("key_to_door.safetensors", weights::KEY_TO_DOOR.bytes().unwrap()).unwrap();
        assert_eq!((trained.rooms, trained.model.context()), (KeyToDoor::square(4, 5), 15));
        let error = Trained::read("swing_up.safetensors", weights::SWING_UP.bytes().unwrap()).unwrap_err().to_string();
        let expected = "swing_up.safetensors: expected an agent of key-to-door:SIDE:STEPS, got cart-pole-swing-up-easy";
        assert_eq!(error, expected);
    }
}
