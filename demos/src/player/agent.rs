//! Decision transformers at play.

use std::rc::Rc;

use fourfold::Gpu;
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::{Agent, AgentSettings};
use fourfold::rollout::{Step, VectorBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::Data;

use super::{Player, World};
use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::failure::Failure;
use crate::statistics::average;

/// A decision transformer at play.
#[derive(Debug)]
pub(super) struct AgentPlayer {
    pub gpu: Gpu,
    pub model: DecisionTransformer,
    pub weights: Data,
    pub settings: AgentSettings,
    pub world: World,
    pub seed: u64,
}

/// Steps after which to look whether all episodes are over.
const CHECKS: usize = 50;

impl AgentPlayer {
    fn play(&self, episodes: usize, seed: u64, trace: bool) -> Result<(Vec<f32>, Vec<Vec<Step>>), Failure> {
        let environment = self.world.environment.clone();
        let lanes = VectorSettings { trace, ..VectorSettings::new(episodes, environment.horizon(), seed as u32) };
        let lanes = VectorEnvironment::on_buffers(&self.gpu, environment, &lanes, VectorBuffers::default())?;
        let targets = vec![self.target(); episodes];
        let settings = AgentSettings { targets, ..self.settings.clone() };
        let mut agent = Agent::in_environment(&lanes, &self.model, self.weights.clone(), &settings)?;
        let played = agent.play(&lanes, Some(CHECKS))?;
        let steps = if trace { lanes.trace()?.episodes } else { Vec::new() };
        Ok((played.returns, steps))
    }

    fn target(&self) -> f32 {
        self.settings.targets.first().copied().unwrap_or_default()
    }
}

impl Player for AgentPlayer {
    fn keys(&self) -> &'static [Key] {
        &[Key::Restart]
    }

    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        self.seed = seed;
        let (_, steps) = self.play(1, seed, true)?;
        Ok(Rc::new(self.world.reel("a decision transformer", &steps[0], &[], Some(self.target()))))
    }

    fn answer(&mut self, _: Key, _: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        Ok((self.first(self.seed.wrapping_add(1))?, 0))
    }

    fn score(&mut self, episodes: usize, seed: u64) -> Result<f64, Failure> {
        Ok(average(&self.play(episodes, seed, false)?.0))
    }
}
