//! A sequence model as a policy: the rolling context of many episodes on the GPU.
//!
//! [`Agent`] is any [`SequenceModel`] as one plan, whose states hold the last K steps of each episode. A step of it takes
//! what was seen and earned, appends it to the context, and says what to do. Nothing is read back for that: a host calls
//! [`Agent::act`], which moves one observation in and one action out, and [plays](Agent::play) in a [`VectorEnvironment`].
//!
//! The protocol is that of Decision Transformer's evaluation. The first return-to-go is the target; after each step the
//! reward is taken off it. The window is the last K steps, padded with zeros and a mask on the left; the action of its
//! last step, not chosen yet, is 0. Times count from 0.
//!
//! # A host's own environment
//!
//! ```
//! use fourfold::data::Actions;
//! use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
//! use fourfold::models::{Agent, AgentSettings, SequenceModel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gpu = fourfold::Gpu::open()?;
//! let model = DecisionTransformer::new(Settings::gym(2, Actions::Discrete(3), 5).sized(16, 1, 1))?;
//! let weights = model.parameters().initial(1);
//!
//! // Two games at once, from which 10 and 20 points are asked.
//! let settings = AgentSettings { targets: vec![10.0, 20.0], ..AgentSettings::new(2, 0.0) };
//! let mut agent = Agent::new(&gpu, &model, weights, &settings)?;
//! let mut rewards = [0.0; 2];
//! for frame in 0..8 {
//!     let positions = [0.1 * frame as f32, 0.0, 0.0, 0.5];
//!     let choices = agent.act(&positions, &rewards)?;
//!     assert!(choices.iter().all(|choice| [0.0, 1.0, 2.0].contains(choice)));
//!     rewards = [1.0, choices[1]];
//!     if frame == 4 {
//!         // The second game is over and begins again; the first goes on.
//!         agent.restart_lanes(&[1])?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod error;
mod policy;
mod settings;

use std::collections::BTreeMap;

use fourfold_shaders::Data;

pub use error::AgentError;
use error::{check_finite, check_returns};
use settings::check;
pub use settings::{AgentSettings, Sampling};

use super::SequenceModel;
use crate::data::Standardisation;
use crate::gpu::{BufferView, Gpu};
use crate::graph::session::Traffic;
use crate::graph::{Plan, Session, Values};
use crate::rollout::{Episodes, VectorEnvironment};

/// The weights of an agent.
#[derive(Debug, Clone)]
pub enum AgentWeights {
    /// In a buffer of someone else, such as the training's: the agent plays with its content at that time.
    Shared(BufferView),
    /// In a buffer of the agent's, initially this flat tensor.
    Own(Data),
}

impl From<BufferView> for AgentWeights {
    fn from(view: BufferView) -> Self {
        AgentWeights::Shared(view)
    }
}

impl From<Data> for AgentWeights {
    fn from(data: Data) -> Self {
        AgentWeights::Own(data)
    }
}

/// Buffers that are shared with an environment; those that are not given are made.
#[derive(Debug, Clone, Default)]
pub struct AgentBuffers {
    /// (episodes, observations)
    pub observations: Option<BufferView>,
    /// (episodes): what the last action earned.
    pub rewards: Option<BufferView>,
    /// (episodes, [`Actions::width`](crate::data::Actions::width)): written by each step.
    pub actions: Option<BufferView>,
    /// `u32` (episodes): not 0 where an episode has begun since the last step, see [`VectorEnvironment::ends`].
    pub begins: Option<BufferView>,
}

/// A policy with a memory of the last K steps of each of E episodes.
#[derive(Debug)]
pub struct Agent {
    session: Session,
    restarting: Session,
    settings: AgentSettings,
    traffic: Traffic,
}

/// Names of the plan's tensors.
const WEIGHTS: &str = "weights";
const OBSERVATION: &str = "observation";
const REWARD: &str = "reward";
const ACTION: &str = "action";
const BEGINS: &str = "begins";
const OUTPUT: &str = "output";
const TARGETS: &str = "targets";
const REMAINING: &str = "remaining";
const FRESH: &str = "fresh";
const SEED: &str = "seed";

