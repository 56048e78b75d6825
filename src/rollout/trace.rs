//! Every step of every episode, for data sets and pictures.

use fourfold_shaders::rollout::unroll::traced;

use super::{Environment, Plan};
use crate::data::{self, Actions, Steps, Trajectories};

/// The end of an episode, if a step brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    No,
    /// It ended of itself.
    Terminated,
    /// Its time was up.
    Truncated,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state before the step.
    pub state: Vec<f32>,
    /// The observation that the policy had.
    pub observation: Vec<f32>,
    /// The action that it took.
    pub action: Vec<f32>,
    /// The reward of the step.
    pub reward: f32,
    /// The end of the episode, if the step brought it.
    pub end: End,
}

impl Step {
    /// A step from its numbers by row: state, observation, action, reward, end.
    fn read(environment: &dyn Environment, number: impl Fn(usize) -> f32) -> Self {
        let (states, observations, actions) = (environment.states(), environment.observations(), environment.actions());
        let numbers = |first: usize, count: usize| (first..first + count).map(&number).collect();
        Self {
            state: numbers(0, states),
            observation: numbers(states, observations),
            action: numbers(states + observations, actions),
            reward: number(states + observations + actions),
            end: match number(states + observations + actions + 1) {
                1.0 => End::Terminated,
                2.0 => End::Truncated,
                _ => End::No,
            },
        }
    }
}

/// The steps of every episode: `episodes[member * episodes + episode]` of a rollout, `episodes[lane]` of a vector
/// environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The steps of each episode, in order.
    pub episodes: Vec<Vec<Step>>,
}

impl Trace {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { episodes: vec![Vec::new(); plan.settings.members * plan.settings.episodes] }
    }

    /// Adds what one dispatch of a rollout recorded; `counters` are those before it.
    pub(super) fn extend(&mut self, plan: &Plan, counters: &[u32], trace: &[f32]) {
        let environment = &*plan.composition.environment;
        let traced = plan.composition.traced();
        let quota = plan.settings.episodes / plan.groups;
        let slots = self.episodes.len() / quota;
        for slot in 0..slots {
            let (mut episode, fault) = (counters[slot] as usize, counters[2 * slots + slot]);
            for step in 0..plan.settings.steps {
                if episode >= quota || fault != 0 {
                    break;
                }
                let step = Step::read(environment, |row| trace[(step * traced + row) * slots + slot]);
                let over = step.end != End::No;
                // Slot = member * groups + group, so that its episodes follow those of the slot before.
                self.episodes[slot * quota + episode].push(step);
                episode += usize::from(over);
            }
        }
    }

    /// The steps that lanes have recorded, as many of each as `lengths` has.
    pub(super) fn of_lanes(environment: &dyn Environment, lengths: &[u32], trace: &[f32]) -> Self {
        let (traced, lanes) = (traced(environment), lengths.len());
        let step = |step: usize, lane| Step::read(environment, |row| trace[(step * traced + row) * lanes + lane]);
        let episode = |(lane, &length): (usize, &u32)| (0..length as usize).map(|time| step(time, lane)).collect();
        Self { episodes: lengths.iter().enumerate().map(episode).collect() }
    }

    /// The episodes as data to learn from; `name` stands for the file in error messages. An episode that was left before
    /// its end counts as cut off.
    ///
    /// # Errors
    /// As [`Trajectories::new`]: an episode without steps, or actions that are not what `actions` says.
    pub fn trajectories(&self, name: &str, actions: Actions) -> Result<Trajectories, data::Error> {
        let mut steps = Steps::default();
        for episode in &self.episodes {
            for step in episode {
                steps.observations.extend(&step.observation);
                steps.actions.extend(&step.action);
                steps.rewards.push(step.reward);
            }
            steps.ends.push(steps.rewards.len());
            steps.terminated.push(episode.last().is_some_and(|step| step.end == End::Terminated));
        }
        let seen = self.episodes.iter().flatten().next();
        Trajectories::new(name, seen.map_or(0, |step| step.observation.len()), actions, steps)
    }
}
