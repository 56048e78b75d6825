//! The blocking forms of an agent's calls.

use super::{Agent, AgentError};
use crate::rollout::{Episodes, VectorEnvironment};

impl Agent {
    /// Blocks, as [`Agent::act_async`].
    ///
    /// # Errors
    /// As [`Agent::act_async`].
    pub fn act(&mut self, observations: &[f32], rewards: &[f32]) -> Result<Vec<f32>, AgentError> {
        self.gpu().clone().block_on(self.act_async(observations, rewards))
    }

    /// Blocks, as [`Agent::read_output_async`].
    ///
    /// # Errors
    /// As [`Agent::read_output_async`].
    pub fn read_output(&mut self) -> Result<Vec<f32>, AgentError> {
        self.gpu().clone().block_on(self.read_output_async())
    }

    /// Blocks, as [`Agent::play_async`].
    ///
    /// # Errors
    /// As [`Agent::play_async`].
    pub fn play(&mut self, environment: &VectorEnvironment, checks: Option<usize>) -> Result<Episodes, AgentError> {
        self.gpu().clone().block_on(self.play_async(environment, checks))
    }
}
