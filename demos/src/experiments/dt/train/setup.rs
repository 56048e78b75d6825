//! The data, the network and the recipe, from the settings and the file.

use fourfold::Gpu;
use fourfold::data::{Actions, Checkpoint, Format, Standardisation, Trajectories, dqn_replay, printable};
use fourfold::models::behaviour_cloning::{self, BehaviourCloning};
use fourfold::models::decision_transformer::{self, DecisionTransformer, HuggingFaceCheckpoint};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo};
use fourfold::models::{AgentSettings, SequenceModel};
use fourfold::optim::Schedule;
use serde_json::json;

use super::{Learner, MOST_BURST, Settings};
use crate::experiments::data::World;
use crate::experiments::dt::score::Reference;
use crate::experiments::dt::trained::{AGENT, TrainedAgent};
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;

/// The data, and what flags that are not given take from them.
#[derive(Debug)]
pub struct Setup {
    /// All episodes of the file.
    pub data: Trajectories,
    pub format: Format,
    pub trained_on: Trajectories,
    pub model: Box<dyn SequenceModel>,
    pub environment: Option<String>,
    /// Our own environment that the data were collected in.
    pub collected: Option<World>,
    pub reference: Option<Reference>,
    pub scale: f32,
    pub targets: Vec<f32>,
    pub width: usize,
    standardisation: Standardisation,
}

impl Setup {
    /// Reads the data.
    ///
    /// # Errors
    /// A file that cannot be read, or settings that do not fit it.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        let (data, format) = match settings.replay {
            None => Trajectories::load_with_format(&settings.data)?,
            Some(checkpoint) => {
                let Settings { replay_first: first, replay_steps: steps, .. } = *settings;
                let selection = dqn_replay::Selection { checkpoint, first, steps };
                (dqn_replay::load(&settings.data, selection)?, Format::DqnReplay)
            }
        };
        if data.frames().is_some() && settings.model == Learner::Bc {
            return Err(Failure::input("--model: expected transformer or transformer-bc for pictures, got bc"));
        }
        let environment = settings.env.clone().or_else(|| environment_of(&data));
        let reference = Reference::for_data(&data, environment.as_deref());
        if settings.gymnasium && environment.is_none() {
            let data = settings.data.display();
            return Err(Failure::Input(format!("--gymnasium needs --env: {data} does not say where it is from")));
        }
        let collected = if settings.gymnasium { None } else { World::of(&data) };
        if !settings.gymnasium && collected.is_none() && settings.targets.is_some() {
            let data = settings.data.display();
            return Err(Failure::Input(format!(
                "--targets has no effect without --gymnasium: {data} is of no environment of ours; leave it out"
            )));
        }
        let environment = environment.or_else(|| collected.map(|world| world.name().to_owned()));
        let returns = data.returns();
        let protocol = reference.as_ref().and_then(|reference| reference.protocol.clone());
        let largest = returns.iter().fold(0.0_f64, |largest, total| largest.max(total.abs()));
        let best = returns.iter().fold(f64::MIN, |best, &total| best.max(total));
        let (scale, targets) =
            protocol.unwrap_or_else(|| (if largest > 0.0 { largest as f32 } else { 1.0 }, vec![best as f32]));
        // Scores of Atari are left as they are (the paper's code).
        let scale = if data.frames().is_some() { 1.0 } else { scale };
        let width = settings.width.unwrap_or(if settings.model == Learner::Bc { 256 } else { 128 });
        let model = model(settings, width, &data)?;
        limits::parameters("--width and --layers", model.parameters().length())?;
        // Percentile behaviour cloning standardises as all data want it (the paper's code).
        let standardisation = data.standardisation();
        let trained_on = if settings.best < 1.0 { data.best(settings.best) } else { data.clone() };
        let trained_on = if settings.delayed { trained_on.delayed() } else { trained_on };
        let (scale, targets) = (settings.scale.unwrap_or(scale), settings.targets.clone().unwrap_or(targets));
        Ok(Self {
            data,
            format,
            trained_on,
            model,
            environment,
            collected,
            reference,
            scale,
            targets,
            width,
            standardisation,
        })
    }

    /// Creates the training of a seed at its beginning.
    ///
    /// # Errors
    /// Settings that describe no training, or out of memory.
    pub fn training(&self, gpu: &Gpu, settings: &Settings, seed: u32) -> Result<OfflineTraining, Failure> {
        let paper = match settings.model {
            Learner::Bc => OfflineSettings::behaviour_cloning(&self.trained_on),
            _ if self.trained_on.frames().is_some() => OfflineSettings {
                schedule: Schedule::WarmUpCosine {
                    warm_up: settings.warm_up.max(1),
                    steps: settings.training_steps,
                    least: 0.1,
                },
                ..OfflineSettings::atari(&self.trained_on, settings.context)
            },
            _ => OfflineSettings {
                schedule: Schedule::WarmUp { steps: settings.warm_up.max(1) },
                ..OfflineSettings::gym(&self.trained_on)
            },
        };
        let recipe = OfflineSettings {
            batch: settings.batch,
            rate: settings.rate,
            returns: if settings.delayed { ReturnsToGo::Delayed } else { ReturnsToGo::Sums },
            return_scale: self.scale,
            standardisation: Some(self.standardisation.clone()),
            seed,
            losses: MOST_BURST,
            ..paper
        };
        Ok(OfflineTraining::new(gpu, &*self.model, &self.trained_on, recipe)?)
    }

    /// Writes the weights: `training.safetensors` and, where HuggingFace's network can be as ours, the folder
    /// `hugging-face`, which `transformers` loads, with `preparation.json`, which holds what a checkpoint of HuggingFace
    /// lacks; a transformer of one of our own environments in `agent.safetensors`, which `fourfold play` plays.
    ///
    /// # Errors
    /// The folder cannot be written, or the loss of the device.
    pub fn write(
        &self,
        run: &mut Run,
        settings: &Settings,
        training: &mut OfflineTraining,
        prefix: &str,
    ) -> Result<(), Failure> {
        let mut checkpoint = Checkpoint::new();
        training.save(&mut checkpoint, "")?;
        run.write_checkpoint(&format!("{prefix}training.safetensors"), &checkpoint)?;
        let preparation = json!({
            "observation_mean": self.standardisation.mean,
            "observation_deviation": self.standardisation.deviation,
            "return_scale": self.scale,
            "targets": self.targets,
            "context": settings.context,
        });
        run.write_json("preparation.json", &preparation)?;
        if let (Some(world), true) = (self.collected, settings.model != Learner::Bc) {
            let asked = AgentSettings::trained(training.settings(), 1, self.targets[0]);
            let network = network(settings, self.width, &self.data);
            if let Some(agent) = TrainedAgent::new(world.played(), &network, &training.weights()?, &asked) {
                run.write_checkpoint(&format!("{prefix}{AGENT}"), &agent.to_checkpoint()?)?;
            }
        }
        if settings.model == Learner::Transformer {
            let model = DecisionTransformer::new(network(settings, self.width, &self.data)).map_err(Failure::input)?;
            // Only networks as HuggingFace's can be are written.
            if let Ok(checkpoint) = HuggingFaceCheckpoint::new(model, training.weights()?) {
                checkpoint.save(&run.path().join(format!("{prefix}hugging-face")))?;
            }
        }
        Ok(())
    }
}