impl Agent {
    /// An agent on buffers of its own. Creates buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Settings that do not go with the model, weights of another length, no memory, or a shader that the driver refuses.
    pub fn new(
        gpu: &Gpu,
        model: &dyn SequenceModel,
        weights: impl Into<AgentWeights>,
        settings: &AgentSettings,
    ) -> Result<Self, AgentError> {
        Self::on_buffers(gpu, model, weights, settings, AgentBuffers::default())
    }

    /// An agent that sees, earns and acts in the lanes of an environment.
    ///
    /// # Errors
    /// As [`new`](Self::new), and a model that does not fit the environment, or another number of episodes.
    pub fn in_environment(
        environment: &VectorEnvironment,
        model: &dyn SequenceModel,
        weights: impl Into<AgentWeights>,
        settings: &AgentSettings,
    ) -> Result<Self, AgentError> {
        let world = environment.environment();
        let got = (environment.settings().lanes, world.observations(), world.actions());
        let expected = (settings.episodes(), model.observations(), model.actions().width());
        if got != expected {
            let message = format!(
                "the agent plays {expected:?} and the environment {got:?}: episodes, observations and numbers of an action"
            );
            return Err(AgentError::Settings { message });
        }
        let buffers = AgentBuffers {
            observations: Some(environment.observations().clone()),
            rewards: Some(environment.rewards().clone()),
            actions: Some(environment.actions().clone()),
            begins: environment.settings().automatic.then(|| environment.ends().clone()),
        };
        Self::on_buffers(environment.gpu(), model, weights, settings, buffers)
    }

    /// As [`new`](Self::new), on buffers that belong to the host or an environment.
    ///
    /// # Errors
    /// As [`new`](Self::new), and buffers that do not fit.
    pub fn on_buffers(
        gpu: &Gpu,
        model: &dyn SequenceModel,
        weights: impl Into<AgentWeights>,
        settings: &AgentSettings,
        buffers: AgentBuffers,
    ) -> Result<Self, AgentError> {
        check(model, settings)?;
        let target = gpu.target();
        let plan = Plan::new(&policy::graph(model, settings, buffers.begins.is_some()), &target)?;

        let mut values = Values::new();
        let scaled = policy::scaled(&settings.targets, settings.return_scale);
        values.insert(TARGETS.into(), Data::F32(scaled.clone()));
        values.insert(REMAINING.into(), Data::F32(scaled));
        values.insert(FRESH.into(), Data::F32(vec![1.0; settings.episodes()]));
        if let Some(Standardisation { mean, deviation }) = &settings.standardisation {
            values.insert(policy::MEAN.into(), Data::F32(mean.clone()));
            values.insert(policy::DEVIATION.into(), Data::F32(deviation.clone()));
        }
        if settings.sampling != Sampling::Greedy {
            values.insert(SEED.into(), Data::U32(vec![settings.seed, 0]));
        }
        let mut given = BTreeMap::new();
        match weights.into() {
            AgentWeights::Shared(view) => drop(given.insert(WEIGHTS.to_string(), view)),
            AgentWeights::Own(data) => drop(values.insert(WEIGHTS.into(), data)),
        }
        let shared = [(OBSERVATION, buffers.observations), (REWARD, buffers.rewards), (ACTION, buffers.actions)];
        let shared = shared.into_iter().chain([(BEGINS, buffers.begins)]);
        given.extend(shared.filter_map(|(name, view)| Some((name.to_string(), view?))));
        let session = Session::on_buffers(gpu, plan, &values, &given)?;

        let fresh = BTreeMap::from([(FRESH.to_string(), session.buffer(FRESH)?)]);
        let restart = Plan::new(&policy::restart(settings.episodes()), &target)?;
        let restarting = Session::on_buffers(gpu, restart, &Values::new(), &fresh)?;
        Ok(Self { session, restarting, settings: settings.clone(), traffic: Traffic::default() })
    }

