//! Everything that decides an offline training besides the model, the data and the initial weights.

use super::OfflineTrainingError;
use super::error::wrong;
use crate::data::{Standardisation, Trajectories};
use crate::models::SequenceModel;
use crate::nn::Parameter;
use crate::optim::{AdamW, Schedule};

/// The steps at which windows begin, all equally likely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Starts {
    /// Every step: an episode in proportion to its length, and a uniform step of it (the paper's code).
    #[default]
    Steps,
    /// The first step of each episode: windows of whole episodes, where the context is as long as they are.
    Episodes,
    /// These steps, counted over all episodes; one that stands twice is twice as likely.
    Given(Vec<u32>),
}

impl Starts {
    /// One start for each step of `data`: the step, or an earlier one of its episode where fewer than `context` steps follow.
    /// A window is shorter only where its episode is.
    pub fn whole_windows(data: &Trajectories, context: usize) -> Self {
        let starts = data.ranges().flat_map(|range| {
            let last = range.end.saturating_sub(context).max(range.start);
            range.map(move |step| step.min(last) as u32)
        });
        Self::Given(starts.collect())
    }
}

/// The returns-to-go that the model is conditioned on.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ReturnsToGo {
    /// The sum of the rewards from the step to the episode's end.
    #[default]
    Sums,
    /// The whole return of the episode at each of its steps, as where rewards are paid at the end alone.
    Delayed,
    /// These numbers, one for each step of all episodes.
    Given(Vec<f32>),
}

/// Everything that decides an offline training besides the model, the data and the initial weights.
#[derive(Debug, Clone)]
pub struct OfflineSettings {
    /// Windows of a training step, B.
    pub batch: usize,
    /// The base optimiser.
    pub optimiser: AdamW,
    /// Returns true for parameters that the optimiser decays: all of them in the paper's code for continuous control,
    /// [matrices](OfflineSettings::matrices) in that for Atari.
    pub decays: fn(&Parameter) -> bool,
    /// The learning rate, which the schedule multiplies.
    pub rate: f32,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// The gradient is clipped to this norm.
    pub clip: Option<f32>,
    /// The returns that the model is conditioned on.
    pub returns: ReturnsToGo,
    /// The scale that returns are divided by.
    pub return_scale: f32,
    /// The standardisation of observations; `None` leaves them as they are, and pictures stay so in any case. For percentile behaviour cloning it is that of
    /// all trajectories, taken before the best are [selected](Trajectories::best).
    pub standardisation: Option<Standardisation>,
    /// The first steps of windows.
    pub starts: Starts,
    /// Times count from a window's first step, and not from its episode's.
    pub restart_times: bool,
    /// The random seed of initial weights, windows and dropout masks.
    pub seed: u32,
    /// Steps whose losses are kept, at least one.
    pub losses: usize,
    /// Steps of one submission. Half a second of them is a good measure: some systems reset a GPU that is busy for two.
    pub steps_per_submission: usize,
}

impl OfflineSettings {
    /// The paper's training for continuous control (table 9), whose trajectories are standardised as they are given:
    /// 64 windows a step, AdamW with rate and weight decay 1e-4, warm-up over 10,000 steps, clipping at 0.25.
    pub fn gym(data: &Trajectories) -> Self {
        Self {
            batch: 64,
            optimiser: AdamW { weight_decay: 1e-4, ..AdamW::default() },
            decays: |_| true,
            rate: 1e-4,
            schedule: Schedule::WarmUp { steps: 10_000 },
            clip: Some(0.25),
            returns: ReturnsToGo::Sums,
            return_scale: 1.0,
            standardisation: Some(data.standardisation()),
            starts: Starts::Steps,
            restart_times: false,
            seed: 0,
            losses: 1_000,
            steps_per_submission: 20,
        }
    }

    /// The paper's training of the behaviour cloning baseline (table 10): as [`gym`](Self::gym) without warm-up and
    /// clipping.
    pub fn behaviour_cloning(data: &Trajectories) -> Self {
        Self { schedule: Schedule::Constant, clip: None, ..Self::gym(data) }
    }

