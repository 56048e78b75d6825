//! Training one network on random play, and letting it play.

use std::time::Instant;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::gpu::BufferView;
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo, Starts};
use fourfold::models::{Agent, AgentSettings, Sampling, SequenceModel};
use fourfold::optim::Schedule;
use fourfold::rollout::{Environment, VectorEnvironment, VectorSettings};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::trained::TrainedAgent;
use super::{EVALUATION, Method, Outcome, RandomPlay, Settings};
use crate::failure::Failure;
use crate::run::{Run, entry, set_entry};

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub method: Method,
    pub seed: u32,
    /// Random episodes, and how many of them succeeded.
    pub episodes: usize,
    pub successes: usize,
    /// Training steps, and the share of greedy episodes that succeeded then; the start too, where there are several.
    pub curve: Vec<(usize, f64)>,
    /// After the last step.
    pub greedy: Played,
    pub sampled: Played,
    /// The mean loss of the last steps, where it is finite.
    pub loss: Option<f64>,
}

/// Shares of the episodes of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// That opened the door.
    pub success: f64,
    /// That took the key.
    pub key: f64,
}

/// Which episodes a training draws, each with equal chances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    Alike,
    /// Successes so much more often that they are about this share.
    Balanced(f64),
    Successes,
}

impl Draw {
    /// The first steps of episodes, repeated as often as they are to be drawn.
    ///
    /// # Errors
    /// Successes are asked for and there are none, or nothing else.
    fn starts(self, play: &RandomPlay) -> Result<Starts, Failure> {
        let first = |&episode: &usize| play.trajectories.range(episode).start as u32;
        let (doors, count) = (play.with(Outcome::Door), play.outcomes.len());
        if self == Draw::Alike {
            return Ok(Starts::Episodes);
        }
        if doors.is_empty() || (self != Draw::Successes && doors.len() == count) {
            let message =
                format!("{} of {count} random episodes succeeded: there is nothing to learn from", doors.len());
            return Err(Failure::Run(message));
        }
        let mut starts: Vec<u32> = doors.iter().map(first).collect();
        if let Draw::Balanced(share) = self {
            let others = count - doors.len();
            let copies = share / (1.0 - share) * others as f64 / doors.len() as f64;
            starts = starts.repeat((copies.round() as usize).max(1));
            starts.extend((0..count).filter(|&episode| play.outcomes[episode] != Outcome::Door).map(|one| first(&one)));
        }
        Ok(Starts::Given(starts))
    }
}

/// Returns of 0 and 1 are told apart the sooner the larger they are.
const RETURN_SCALE: f32 = 0.25;

/// Steps whose losses are averaged.
const LAST: usize = 50;

/// A training on whole episodes, before its first step.
///
/// # Errors
/// No success among the episodes where it takes one, no memory, or the loss of the device.
fn begin(
    gpu: &Gpu,
    settings: &Settings,
    model: &dyn SequenceModel,
    play: &RandomPlay,
    draw: Draw,
    seed: u32,
) -> Result<OfflineTraining, Failure> {
    let offline = OfflineSettings { return_scale: RETURN_SCALE, ..common(settings, play, draw, seed)? };
    Ok(OfflineTraining::new(gpu, model, &play.trajectories, offline)?)
}

/// A training of a critic, before its first step: each step is told the whole return of its episode, as a class.
///
/// # Errors
/// No success among the episodes, no memory, or the loss of the device.
pub fn begin_critic(
    gpu: &Gpu,
    settings: &Settings,
    critic: &dyn SequenceModel,
    play: &RandomPlay,
    seed: u32,
) -> Result<OfflineTraining, Failure> {
    let draw = Draw::Balanced(settings.critic_share);
    let offline = OfflineSettings { returns: ReturnsToGo::Delayed, ..common(settings, play, draw, seed)? };
    Ok(OfflineTraining::new(gpu, critic, &play.trajectories, offline)?)
}

