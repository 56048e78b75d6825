//! Every step of every episode, for data sets and pictures.

use super::Plan;

/// How a step left its episode.
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
    pub observation: Vec<f32>,
    pub action: Vec<f32>,
    pub reward: f32,
    pub end: End,
}

/// The steps of every episode: `episodes[member * episodes + episode]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub episodes: Vec<Vec<Step>>,
    /// Numbers of state, observation and action.
    widths: [usize; 3],
    /// Episodes of a slot, and steps of a dispatch.
    quota: usize,
    steps: usize,
}

impl Trace {
    pub(super) fn new(plan: &Plan) -> Self {
        let environment = &plan.composition.environment;
        Self {
            episodes: vec![Vec::new(); plan.settings.members * plan.settings.episodes],
            widths: [environment.states(), environment.observations(), environment.actions()],
            quota: plan.settings.episodes / plan.groups,
            steps: plan.settings.steps,
        }
    }

    /// Adds what one dispatch recorded; `counters` are those before it.
    pub(super) fn extend(&mut self, counters: &[u32], trace: &[f32]) {
        let slots = self.episodes.len() / self.quota;
        let [states, observations, actions] = self.widths;
        let traced = states + observations + actions + 2;
        for slot in 0..slots {
            let (mut episode, fault) = (counters[slot] as usize, counters[2 * slots + slot]);
            for step in 0..self.steps {
                if episode >= self.quota || fault != 0 {
                    break;
                }
                let number = |row: usize| trace[(step * traced + row) * slots + slot];
                let numbers = |first: usize, count: usize| (first..first + count).map(number).collect::<Vec<_>>();
                let end = match number(traced - 1) {
                    1.0 => End::Terminated,
                    2.0 => End::Truncated,
                    _ => End::No,
                };
                let step = Step {
                    state: numbers(0, states),
                    observation: numbers(states, observations),
                    action: numbers(states + observations, actions),
                    reward: number(traced - 2),
                    end,
                };
                // Slot = member * groups + group, so that its episodes follow those of the slot before.
                self.episodes[slot * self.quota + episode].push(step);
                episode += usize::from(end != End::No);
            }
        }
    }
}
