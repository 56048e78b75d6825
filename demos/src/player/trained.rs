//! Trained files of every kind, from a file, the folder of a run, or a folder of HuggingFace.

use std::fs;
use std::path::{Path, PathBuf};

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Standardisation, file, load_flat_vector};
use fourfold::models::decision_transformer::HuggingFaceCheckpoint;
use fourfold::models::{AgentSettings, PolicyNetwork, SequenceModel, TrainedClassifier, TrainedPolicy, TrainedVision};
use fourfold::rollout::Interface;
use fourfold::shaders::Data;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde::Deserialize;

use super::agent::AgentPlayer;
use super::digits::DigitPlayer;
use super::paths::PathPlayer;
use super::policy::PolicyPlayer;
use super::sight::{HORIZON as SIGHT_HORIZON, SightPlayer};
use super::world::NAMES;
use super::{NeuronPlayer, Player, SHIPPED, Scene, World};
use crate::experiments::dt::shortest_paths::TrainedPaths;
use crate::experiments::dt::trained::{AGENT, MODEL, TrainedAgent};
use crate::experiments::neuron::evaluation::OBSERVATIONS;
use crate::experiments::neuron::sight::{self, SeenWorld};
use crate::failure::Failure;
use crate::run::CHECKPOINT;

/// A trained policy that can be played.
#[derive(Debug)]
pub enum Trained {
    /// A policy of rollouts, in its world.
    Policy(Box<TrainedPolicy>, World),
    /// A decision transformer in a world.
    Agent(Box<TrainedAgent>, World),
    /// The same in HuggingFace's format.
    HuggingFace(Box<HuggingFaceCheckpoint>, AgentSettings, World),
    /// A transformer on a graph.
    Paths(TrainedPaths),
    /// A network that sees, in its world.
    Sight(Box<TrainedVision>),
    /// A classifier of digits, and the seed of the split that it was trained on.
    Digits(Box<TrainedClassifier>, Option<u64>),
}

/// Files of a run that are played rather than others of it.
const FIRST: [&str; 3] = ["attention_neuron.safetensors", "student.safetensors", "student-0.safetensors"];

impl Trained {
    /// Finds a policy by the name of a shipped one, a file, or a folder; `world` is played instead of the one that it names.
    ///
    /// # Errors
    /// There is none, it is damaged, or it cannot be played here.
    pub fn open(policy: &Path, world: Option<&str>) -> Result<Self, Failure> {
        let shipped = SHIPPED.iter().find(|shipped| policy.as_os_str() == shipped.name);
        if let Some(shipped) = shipped.filter(|_| !policy.exists()) {
            return Self::read(&Checkpoint::from_bytes(shipped.name, shipped.bytes)?, world);
        }
        if !policy.exists() {
            let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
            let expected = format!("expected a file, a folder or one of {}", names.join(", "));
            return Err(Failure::Input(format!("{}: {expected}, got neither", policy.display())));
        }
        if policy.is_dir() { Self::in_folder(policy, world) } else { Self::in_file(policy, world) }
    }

    fn in_folder(folder: &Path, world: Option<&str>) -> Result<Self, Failure> {
        let entries = fs::read_dir(folder).map_err(|error| Failure::Input(format!("{}: {error}", folder.display())))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        // It names its world, as HuggingFace's format does not.
        if let Some(agent) = files.iter().find(|file| file.to_string_lossy().ends_with(AGENT)) {
            return Self::in_file(agent, world);
        }
        if folder.join("model.safetensors").exists() || folder.join("pytorch_model.bin").exists() {
            return Self::of_hugging_face(folder, folder, world);
        }
        if folder.join("hugging-face").is_dir() {
            return Self::of_hugging_face(&folder.join("hugging-face"), folder, world);
        }
        files.retain(|file| file.extension().is_some_and(|kind| kind == "safetensors") && !file.ends_with(CHECKPOINT));
        files.sort_by_key(|file| (!FIRST.iter().any(|first| file.ends_with(first)), file.clone()));
        let found = files.iter().find_map(|file| Self::in_file(file, world).ok());
        found.ok_or_else(|| {
            let expected =
                "expected the folder of a run that trained a policy, or of HuggingFace's decision transformer";
            let got = match files.len() {
                0 => "no file of weights".to_owned(),
                count => format!("{count} files of weights, none of a policy"),
            };
            Failure::Input(format!("{}: {expected}, got {got}", folder.display()))
        })
    }

    fn in_file(path: &Path, world: Option<&str>) -> Result<Self, Failure> {
        match Checkpoint::load(path) {
            Ok(checkpoint) if Self::is_described(&checkpoint) => Self::read(&checkpoint, world),
            // A flat vector in the published order.
            _ => {
                let network = AttentionNeuron::cart_pole();
                Self::neuron(load_flat_vector(path, None, network.parameters())?, world)
            }
        }
    }

    fn is_described(checkpoint: &Checkpoint) -> bool {
        ["policy", "model", "environment"].iter().any(|key| checkpoint.get(key).is_ok())
    }