    /// The paper's training for Atari (table 8 and its code) in windows of `context` steps: 128 windows a step, AdamW with a rate
    /// of 6e-4, betas 0.9 and 0.95 and decay 0.1 of matrices, warm-up and half a cosine, clipping at 1, returns as they are.
    /// Windows that would pass the end of their episode begin earlier, as far as the episode goes back.
    pub fn atari(data: &Trajectories, context: usize) -> Self {
        let batch = 128;
        // The code counts a token a step: 10,240 of warm-up, and 6 for each step of the data.
        let windows = data.steps().saturating_sub(3 * context).max(1);
        let schedule = Schedule::WarmUpCosine {
            warm_up: 10_240usize.div_ceil(batch * context.max(1)),
            steps: windows.saturating_mul(6).div_ceil(batch),
            least: 0.1,
        };
        Self {
            batch,
            optimiser: AdamW { beta2: 0.95, weight_decay: 0.1, ..AdamW::default() },
            decays: Self::matrices,
            rate: 6e-4,
            schedule,
            clip: Some(1.0),
            standardisation: None,
            starts: Starts::whole_windows(data, context),
            ..Self::gym(data)
        }
    }

    /// Returns true for the matrix of an affine layer and the kernel of a convolution: neither a bias or norm nor an
    /// embedding table.
    pub fn matrices(parameter: &Parameter) -> bool {
        let table = parameter.name.ends_with(".table") || parameter.name.contains("embed_timestep");
        parameter.shape.rank() >= 2 && !table
    }

    pub(super) fn check(&self, model: &dyn SequenceModel, data: &Trajectories) -> Result<(), OfflineTrainingError> {
        let sizes = [
            ("a batch", self.batch),
            ("kept losses", self.losses),
            ("steps in a submission", self.steps_per_submission),
        ];
        if let Some((setting, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(wrong(setting, "at least 1", 0));
        }
        if model.observations() != data.observations() {
            let expected = format!("{} numbers, as {} has", data.observations(), data.name());
            return Err(wrong("model observations", expected, model.observations()));
        }
        if model.actions() != data.actions() {
            let expected = format!("{:?}, as {} has", data.actions(), data.name());
            return Err(wrong("model actions", expected, format!("{:?}", model.actions())));
        }
        // Rows are numbered by u32, one past the last included.
        if u32::try_from(data.steps()).is_err() {
            return Err(wrong("trajectories", "fewer than 2^32 steps", data.steps()));
        }
        let positive = |number: f32| number.is_finite() && number > 0.0;
        if !positive(self.return_scale) {
            return Err(wrong("a return scale", "a number above 0", self.return_scale));
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return Err(wrong("a learning rate", "a number of at least 0", self.rate));
        }
        if let Some(clip) = self.clip.filter(|&clip| !positive(clip)) {
            return Err(wrong("a norm to clip to", "a number above 0", clip));
        }
        match &self.starts {
            Starts::Given(starts) if starts.is_empty() => return Err(wrong("starts", "at least one step", "none")),
            Starts::Given(starts) => {
                if let Some(start) = starts.iter().find(|&&start| start as usize >= data.steps()) {
                    return Err(wrong("starts", format!("steps below {}", data.steps()), start));
                }
            }
            Starts::Steps | Starts::Episodes => {}
        }
        if let ReturnsToGo::Given(returns) = &self.returns {
            if returns.len() != data.steps() {
                let expected = format!("one number for each of {} steps", data.steps());
                return Err(wrong("returns", expected, format!("{} numbers", returns.len())));
            }
            if let Some(row) = returns.iter().position(|number| !number.is_finite()) {
                return Err(wrong("returns", "finite numbers", format!("{} in row {row}", returns[row])));
            }
        }
        if let Some(Standardisation { mean, deviation }) = &self.standardisation
            && data.frames().is_none()
        {
            let columns = data.observations();
            if mean.len() != columns || deviation.len() != columns {
                let got = format!("{} means and {} deviations", mean.len(), deviation.len());
                return Err(wrong("a standardisation", format!("{columns} columns"), got));
            }
            if let Some(got) = deviation.iter().find(|&&deviation| !positive(deviation)) {
                return Err(wrong("a standardisation", "deviations above 0", got));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Actions, Steps};

    #[test]
    fn windows_begin_earlier_where_their_episode_ends_too_soon() {
        let steps = Steps {
            observations: vec![0.0; 7],
            actions: vec![0.0; 7],
            rewards: vec![0.0; 7],
            ends: vec![5, 7],
            terminated: vec![true; 2],
        };
        let data = Trajectories::new("seven", 1, Actions::Continuous(1), steps).unwrap();
        assert_eq!(Starts::whole_windows(&data, 3), Starts::Given(vec![0, 1, 2, 2, 2, 5, 5]));
    }
}
