//! The settings of an agent.

use super::error::{AgentError, check_returns};
use crate::data::{Actions, Standardisation};
use crate::models::SequenceModel;
use crate::models::offline_training::{OfflineSettings, ReturnsToGo};

/// The choice of discrete actions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most likely one; continuous actions are always what the model says.
    Greedy,
    /// One in proportion to `exp(logit / temperature)`.
    Sampled {
        /// Divides the logits; above 0.
        temperature: f32,
    },
}

/// The settings of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// (episodes): the target return of each episode, in the environment's units.
    pub targets: Vec<f32>,
    /// The scale that returns were divided by in training.
    pub return_scale: f32,
    /// Rewards are paid at the end of an episode: targets are held instead of reduced by what was earned.
    pub delayed: bool,
    /// The standardisation of observations in training.
    pub standardisation: Option<Standardisation>,
    /// Times count from a window's first step, and not from its episode's, as in training.
    pub restart_times: bool,
    /// The choice of discrete actions.
    pub sampling: Sampling,
    /// The key of what is sampled; another one than the environment's.
    pub seed: u32,
}

impl AgentSettings {
    /// `episodes` episodes with one target, returns and observations as they are, greedy.
    pub fn new(episodes: usize, target: f32) -> Self {
        Self {
            targets: vec![target; episodes],
            return_scale: 1.0,
            delayed: false,
            standardisation: None,
            restart_times: false,
            sampling: Sampling::Greedy,
            seed: 0,
        }
    }

    /// `episodes` episodes with one target for a model that was trained in this way: with its scale of returns, its
    /// standardisation, its times, and targets held where it was told of whole returns alone.
    pub fn trained(training: &OfflineSettings, episodes: usize, target: f32) -> Self {
        Self {
            return_scale: training.return_scale,
            delayed: training.returns == ReturnsToGo::Delayed,
            standardisation: training.standardisation.clone(),
            restart_times: training.restart_times,
            ..Self::new(episodes, target)
        }
    }

    /// Episodes that are played side by side.
    pub fn episodes(&self) -> usize {
        self.targets.len()
    }
}

/// Refuses settings that make no sense or do not go with the model.
pub(super) fn check(model: &dyn SequenceModel, settings: &AgentSettings) -> Result<(), AgentError> {
    let refuse = |message: String| Err(AgentError::Settings { message });
    if settings.episodes() == 0 {
        return refuse("expected at least one episode, got no target".into());
    }
    check_returns(&settings.targets, settings.episodes())?;
    if !(settings.return_scale.is_finite() && settings.return_scale > 0.0) {
        return refuse(format!("expected a return scale above 0, got {}", settings.return_scale));
    }
    if let Some(Standardisation { mean, deviation }) = &settings.standardisation
        && [mean.len(), deviation.len()] != [model.observations(); 2]
    {
        let (expected, got) = (model.observations(), mean.len());
        return refuse(format!("expected the standardisation of {expected} observations, got one of {got}"));
    }
    match (settings.sampling, model.actions()) {
        (Sampling::Sampled { temperature }, _) if !(temperature.is_finite() && temperature > 0.0) => {
            refuse(format!("expected a temperature above 0, got {temperature}"))
        }
        (Sampling::Sampled { .. }, Actions::Continuous(_)) => {
            refuse("continuous actions are not sampled: the model says one".into())
        }
        _ => Ok(()),
    }
}
