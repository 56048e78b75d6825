//! Episodes of an agent in environments of Gymnasium.

use fourfold::models::Agent;
use serde::{Deserialize, Serialize};

use super::Environments;
use super::link::End;
use crate::failure::Failure;

/// Results of episodes, one a lane.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Played {
    pub returns: Vec<f64>,
    pub lengths: Vec<usize>,
    /// True if the episode ended of itself.
    pub terminated: Vec<bool>,
}

/// All lanes before a step.
#[derive(Debug)]
pub struct Moment<'a> {
    pub step: usize,
    /// (lanes, observations)
    pub observations: &'a [f32],
    /// (lanes): those of the step before.
    pub rewards: &'a [f32],
    /// (lanes): false where the episode is over.
    pub going: &'a [bool],
}

/// Plays an episode in each lane, all as one batch, from what was observed first, with the actions (lanes, numbers) that
/// `act` returns; cut off after `most` steps.
///
/// # Errors
/// A worker failed, or `act`.
pub fn play_with(
    environments: &mut Environments,
    mut observations: Vec<f32>,
    most: usize,
    mut act: impl FnMut(&Moment<'_>) -> Result<Vec<f32>, Failure>,
) -> Result<Played, Failure> {
    let lanes = environments.lanes();
    let mut played = Played { returns: vec![0.0; lanes], lengths: vec![0; lanes], terminated: vec![false; lanes] };
    let mut going = vec![true; lanes];
    let mut rewards = vec![0.0; lanes];
    for step in 0..most {
        if !going.contains(&true) {
            break;
        }
        let actions = act(&Moment { step, observations: &observations, rewards: &rewards, going: &going })?;
        let answer = environments.step(&going, &actions)?;
        for lane in (0..lanes).filter(|&lane| going[lane]) {
            played.returns[lane] += answer.rewards[lane];
            played.lengths[lane] += 1;
            played.terminated[lane] = answer.ends[lane] == End::Terminated;
        }
        for (going, end) in going.iter_mut().zip(&answer.ends) {
            *going &= *end == End::GoesOn;
        }
        observations = answer.observations;
        rewards = answer.rewards.iter().map(|&reward| reward as f32).collect();
    }
    Ok(played)
}

/// The same with an agent, each lane from its seed. `watch` is told the number of each step and of the episodes that go on.
///
/// # Errors
/// A worker or the device failed.
///
/// # Panics
/// If the agent has another number of episodes than there are lanes.
pub fn play(
    agent: &mut Agent,
    environments: &mut Environments,
    seeds: &[u32],
    most: usize,
    mut watch: impl FnMut(usize, usize),
) -> Result<Played, Failure> {
    assert_eq!(agent.settings().episodes(), environments.lanes(), "episodes of the agent and lanes");
    let observations = environments.reset(seeds)?;
    agent.restart()?;
    play_with(environments, observations, most, |moment| {
        watch(moment.step, moment.going.iter().filter(|&&going| going).count());
        Ok(agent.act(moment.observations, moment.rewards)?)
    })
}

#[cfg(test)]
mod tests {
    use fourfold::data::Actions;
    use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
    use fourfold::models::{AgentSettings, SequenceModel};

    use super::super::environments::tests::fakes;
    use super::*;

    fn agent() -> Agent {
        let settings = Settings::gym(2, Actions::Continuous(1), 2).sized(8, 1, 1);
        let model = DecisionTransformer::new(settings).unwrap();
        let gpu = fourfold::Gpu::open().unwrap();
        Agent::new(&gpu, &model, model.parameters().initial(3), &AgentSettings::new(5, 1.0)).unwrap()
    }

    #[test]
    fn episodes_are_played_until_each_has_ended() {
        let mut watched = Vec::new();
        let played =
            play(&mut agent(), &mut fakes(None), &[0, 1, 2, 3, 4], 1000, |step, left| watched.push((step, left)));
        let played = played.unwrap();
        // Odd seeds terminate in step 3; the time of the others is up in step 5.
        assert_eq!(played.lengths, [5, 3, 5, 3, 5]);
        assert_eq!(played.terminated, [false, true, false, true, false]);
        assert_eq!(watched, [(0, 5), (1, 5), (2, 5), (3, 3), (4, 3)]);
        // Rewards are the actions of a bounded head, and those differ with what is seen.
        assert!(played.returns.iter().all(|total| total.abs() > 0.0 && total.abs() < 5.0), "{:?}", played.returns);
        assert_ne!(played.returns[0], played.returns[2]);
    }

    #[test]
    fn episodes_are_cut_off_after_the_most_steps_and_seeds_repeat_them() {
        let (mut agent, mut environments) = (agent(), fakes(None));
        let first = play(&mut agent, &mut environments, &[6; 5], 4, |_, _| {}).unwrap();
        assert_eq!((&first.lengths[..], &first.terminated[..]), (&[4; 5][..], &[false; 5][..]));
        assert_eq!(play(&mut agent, &mut environments, &[6; 5], 4, |_, _| {}).unwrap(), first);
    }
}
