//! A decision transformer with its weights, the environment it was trained for and the way it is asked, as a checkpoint
//! file.

use fourfold::data::{Actions, Checkpoint, Standardisation};
use fourfold::models::decision_transformer::{DecisionTransformer, DropoutRates, Settings, Tokens};
use fourfold::models::{AgentSettings, SequenceModel};
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A trained decision transformer.
///
/// A checkpoint of it holds the metadata `model` (`decision-transformer`), `environment`, `network` and `asked` (JSON),
/// the tensors `weights`, `mean` and `deviation`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedAgent {
    /// The environment that it plays in, by its name.
    pub environment: String,
    network: Network,
    pub weights: Vec<f32>,
    pub asked: Asked,
    pub standardisation: Option<Standardisation>,
}

/// Inputs of the network besides its observations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The return that is asked for.
    pub target: f32,
    /// Returns are divided by it.
    pub scale: f32,
    /// The return is paid at the end.
    pub delayed: bool,
}

/// The sizes of a network like that of the paper for control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Network {
    observations: usize,
    /// Choices of a discrete action, or none for continuous ones.
    choices: Option<usize>,
    /// Numbers in an action.
    actions: usize,
    context: usize,
    times: Option<usize>,
    width: usize,
    layers: usize,
    heads: usize,
    bounded: bool,
    returns: bool,
}

impl Network {
    fn of(settings: &Settings) -> Self {
        Self {
            observations: settings.observations,
            choices: match settings.actions {
                Actions::Discrete(choices) => Some(choices),
                Actions::Continuous(_) => None,
            },
            actions: settings.actions.width(),
            context: settings.context,
            times: settings.times,
            width: settings.width,
            layers: settings.layers,
            heads: settings.heads,
            bounded: settings.bounded,
            returns: settings.tokens == Tokens::ReturnObservationAction,
        }
    }

    fn settings(&self) -> Settings {
        let actions = self.choices.map_or(Actions::Continuous(self.actions), Actions::Discrete);
        let settings = Settings {
            times: self.times,
            bounded: self.bounded,
            dropout: DropoutRates::NONE,
            ..Settings::gym(self.observations, actions, self.context).sized(self.width, self.layers, self.heads)
        };
        if self.returns { settings } else { settings.without_returns() }
    }
}

/// The end of the name of a file that `dt train` writes.
pub const AGENT: &str = "agent.safetensors";

/// The most that a size in a file says: more is a damaged file.
const LARGEST: usize = 1 << 16;

impl TrainedAgent {
    /// Describes a trained network; none if it differs from that of the paper for control in more than sizes.
    pub fn new(environment: &str, settings: &Settings, weights: &Data, asked: &AgentSettings) -> Option<Self> {
        let network = Network::of(settings);
        let plain = Settings { dropout: DropoutRates::NONE, ..*settings };
        let target = asked.targets.first().copied().unwrap_or_default();
        (network.settings() == plain).then(|| Self {
            environment: environment.to_owned(),
            network,
            weights: weights.f32().to_vec(),
            asked: Asked { target, scale: asked.return_scale, delayed: asked.delayed },
            standardisation: asked.standardisation.clone(),
        })
    }

    /// Returns the network.
    ///
    /// # Errors
    /// Sizes that describe none.
    pub fn model(&self) -> Result<DecisionTransformer, Failure> {
        DecisionTransformer::new(self.network.settings()).map_err(Failure::input)
    }

    /// Returns the settings of an agent that plays one episode.
    pub fn settings(&self) -> AgentSettings {
        AgentSettings {
            return_scale: self.asked.scale,
            delayed: self.asked.delayed,
            standardisation: self.standardisation.clone(),
            ..AgentSettings::new(1, self.asked.target)
        }
    }

    /// Returns the checkpoint.
    ///
    /// # Errors
    /// A number of the settings that JSON cannot hold.
    pub fn to_checkpoint(&self) -> Result<Checkpoint, Failure> {
        let mut file = Checkpoint::new();
        file.set("model", MODEL);
        file.set("environment", &*self.environment);
        file.set("network", serde_json::to_string(&self.network).map_err(Failure::run)?);
        file.set("asked", serde_json::to_string(&self.asked).map_err(Failure::run)?);
        file.insert("weights", &[self.weights.len()], Data::F32(self.weights.clone()));
        for (name, values) in self.standardisation.iter().flat_map(|s| [("mean", &s.mean), ("deviation", &s.deviation)])
        {
            file.insert(name, &[values.len()], Data::F32(values.clone()));
        }
        Ok(file)
    }