    /// Returns the device that the agent runs on.
    pub fn gpu(&self) -> &Gpu {
        self.session.gpu()
    }

    /// Returns the settings, with the targets set last.
    pub fn settings(&self) -> &AgentSettings {
        &self.settings
    }

    /// The dispatches of a step.
    pub fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// Counts uploads, submissions and readbacks so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Records one step: reads observations and rewards, writes actions. The reward of an episode that has just begun is
    /// not read.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.session.record(pass);
    }

    /// Records a restart of every episode at the next step.
    pub fn record_restart(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.restarting.record(pass);
    }

    /// (episodes, observations)
    pub fn observations(&self) -> BufferView {
        self.view(OBSERVATION)
    }

    /// (episodes): what the last actions earned.
    pub fn rewards(&self) -> BufferView {
        self.view(REWARD)
    }

    /// (episodes, [`Actions::width`](crate::data::Actions::width)): the numbers of an action, or the number of a choice.
    pub fn actions(&self) -> BufferView {
        self.view(ACTION)
    }

    /// (episodes, [`Actions::outputs`](crate::data::Actions::outputs)): what the model said in the last step, actions or logits.
    pub fn output(&self) -> BufferView {
        self.view(OUTPUT)
    }

    /// (episodes): the return-to-go of the last step, over the return scale.
    pub fn remaining(&self) -> BufferView {
        self.view(REMAINING)
    }

    fn view(&self, name: &str) -> BufferView {
        self.session.buffer(name).expect("the plan of an agent has these tensors")
    }

    /// Restarts every episode at the next step.
    ///
    /// # Errors
    /// The device was lost.
    pub fn restart(&mut self) -> Result<(), AgentError> {
        (0..self.settings.episodes()).try_for_each(|lane| self.mark_fresh(lane))?;
        self.traffic.uploads += 1;
        Ok(())
    }

    /// Restarts some episodes at the next step; the others continue.
    ///
    /// # Errors
    /// There is no episode of such a number, or the device was lost.
    pub fn restart_lanes(&mut self, lanes: &[usize]) -> Result<(), AgentError> {
        let episodes = self.settings.episodes();
        if let Some(stranger) = lanes.iter().find(|lane| **lane >= episodes) {
            let message = format!("expected numbers of episodes below {episodes}, got {stranger}");
            return Err(AgentError::Settings { message });
        }
        lanes.iter().try_for_each(|&lane| self.mark_fresh(lane))?;
        self.traffic.uploads += 1;
        Ok(())
    }

    fn mark_fresh(&self, lane: usize) -> Result<(), AgentError> {
        Ok(self.gpu().write(FRESH, &self.view(FRESH).part(lane, 1), &[1.0_f32])?)
    }

    /// Sets the target return of each episode, (episodes), in the environment's units, from its next start on.
    ///
    /// # Errors
    /// Another number of targets, or one that is not finite.
    pub fn set_targets(&mut self, targets: &[f32]) -> Result<(), AgentError> {
        self.write_returns(TARGETS, targets)?;
        self.settings.targets = targets.to_vec();
        Ok(())
    }

    /// Sets the return-to-go of each episode at the last step, (episodes), in the environment's units: the next step
    /// subtracts its reward, unless rewards are [delayed](AgentSettings::delayed). An episode that starts has its target.
    ///
    /// # Errors
    /// As [`set_targets`](Self::set_targets).
    pub fn set_remaining(&mut self, remaining: &[f32]) -> Result<(), AgentError> {
        self.write_returns(REMAINING, remaining)
    }

    fn write_returns(&mut self, name: &str, returns: &[f32]) -> Result<(), AgentError> {
        check_returns(returns, self.settings.episodes())?;
        self.session.write(name, &Data::F32(policy::scaled(returns, self.settings.return_scale)))?;
        self.traffic.uploads += 1;
        Ok(())
    }

    /// Sets the random seed of sampled actions.
    ///
    /// # Errors
    /// The agent is greedy.
    pub fn set_seed(&mut self, seed: u32) -> Result<(), AgentError> {
        if !self.plan().states.contains_key(SEED) {
            let message = "the seed: expected an agent that samples its actions, got a greedy one".into();
            return Err(AgentError::Settings { message });
        }
        self.session.write(SEED, &Data::U32(vec![seed, 0]))?;
        self.traffic.uploads += 1;
        Ok(())
    }
}