fn common(settings: &Settings, play: &RandomPlay, draw: Draw, seed: u32) -> Result<OfflineSettings, Failure> {
    Ok(OfflineSettings {
        batch: settings.batch,
        rate: settings.rate,
        schedule: Schedule::WarmUp { steps: WARM_UP.min(settings.steps) },
        starts: draw.starts(play)?,
        seed,
        losses: LAST,
        steps_per_submission: settings.burst(),
        ..OfflineSettings::gym(&play.trajectories)
    })
}

/// Steps over which the learning rate rises.
const WARM_UP: usize = 100;

/// Trains by one method, and evaluates on the way and at the end.
///
/// # Errors
/// No success among the episodes where the method takes one, no memory, or the loss of the device.
pub fn trial(
    run: &mut Run,
    settings: &Settings,
    method: Method,
    play: &RandomPlay,
    seed: u32,
) -> Result<Trial, Failure> {
    let (begun, gpu, episodes) = (Instant::now(), run.gpu(), play.outcomes.len());
    let model = method.model(settings)?;
    let draw = match method {
        Method::Transformer => Draw::Balanced(settings.share),
        Method::SuccessCloning => Draw::Successes,
        Method::Cloning => Draw::Alike,
    };
    let mut training = begin(&gpu, settings, &model, play, draw, seed)?;
    let weights = training.weights_view()?;
    let trained = training.settings().clone();
    let judge = |sampling| Judge::new(&gpu, settings, &model, weights.clone(), &trained, sampling);
    let (mut greedy, mut sampled) = (judge(Sampling::Greedy)?, judge(Sampling::Sampled { temperature: 1.0 })?);
    let mut curve: Vec<(usize, f64)> = match run.restored() {
        Some(checkpoint) => restore(run, &mut training, &checkpoint)?,
        None if settings.points > 1 => vec![(0, greedy.play()?.success)],
        None => Vec::new(),
    };
    let mut played = None;
    let evaluated = curve.last().map_or(0, |&(steps, _)| steps);
    let points = (1..=settings.points).map(|point| settings.steps * point / settings.points);
    for until in points.filter(|&until| until > evaluated) {
        train(run, settings, &mut training, until, &curve)?;
        let now = greedy.play()?;
        curve.push((until, now.success));
        played = Some(now);
        run.say(format!("seed {seed}, {} of {episodes} episodes, {:.0} %", method.name(), 100.0 * now.success));
        run.log(&json!({
            "method": method, "seed": seed, "episodes": episodes, "step": until, "success": now.success,
            "seconds": begun.elapsed().as_secs_f64(),
        }))?;
    }
    if method == Method::Transformer {
        let (asked, data) = (AgentSettings::trained(&trained, 1, 1.0), training.weights()?);
        if let Some(agent) = TrainedAgent::new(&settings.environment(), model.settings(), &data, &asked) {
            run.write_checkpoint(&format!("transformer-{episodes}-{seed}.safetensors"), &agent.to_checkpoint()?)?;
        }
    }
    let losses = training.losses()?;
    let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
    Ok(Trial {
        method,
        seed,
        episodes,
        successes: play.with(Outcome::Door).len(),
        curve,
        greedy: played.unwrap_or_else(|| unreachable!("the last evaluation follows the last checkpoint")),
        sampled: sampled.play()?,
        loss: loss.is_finite().then_some(loss),
    })
}

/// Trains up to a step, and keeps checkpoints with the evaluations so far.
pub fn train(
    run: &mut Run,
    settings: &Settings,
    training: &mut OfflineTraining,
    until: usize,
    curve: &[(usize, f64)],
) -> Result<(), Failure> {
    while training.steps() < until {
        let steps = settings.burst().min(until - training.steps());
        training.submit(steps)?;
        training.losses()?;
        run.advance(steps as u64);
        run.save_if_due(|checkpoint| {
            training.save(checkpoint, "training.")?;
            set_entry(checkpoint, "curve", &curve)
        })?;
    }
    Ok(())
}