    fn neuron(weights: Vec<f32>, world: Option<&str>) -> Result<Self, Failure> {
        let interface = Interface { inputs: OBSERVATIONS, actions: 1 };
        let network = PolicyNetwork::AttentionNeuron(AttentionNeuron::cart_pole());
        let world = World::named(world.unwrap_or("cart-pole-swing-up"))?;
        Self::fitting(TrainedPolicy::new(network, interface, weights)?, world)
    }

    /// Reads a checkpoint of any kind.
    ///
    /// # Errors
    /// It is damaged, or of no kind that can be played.
    pub fn read(checkpoint: &Checkpoint, world: Option<&str>) -> Result<Self, Failure> {
        let named = world.or_else(|| checkpoint.get("environment").ok());
        if TrainedPaths::wrote(checkpoint) {
            return TrainedPaths::from_checkpoint(checkpoint).map(Self::Paths);
        }
        if TrainedVision::wrote(checkpoint) {
            let trained = TrainedVision::from_checkpoint(checkpoint, &sight::networks())?;
            let own = SeenWorld::of(trained.network()).name();
            return match world.filter(|&world| world != own) {
                None => Ok(Self::Sight(Box::new(trained))),
                Some(world) => Err(Failure::Input(format!("--world: expected {own}, got `{world}`"))),
            };
        }
        if checkpoint.get("policy").is_ok() {
            let trained = TrainedPolicy::from_checkpoint(checkpoint)?;
            let Interface { inputs, actions } = trained.interface();
            let world = match named {
                Some(name) => World::named(name)?,
                None => {
                    World::of_sizes(inputs, actions).ok_or_else(|| unknown(checkpoint.file(), [inputs, actions]))?
                }
            };
            return Self::fitting(trained, world);
        }
        if checkpoint.expect("model", MODEL).is_ok() {
            let agent = TrainedAgent::from_checkpoint(checkpoint)?;
            let world = World::named(world.unwrap_or(&agent.environment))?;
            let model = agent.model()?;
            fits(&world, [model.observations(), model.actions().width()])?;
            return Ok(Self::Agent(Box::new(agent), world));
        }
        if checkpoint.get("model").is_ok() {
            let trained = TrainedClassifier::from_checkpoint(checkpoint)?;
            let (image, classes) = (trained.classifier.image_shape(), trained.classifier.classes());
            if (image, classes) != ([8, 8].into(), 10) {
                let expected = "expected a classifier of the built-in digits, 8 x 8 pixels in 10 classes";
                let got = format!("{image} in {classes}");
                return Err(Failure::Input(format!("{}: {expected}, got {got}", checkpoint.file())));
            }
            let split = checkpoint.get("seed").ok().and_then(|seed| seed.parse().ok());
            return Ok(Self::Digits(Box::new(trained), split));
        }
        let expected = "expected a policy, a decision transformer or a classifier";
        Err(Failure::Input(format!("{}: {expected}, got tensors without a description", checkpoint.file())))
    }

    fn fitting(trained: TrainedPolicy, world: World) -> Result<Self, Failure> {
        let Interface { inputs, actions } = trained.interface();
        fits(&world, [inputs, actions])?;
        Ok(Self::Policy(Box::new(trained), world))
    }

    /// A folder of HuggingFace with `preparation.json` in `beside`, which holds what it lacks.
    fn of_hugging_face(folder: &Path, beside: &Path, world: Option<&str>) -> Result<Self, Failure> {
        let path = beside.join("preparation.json");
        let preparation: Preparation = match path.exists() {
            true => serde_json::from_slice(&file::read(&path)?)
                .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?,
            false => Preparation::default(),
        };
        let read = HuggingFaceCheckpoint::load(folder, preparation.context.clamp(1, 1_000))?;
        let sizes = [read.model().observations(), read.model().actions().width()];
        let world = match world {
            Some(name) => World::named(name)?,
            None => World::of_sizes(sizes[0], sizes[1]).ok_or_else(|| unknown(&folder.display().to_string(), sizes))?,
        };
        fits(&world, sizes)?;
        let (mean, deviation) = (preparation.observation_mean, preparation.observation_deviation);
        let standardisation = match [mean.len(), deviation.len()] {
            [0, 0] => None,
            lengths if lengths == [sizes[0]; 2] => Some(Standardisation { mean, deviation }),
            [means, deviations] => {
                let expected = format!("expected {} means and deviations", sizes[0]);
                return Err(Failure::Input(format!("{}: {expected}, got {means} and {deviations}", path.display())));
            }
        };
        let settings = AgentSettings {
            return_scale: preparation.return_scale,
            standardisation,
            ..AgentSettings::new(1, preparation.targets.first().copied().unwrap_or_default())
        };
        Ok(Self::HuggingFace(Box::new(read), settings, world))
    }