    /// Returns the checkpoint of a [critic](fourfold::models::decision_transformer::ReturnCritic) that has the sizes of this
    /// network; the weights are the critic's.
    ///
    /// # Errors
    /// As [`to_checkpoint`](Self::to_checkpoint).
    pub fn to_critic_checkpoint(&self) -> Result<Checkpoint, Failure> {
        let mut file = self.to_checkpoint()?;
        file.set("model", CRITIC);
        Ok(file)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// An entry or tensor is missing or invalid; the sentence names the file and the entry.
    pub fn from_checkpoint(file: &Checkpoint) -> Result<Self, Failure> {
        file.expect("model", MODEL)?;
        let wrong = |key: &str, error: &dyn std::fmt::Display| {
            Failure::Input(format!("{}: expected `{key}` of a decision transformer, got {error}", file.file()))
        };
        let network: Network = serde_json::from_str(file.get("network")?).map_err(|error| wrong("network", &error))?;
        let asked: Asked = serde_json::from_str(file.get("asked")?).map_err(|error| wrong("asked", &error))?;
        let Network { observations, choices, actions, context, times, width, layers, heads, .. } = network;
        let sizes = [observations, choices.unwrap_or(1), actions, context, times.unwrap_or(1), width, layers, heads];
        if sizes.iter().any(|size| !(1..=LARGEST).contains(size)) || layers > 64 || !width.is_multiple_of(heads) {
            let got = format!("`{}`", file.get("network")?);
            let expected = format!("expected sizes from 1 to {LARGEST} as `network`");
            return Err(Failure::Input(format!("{}: {expected}, got {got}", file.file())));
        }
        let settings = network.settings();
        let model = DecisionTransformer::new(settings).map_err(|error| wrong("network", &error))?;
        let weights = file.f32("weights", &[model.parameters().length()])?.to_vec();
        let moments = |name| file.f32(name, &[observations]).map(<[f32]>::to_vec);
        let standardised = file.tensors().any(|(name, ..)| name == "mean");
        let standardisation = match standardised {
            true => Some(Standardisation { mean: moments("mean")?, deviation: moments("deviation")? }),
            false => None,
        };
        Ok(Self { environment: file.get("environment")?.to_owned(), network, weights, asked, standardisation })
    }
}

/// The metadata `model` of a file.
pub const MODEL: &str = "decision-transformer";

/// The metadata `model` of a critic's file.
pub const CRITIC: &str = "decision-transformer-critic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_the_agent_it_was_given_and_names_what_is_wrong() {
        let settings = Settings { times: None, ..Settings::gym(3, Actions::Continuous(1), 4).sized(8, 1, 1) };
        let model = DecisionTransformer::new(settings).unwrap();
        let weights = model.parameters().initial(3);
        let standardisation = Standardisation { mean: vec![0.5; 3], deviation: vec![2.0; 3] };
        let asked = AgentSettings {
            return_scale: 4.0,
            standardisation: Some(standardisation),
            ..AgentSettings::new(2, -200.0)
        };
        let agent = TrainedAgent::new("pendulum", &settings, &weights, &asked).unwrap();
        let bytes = agent.to_checkpoint().unwrap().to_bytes();
        let read = TrainedAgent::from_checkpoint(&Checkpoint::from_bytes("file", &bytes).unwrap()).unwrap();
        assert_eq!(read, agent);
        assert_eq!(read.settings(), AgentSettings { targets: vec![-200.0], ..asked.clone() });

        let mut damaged = agent.to_checkpoint().unwrap();
        damaged.set("network", "{}");
        let sentence = TrainedAgent::from_checkpoint(&damaged).unwrap_err().to_string();
        assert!(sentence.contains("expected `network`"), "{sentence}");
        let atari = Settings::atari(3, 4, 4, 10);
        assert_eq!(TrainedAgent::new("pong", &atari, &weights, &asked), None);
    }
}
