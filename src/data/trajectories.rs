//! Trajectories: episodes that somebody played and wrote down, the data of offline reinforcement learning.

mod column;
#[cfg(feature = "hdf5")]
mod d4rl;
#[cfg(feature = "files")]
pub mod dqn_replay;
mod format;
mod frames;
#[cfg(feature = "hdf5")]
mod hdf5;
mod imitation;
#[cfg(feature = "hdf5")]
mod links;
#[cfg(feature = "hdf5")]
mod minari;
mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Error, Standardisation, printable};

pub use format::Format;
pub use frames::{FrameShape, Frames};

/// More choices than any environment has: a file that speaks of more is damaged.
const MOST_CHOICES: usize = 1 << 16;

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actions {
    /// This many real numbers.
    Continuous(usize),
    /// One of this many choices, stored as its number.
    Discrete(usize),
}

impl Actions {
    /// Numbers that are stored for an action.
    pub fn width(self) -> usize {
        match self {
            Actions::Continuous(width) => width,
            Actions::Discrete(_) => 1,
        }
    }

    /// Numbers that a policy's head has: the action itself, or a logit for each choice.
    pub fn outputs(self) -> usize {
        match self {
            Actions::Continuous(outputs) | Actions::Discrete(outputs) => outputs,
        }
    }
}

/// The steps of all episodes, one episode after the other: what [`Trajectories`] are made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steps {
    /// (steps, observations): what was seen before each action.
    pub observations: Vec<f32>,
    /// (steps, [`Actions::width`]).
    pub actions: Vec<f32>,
    /// (steps).
    pub rewards: Vec<f32>,
    /// (episodes): the number of the step after the last of each episode; ascending.
    pub ends: Vec<usize>,
    /// (episodes): whether the episode ended of itself, and not because its time was up.
    pub terminated: Vec<bool>,
}

/// Episodes of one environment, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectories {
    name: String,
    observations: usize,
    actions: Actions,
    steps: Steps,
    /// Shared by copies: a game has gigabytes of them.
    frames: Option<Arc<Frames>>,
    notes: BTreeMap<String, String>,
}

impl Trajectories {
    /// Episodes of `observations` numbers a step.
    ///
    /// # Errors
    /// No episode, an episode without steps, lengths that disagree, a number that is not finite, or an invalid
    /// discrete action; `name` stands for the file in the sentence, which also names the key and the row.
    pub fn new(name: &str, observations: usize, actions: Actions, steps: Steps) -> Result<Self, Error> {
        Self::checked(name, observations, actions, steps, None)
    }

    /// Episodes whose steps observed pictures, and no numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if there is not a picture of a multiple of 4 pixels for each step.
    pub fn of_frames(name: &str, frames: Frames, actions: Actions, steps: Steps) -> Result<Self, Error> {
        Self::checked(name, frames.shape.numbers(), actions, steps, Some(frames))
    }