/// The environment that Minari's metadata name.
fn environment_of(data: &Trajectories) -> Option<String> {
    let specification: serde_json::Value = serde_json::from_str(data.notes().get("env_spec")?).ok()?;
    Some(printable(specification.get("id")?.as_str()?))
}

/// Returns true if the data's actions are within -1 and 1: the network's go through a hyperbolic tangent.
fn is_bounded(data: &Trajectories) -> bool {
    data.columns().actions.iter().all(|action| action.abs() <= 1.0)
}

fn network(settings: &Settings, width: usize, data: &Trajectories) -> decision_transformer::Settings {
    let network = match (data.frames(), data.actions()) {
        (Some(frames), Actions::Discrete(choices)) => {
            let times = data.longest();
            decision_transformer::Settings::atari_frames(frames.shape, choices, settings.context, times)
        }
        _ => decision_transformer::Settings {
            // The paper's environments end after 1,000 steps.
            times: Some(data.longest().max(1000)),
            bounded: is_bounded(data),
            ..decision_transformer::Settings::gym(data.observations(), data.actions(), settings.context)
        },
    };
    let dropout = decision_transformer::DropoutRates::all(settings.dropout);
    let network = decision_transformer::Settings { dropout, ..network };
    let network = network.sized(width, settings.layers, settings.heads);
    if settings.model == Learner::TransformerBc { network.without_returns() } else { network }
}

fn model(settings: &Settings, width: usize, data: &Trajectories) -> Result<Box<dyn SequenceModel>, Failure> {
    if settings.model != Learner::Bc {
        return Ok(Box::new(DecisionTransformer::new(network(settings, width, data)).map_err(Failure::input)?));
    }
    let perceptron = behaviour_cloning::Settings {
        width,
        layers: settings.layers,
        dropout: settings.dropout,
        bounded: is_bounded(data),
        ..behaviour_cloning::Settings::new(data.observations(), data.actions(), settings.context)
    };
    Ok(Box::new(BehaviourCloning::new(perceptron).map_err(Failure::input)?))
}