/// Restores what [`train`] saved, and returns its evaluations.
pub fn restore(
    run: &mut Run,
    training: &mut OfflineTraining,
    checkpoint: &Checkpoint,
) -> Result<Vec<(usize, f64)>, Failure> {
    training.restore(checkpoint, "training.")?;
    run.skip(training.steps() as u64);
    entry(checkpoint, "curve")
}

/// An agent that plays the evaluation's episodes, all as one batch, with the weights of a training as they are.
#[derive(Debug)]
struct Judge {
    environment: VectorEnvironment,
    agent: Agent,
}

impl Judge {
    fn new(
        gpu: &Gpu,
        settings: &Settings,
        model: &DecisionTransformer,
        weights: BufferView,
        trained: &OfflineSettings,
        sampling: Sampling,
    ) -> Result<Self, Failure> {
        let (world, seed) = (settings.world(), trained.seed.wrapping_add(EVALUATION));
        let lanes = VectorSettings { trace: true, ..VectorSettings::new(settings.evaluation, world.horizon(), seed) };
        let environment = VectorEnvironment::new(gpu, world, &lanes)?;
        let asked = AgentSettings {
            sampling,
            seed: seed.wrapping_add(1 << 16),
            ..AgentSettings::trained(trained, settings.evaluation, 1.0)
        };
        let agent = Agent::in_environment(&environment, model, weights, &asked)?;
        Ok(Self { environment, agent })
    }

    fn play(&mut self) -> Result<Played, Failure> {
        let returns = self.agent.play(&self.environment, None)?.returns;
        let outcomes = Outcome::of_trace(&self.environment.trace()?);
        let count = returns.len() as f64;
        Ok(Played {
            success: returns.iter().map(|&total| f64::from(total)).sum::<f64>() / count,
            key: outcomes.iter().filter(|&&outcome| outcome >= Outcome::Key).count() as f64 / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use fourfold::data::{Actions, Steps, Trajectories};

    use super::*;

    /// Episodes of two steps, of which the given ones succeed.
    fn play(episodes: usize, doors: &[usize]) -> RandomPlay {
        let steps = Steps {
            observations: vec![0.0; 2 * episodes],
            actions: vec![0.0; 2 * episodes],
            rewards: vec![0.0; 2 * episodes],
            ends: (1..=episodes).map(|episode| 2 * episode).collect(),
            terminated: vec![true; episodes],
        };
        let outcome = |episode| if doors.contains(&episode) { Outcome::Door } else { Outcome::NoKey };
        RandomPlay {
            trajectories: Trajectories::new("play", 1, Actions::Discrete(4), steps).unwrap(),
            outcomes: (0..episodes).map(outcome).collect(),
        }
    }

    #[test]
    fn successes_are_drawn_as_often_as_the_share_says_and_all_other_episodes_once() {
        let Starts::Given(starts) = Draw::Balanced(0.5).starts(&play(10, &[3, 7])).unwrap() else { panic!("a list") };
        // Four copies of each success against eight others.
        let mut sorted = starts;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 2, 4, 6, 6, 6, 6, 8, 10, 12, 14, 14, 14, 14, 16, 18]);
        assert_eq!(Draw::Successes.starts(&play(10, &[3, 7])).unwrap(), Starts::Given(vec![6, 14]));
        assert_eq!(Draw::Alike.starts(&play(10, &[])).unwrap(), Starts::Episodes);
    }

    #[test]
    fn episodes_that_all_end_alike_cannot_be_balanced() {
        for doors in [vec![], vec![0, 1, 2]] {
            let failure = Draw::Balanced(0.5).starts(&play(3, &doors)).unwrap_err();
            let expected = format!("{} of 3 random episodes succeeded: there is nothing to learn from", doors.len());
            assert_eq!(failure, Failure::Run(expected));
        }
    }
}