    fn checked(
        name: &str,
        observations: usize,
        actions: Actions,
        steps: Steps,
        frames: Option<Frames>,
    ) -> Result<Self, Error> {
        let wrong = |key: &str, expected: String, got: String| Error::tensor(name, key, expected, got);
        let Steps { ends, terminated, .. } = &steps;
        let Some(&count) = ends.last() else {
            return Err(Error::content(name, "at least one episode", "none"));
        };
        if observations == 0 || actions.width() == 0 || actions.outputs() == 0 {
            let got = format!("{observations} observations and {actions:?}");
            return Err(Error::content(name, "at least one number in observations and actions", got));
        }
        if terminated.len() != ends.len() {
            return Err(wrong("terminated", format!("{} episodes", ends.len()), terminated.len().to_string()));
        }
        let starts = std::iter::once(&0).chain(ends);
        if let Some(empty) = starts.zip(ends).position(|(start, end)| start >= end) {
            return Err(wrong("ends", "episodes of at least one step".into(), format!("none in episode {empty}")));
        }
        let columns = [
            ("observations", &steps.observations, if frames.is_some() { 0 } else { observations }),
            ("actions", &steps.actions, actions.width()),
            ("rewards", &steps.rewards, 1),
        ];
        for (key, values, width) in columns {
            if count.checked_mul(width) != Some(values.len()) {
                let expected = format!("{count} steps of {width}, {} numbers", count.saturating_mul(width));
                return Err(wrong(key, expected, values.len().to_string()));
            }
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let got = format!("{} in row {}", values[place], place / width);
                return Err(wrong(key, "finite numbers".into(), got));
            }
        }
        if let Actions::Discrete(choices) = actions {
            if choices > MOST_CHOICES {
                return Err(Error::content(name, format!("at most {MOST_CHOICES} choices"), choices.to_string()));
            }
            let valid = |action: &f32| *action >= 0.0 && action.fract() == 0.0 && *action < choices as f32;
            if let Some(row) = steps.actions.iter().position(|action| !valid(action)) {
                let got = format!("{} in row {row}", steps.actions[row]);
                return Err(wrong("actions", format!("whole numbers below {choices}"), got));
            }
        }
        if let Some(frames) = &frames {
            frames.check(name, count)?;
        }
        Ok(Self {
            name: printable(name),
            observations,
            actions,
            steps,
            frames: frames.map(Arc::new),
            notes: BTreeMap::new(),
        })
    }

    /// Returns the name of the data set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers in an observation.
    pub fn observations(&self) -> usize {
        self.observations
    }

    /// Returns the kind of action.
    pub fn actions(&self) -> Actions {
        self.actions
    }

    /// Steps of all episodes.
    pub fn steps(&self) -> usize {
        self.steps.rewards.len()
    }

    /// Returns the number of episodes.
    pub fn episodes(&self) -> usize {
        self.steps.ends.len()
    }

    /// The steps of an episode.
    ///
    /// # Panics
    /// If there are not as many episodes.
    pub fn range(&self, episode: usize) -> Range<usize> {
        let start = if episode == 0 { 0 } else { self.steps.ends[episode - 1] };
        start..self.steps.ends[episode]
    }

    /// The steps of each episode.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.episodes()).map(|episode| self.range(episode))
    }

    /// Steps of the longest episode.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// All columns, row by row.
    pub fn columns(&self) -> &Steps {
        &self.steps
    }

    /// Returns the pictures of the steps, where they observed pictures.
    pub fn frames(&self) -> Option<&Frames> {
        self.frames.as_deref()
    }

    /// Returns the observation that the action of a step saw; nothing where it saw [`frames`](Self::frames).
    ///
    /// # Panics
    /// If there are not as many steps.
    pub fn observation(&self, step: usize) -> &[f32] {
        match self.frames {
            Some(_) => &[],
            None => &self.steps.observations[step * self.observations..][..self.observations],
        }
    }

    /// Returns the action of a step, [`Actions::width`] numbers.
    ///
    /// # Panics
    /// If there are not as many steps.
    pub fn action(&self, step: usize) -> &[f32] {
        &self.steps.actions[step * self.actions.width()..][..self.actions.width()]
    }

    /// The sum of rewards of each episode.
    pub fn returns(&self) -> Vec<f64> {
        self.ranges().map(|range| self.steps.rewards[range].iter().map(|&reward| f64::from(reward)).sum()).collect()
    }

    /// Returns the notes: the origin of the episodes, seeds, policies.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// Adds a note, or replaces it.
    pub fn set_note(&mut self, key: &str, value: impl Into<String>) {
        self.notes.insert(key.into(), value.into());
    }

    /// The same episodes under another name, of which control characters become escapes.
    pub fn named(self, name: &str) -> Self {
        Self { name: printable(name), ..self }
    }

    /// Mean and population deviation (plus 1e-6) of each observed number over all steps (Decision Transformer's code). Of
    /// [`frames`](Self::frames), which training leaves as they are, it is empty.
    pub fn standardisation(&self) -> Standardisation {
        if self.frames.is_some() {
            return Standardisation { mean: Vec::new(), deviation: Vec::new() };
        }
        let count = self.steps() as f64;
        let column = |index: usize| self.steps.observations.iter().skip(index).step_by(self.observations);
        let moments = |index| {
            let mean = column(index).map(|&x| f64::from(x)).sum::<f64>() / count;
            let variance = column(index).map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
            (mean as f32, (variance.sqrt() + 1e-6) as f32)
        };
        let (mean, deviation) = (0..self.observations).map(moments).unzip();
        Standardisation { mean, deviation }
    }

    /// The given episodes, in the given order; at least one.
    ///
    /// # Errors
    /// If no episode is given.
    ///
    /// # Panics
    /// If an episode is out of range.
    pub fn select(&self, episodes: &[usize]) -> Result<Self, Error> {
        let mut steps = Steps::default();
        let mut pixels = Vec::new();
        for &episode in episodes {
            let range = self.range(episode);
            steps.observations.extend(range.clone().flat_map(|step| self.observation(step)));
            steps.actions.extend(range.clone().flat_map(|step| self.action(step)));
            pixels.extend(self.frames.iter().flat_map(|frames| range.clone().flat_map(|step| frames.of(step))));
            steps.rewards.extend(&self.steps.rewards[range]);
            steps.ends.push(steps.rewards.len());
            steps.terminated.push(self.steps.terminated[episode]);
        }
        let notes = self.notes.clone();
        let frames = self.frames.as_ref().map(|frames| Frames { shape: frames.shape, pixels });
        Ok(Self { notes, ..Self::checked(&self.name, self.observations, self.actions, steps, frames)? })
    }

    /// The best episodes for percentile behaviour cloning: the one of the highest return always, then the next best as
    /// long as all steps together are at most `fraction` of the steps there are (section 5.1 of Decision Transformer).
    pub fn best(&self, fraction: f64) -> Self {
        let returns = self.returns();
        let mut order: Vec<usize> = (0..self.episodes()).collect();
        order.sort_by(|&a, &b| returns[b].total_cmp(&returns[a]));
        let most = fraction * self.steps() as f64;
        let mut steps = 0;
        let kept = order.iter().enumerate().take_while(|&(place, &episode)| {
            steps += self.range(episode).len();
            place == 0 || steps as f64 <= most
        });
        let kept: Vec<usize> = kept.map(|(_, &episode)| episode).collect();
        self.select(&kept).expect("the best episode is always kept")
    }

    /// The same episodes with all of an episode's reward paid at its last step.
    pub fn delayed(mut self) -> Self {
        let returns = self.returns();
        self.steps.rewards.fill(0.0);
        for (&end, total) in self.steps.ends.iter().zip(returns) {
            self.steps.rewards[end - 1] = total as f32;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three episodes of 1, 3 and 2 steps with returns 5, 6 and -1.
    fn three() -> Trajectories {
        let steps = Steps {
            observations: (0..12).map(|value| value as f32).collect(),
            actions: vec![0.0, 1.0, 2.0, 0.0, 1.0, 2.0],
            rewards: vec![5.0, 1.0, 2.0, 3.0, -1.0, 0.0],
            ends: vec![1, 4, 6],
            terminated: vec![true, false, true],
        };
        Trajectories::new("three", 2, Actions::Discrete(3), steps).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Steps)) -> String {
        let mut steps = three().steps;
        change(&mut steps);
        Trajectories::new("three", 2, Actions::Discrete(3), steps).unwrap_err().to_string()
    }

    #[test]
    fn episodes_that_cannot_be_are_refused_with_their_key_and_row() {
        assert_eq!(refused(|steps| steps.ends.clear()), "three: expected at least one episode, got none");
        let short = refused(|steps| steps.actions.truncate(5));
        assert_eq!(short, "three: tensor `actions`: expected 6 steps of 1, 6 numbers, got 5");
        let missing = refused(|steps| steps.observations[7] = f32::NAN);
        assert_eq!(missing, "three: tensor `observations`: expected finite numbers, got NaN in row 3");
        let choice = refused(|steps| steps.actions[4] = 3.0);
        assert_eq!(choice, "three: tensor `actions`: expected whole numbers below 3, got 3 in row 4");
        let empty = refused(|steps| steps.ends[1] = 1);
        assert_eq!(empty, "three: tensor `ends`: expected episodes of at least one step, got none in episode 1");
    }

    #[test]
    fn the_best_share_keeps_the_best_episode_and_what_fits_behind_it() {
        // The best episode has 3 of 6 steps, the next best one more.
        assert_eq!(three().best(0.1).returns(), [6.0]);
        assert_eq!(three().best(0.7).returns(), [6.0, 5.0]);
        assert_eq!(three().best(1.0).returns(), [6.0, 5.0, -1.0]);
    }

    #[test]
    fn delayed_rewards_are_paid_at_the_last_step() {
        assert_eq!(three().delayed().steps.rewards, [5.0, 0.0, 0.0, 6.0, 0.0, -1.0]);
    }

    #[test]
    fn statistics_are_those_of_all_steps() {
        let Standardisation { mean, deviation } = three().standardisation();
        assert_eq!(mean, [5.0, 6.0]);
        // The variance of 0, 2, .., 10 is 35 / 3.
        let expected = (35.0f64 / 3.0).sqrt() as f32 + 1e-6;
        assert!(deviation.iter().all(|deviation| (deviation - expected).abs() < 1e-6), "{deviation:?}");
    }
}