    /// Returns true for the attention neuron on the cart-pole, whose film shows what it attends to.
    pub fn attends(&self) -> bool {
        self.attending().is_some()
    }

    fn attending(&self) -> Option<(AttentionNeuron, &[f32])> {
        let Self::Policy(trained, world) = self else { return None };
        let PolicyNetwork::AttentionNeuron(network) = trained.network() else { return None };
        world.is_hard_swing_up().then_some((*network, trained.weights()))
    }

    /// Checks the settings of a player without a GPU.
    ///
    /// # Errors
    /// A setting that the policy does not have.
    pub fn check(&self, scene: &Scene) -> Result<(), Failure> {
        let (shuffles, noise) = match self {
            Self::Policy(trained, _) => (true, matches!(trained.network(), PolicyNetwork::AttentionNeuron(_))),
            Self::Sight(_) => (true, false),
            _ => (false, false),
        };
        let asks = matches!(self, Self::Agent(..) | Self::HuggingFace(..));
        let horizon = match self {
            Self::Policy(_, world) => world.environment.horizon(),
            Self::Sight(_) => SIGHT_HORIZON,
            _ => 1,
        };
        let refuse = |sentence: String| Err(Failure::Input(sentence));
        if scene.shuffles.is_some() && !shuffles {
            return refuse("--shuffle-at: expected a policy of rollouts, got one whose inputs are not shuffled".into());
        }
        if let Some(step) = scene.shuffles.iter().flatten().find(|&&step| step >= horizon) {
            return refuse(format!("--shuffle-at: expected steps from 0 to {}, got {step}", horizon - 1));
        }
        if scene.noise_channels > 0 && !noise {
            return refuse(
                "--noise-channels: expected an attention neuron, got a policy of a fixed number of inputs".into(),
            );
        }
        match scene.target {
            Some(_) if !asks => refuse("--target: expected a decision transformer, got another policy".into()),
            Some(target) if !target.is_finite() => refuse(format!("--target: expected a finite number, got {target}")),
            _ => Ok(()),
        }
    }

    /// Makes the player.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn player(&self, gpu: Gpu, scene: &Scene) -> Result<Box<dyn Player>, Failure> {
        let shuffles = |default: &[usize]| scene.shuffles.clone().unwrap_or_else(|| default.to_vec());
        if let Some((network, weights)) = self.attending() {
            let (weights, noise) = (weights.to_vec(), scene.noise_channels);
            return Ok(Box::new(NeuronPlayer::new(gpu, network, weights, shuffles(&[400]), noise)));
        }
        let asked = |settings: &AgentSettings| match scene.target {
            Some(target) => AgentSettings { targets: vec![target], ..settings.clone() },
            None => settings.clone(),
        };
        Ok(match self {
            Self::Policy(trained, world) => {
                let (trained, world) = (trained.as_ref().clone(), world.clone());
                Box::new(PolicyPlayer::new(gpu, trained, world, shuffles(&[]), scene.noise_channels))
            }
            Self::Agent(agent, world) => {
                let (model, weights) = (agent.model()?, Data::F32(agent.weights.clone()));
                let settings = asked(&agent.settings());
                Box::new(AgentPlayer { gpu, model, weights, settings, world: world.clone(), seed: 0 })
            }
            Self::HuggingFace(read, settings, world) => {
                let (model, weights) = read.as_ref().clone().into_parts();
                Box::new(AgentPlayer { gpu, model, weights, settings: asked(settings), world: world.clone(), seed: 0 })
            }
            Self::Sight(trained) => Box::new(SightPlayer::new(gpu, trained.as_ref().clone(), shuffles(&[300, 600]))),
            Self::Paths(paths) => Box::new(PathPlayer { found: paths.paths(&gpu)?, seed: 0 }),
            Self::Digits(trained, split) => Box::new(DigitPlayer::new(gpu, trained.as_ref().clone(), *split)),
        })
    }
}

/// Settings that HuggingFace's format lacks.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Preparation {
    observation_mean: Vec<f32>,
    observation_deviation: Vec<f32>,
    return_scale: f32,
    targets: Vec<f32>,
    context: usize,
}

impl Default for Preparation {
    /// The windows of published checkpoints, and returns as they are.
    fn default() -> Self {
        Self {
            observation_mean: Vec::new(),
            observation_deviation: Vec::new(),
            return_scale: 1.0,
            targets: Vec::new(),
            context: 20,
        }
    }
}

fn unknown(file: &str, [observations, actions]: [usize; 2]) -> Failure {
    Failure::Input(format!(
        "{file}: expected a policy for one of {} (name it with --world), got {observations} observations and {actions} \
         numbers in an action",
        NAMES.join(", ")
    ))
}

fn fits(world: &World, [observations, actions]: [usize; 2]) -> Result<(), Failure> {
    let expected = [world.environment.observations(), world.environment.actions()];
    if expected == [observations, actions] {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "--world: expected one with {observations} observations and {actions} numbers in an action, got one with {} and {}",
        expected[0], expected[1]
    )))
}