impl Agent {
    /// Returns actions, (episodes, [`Actions::width`](crate::data::Actions::width)), as
    /// [`Trajectories`](crate::data::Trajectories) store them, for raw `observations` (episodes,
    /// observations) and the `rewards` (episodes) of the last actions, ignored at a first step.
    ///
    /// # Errors
    /// Numbers of another length, an observation or an action that is not finite, or the loss of the device.
    pub async fn act_async(&mut self, observations: &[f32], rewards: &[f32]) -> Result<Vec<f32>, AgentError> {
        let episodes = self.settings.episodes();
        check_finite("observation", observations, episodes)?;
        self.session.write(OBSERVATION, &Data::F32(observations.to_vec()))?;
        self.session.write(REWARD, &Data::F32(rewards.to_vec()))?;
        self.session.submit(1)?;
        let actions = self.session.read_async(ACTION).await?;
        self.traffic.uploads += 2;
        self.traffic.submissions += 2;
        self.traffic.readbacks += 1;
        check_finite("action", actions.f32(), episodes)?;
        Ok(actions.f32().to_vec())
    }

    /// Waits for what the model said in the last step, (episodes, [`Actions::outputs`](crate::data::Actions::outputs)):
    /// actions, or logits.
    ///
    /// # Errors
    /// The loss of the device.
    pub async fn read_output_async(&mut self) -> Result<Vec<f32>, AgentError> {
        let output = self.session.read_async(OUTPUT).await?;
        self.traffic.submissions += 1;
        self.traffic.readbacks += 1;
        Ok(output.f32().to_vec())
    }

    /// Plays one episode in each lane of the environment that the agent was [made for](Self::in_environment), from its
    /// reset to the horizon, and waits for what came of them: the one time that anything is read back. Where episodes may
    /// end early, `checks` steps after which to look whether all have (50, say) save what is left, at a readback of a
    /// few bytes each.
    ///
    /// # Errors
    /// An environment on other buffers, a number that was not finite, or the loss of the device.
    pub async fn play_async(
        &mut self,
        environment: &VectorEnvironment,
        checks: Option<usize>,
    ) -> Result<Episodes, AgentError> {
        // Enough to keep a GPU busy, and few enough that no submission lasts.
        const STEPS: usize = 16;
        let shared = [
            (environment.observations(), self.observations()),
            (environment.rewards(), self.rewards()),
            (environment.actions(), self.actions()),
        ];
        if shared.iter().any(|(theirs, ours)| (&theirs.buffer, theirs.offset) != (&ours.buffer, ours.offset)) {
            let message = "the agent plays in the environment that it was made for, or on whose buffers it acts".into();
            return Err(AgentError::Settings { message });
        }
        let horizon = environment.settings().horizon;
        let checks = checks.unwrap_or(horizon).max(1);
        let mut steps_done = 0;
        while steps_done < horizon {
            let until = horizon.min(steps_done / checks * checks + checks).min(steps_done + STEPS);
            self.gpu().submit_pass("agent in its environment", |pass| {
                if steps_done == 0 {
                    environment.record_reset(pass);
                    self.record_restart(pass);
                }
                for _ in steps_done..until {
                    self.record(pass);
                    environment.record(pass);
                }
            })?;
            self.traffic.submissions += 1;
            steps_done = until;
            if steps_done < horizon && steps_done.is_multiple_of(checks) {
                self.traffic.submissions += 1;
                self.traffic.readbacks += 1;
                if environment.is_over_async().await? {
                    break;
                }
            }
        }
        self.traffic.submissions += 1;
        self.traffic.readbacks += 1;
        Ok(environment.episodes_async().await?)
    }
}
