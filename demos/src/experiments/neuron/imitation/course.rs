//! The course of lessons: round after round the student drives, the teacher says what it would have done, and the student learns.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Element};
use serde::{Deserialize, Serialize};

use super::drivers::Drivers;
use super::lesson::{Lesson, Recipe};
use super::recordings::Recordings;
use super::student::Network;
use super::subject::Subject;
use crate::failure::Failure;
use crate::run::{Run, entry, set_entry};
use crate::statistics::average;

/// Places of random numbers: those of episodes, of who drives, of batches.
const EPISODES: u32 = 0x1517_0000;
const DRIVERS: u32 = 0x1517_1000;
const BATCHES: u32 = 0x1518_0000;

/// Updates between two looks at the progress.
const LOOK: u64 = 20;

/// The sizes of a course.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Episodes side by side. In the first half of them the student drives alone.
    pub lanes: usize,
    /// Rounds in which the student learns; the teacher drives in the first.
    pub rounds: usize,
    /// Steps of each lane in a round.
    pub steps: usize,
    /// Updates after each round.
    pub updates: usize,
    /// The share of steps at which somebody who knows nothing takes over for a while.
    pub disturbance: f64,
    /// Steps of an episode at most, in the score too.
    pub horizon: usize,
}

/// A round of a course.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Rounds that the student had learnt from.
    pub round: usize,
    /// Samples that it had seen or could have.
    pub samples: usize,
    /// The mean loss of the last tenth of the updates before; none before the first.
    pub loss: Option<f64>,
    /// The mean score of the lanes in which it drove alone; none where the teacher drove.
    pub score: Option<f64>,
}

/// The student that scored best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imitated {
    pub rounds: Vec<Round>,
    /// The round with the best score.
    pub best: usize,
    pub weights: Vec<f32>,
}

/// The state that is kept between rounds.
struct State {
    lesson: Lesson,
    recordings: Recordings,
    rounds: Vec<Round>,
    best: Option<(usize, Vec<f32>)>,
    /// Updates since the last round was recorded; none where it is not.
    learnt: Option<usize>,
    losses: Vec<f64>,
}

impl Course {
    /// The weight of the course on a progress bar.
    pub fn work(&self) -> u64 {
        (self.rounds * (self.steps + self.updates) + self.steps) as u64
    }

    /// Teaches a student.
    ///
    /// # Errors
    /// The device fails, the folder cannot be written, or the run was asked to stop.
    pub fn teach(
        &self,
        run: &mut Run,
        subject: &Arc<dyn Subject>,
        network: &Network,
        recipe: Recipe,
        seed: u32,
    ) -> Result<Imitated, Failure> {
        let gpu = run.gpu();
        let widths = [subject.world().observations(), subject.answers()];
        let mut state = State {
            lesson: Lesson::new(&gpu, subject.clone(), network, recipe, [self.lanes as u32, seed])?,
            recordings: Recordings::new(self.lanes, widths),
            rounds: Vec::new(),
            best: None,
            learnt: None,
            losses: Vec::new(),
        };
        if let Some(checkpoint) = run.restored() {
            state.restore(&checkpoint)?;
            let finished = state.rounds.len() - usize::from(state.learnt.is_some());
            let updates = finished * self.updates + state.learnt.unwrap_or_default();
            run.skip((state.rounds.len() * self.steps + updates) as u64);
        }
        for round in state.rounds.len() - usize::from(state.learnt.is_some())..=self.rounds {
            if state.learnt.is_none() {
                run.save_if_due(|checkpoint| state.save(checkpoint))?;
                self.drive(run, &gpu, &**subject, &mut state, round, seed)?;
                state.learnt = Some(0);
            }
            if round < self.rounds {
                self.learn(run, &mut state, round, seed)?;
            }
            state.learnt = None;
        }
        let (best, weights) = state.best.unwrap_or_default();
        Ok(Imitated { rounds: state.rounds, best, weights })
    }

    /// The student, or in the first round the teacher, drives; what is seen and said is recorded.
    fn drive(
        &self,
        run: &mut Run,
        gpu: &Gpu,
        subject: &dyn Subject,
        state: &mut State,
        round: usize,
        seed: u32,
    ) -> Result<(), Failure> {
        let (lanes, world) = (self.lanes, subject.world());
        let settings =
            VectorSettings { stream: EPISODES, automatic: true, ..VectorSettings::new(lanes, self.horizon, seed) };
        let alone = if round == 0 { 0 } else { lanes / 2 };
        let random = Random::new(seed, DRIVERS + round as u32);
        let mut drivers = Drivers::new(random, lanes, alone, self.disturbance);
        let mut environment = VectorEnvironment::on_buffers(gpu, world, &settings, VectorBuffers::default())?;
        let mut seen = environment.reset(round as u32)?;
        let mut times = vec![0; lanes];
        let (mut sums, mut scores) = (vec![0.0; lanes], vec![None; lanes]);
        for _ in 0..self.steps {
            let taught = self.taught(gpu, subject, &environment, &seen.observations)?;
            state.recordings.push(&seen.observations, &times, &taught);
            let own = if round == 0 { taught.clone() } else { state.lesson.answer(&state.recordings.newest())? };
            let chosen = drivers.choose(subject, &own, &taught);
            let actions = chosen.chunks_exact(subject.answers()).flat_map(|answer| subject.action(answer));
            seen = environment.step(&actions.collect::<Vec<_>>())?;
            for lane in 0..lanes {
                sums[lane] += f64::from(seen.rewards[lane]);
                times[lane] += 1;
                if seen.ends[lane] != 0 {
                    scores[lane].get_or_insert(sums[lane]);
                    (sums[lane], times[lane]) = (0.0, 0);
                }
            }
            run.advance(1);
            run.stop_if_asked()?;
        }
        let scores: Vec<f64> = (0..alone).map(|lane| scores[lane].unwrap_or(sums[lane])).collect();
        let score = (alone > 0).then(|| average(&scores));
        let loss = (!state.losses.is_empty()).then(|| average(&state.losses[state.losses.len() * 9 / 10..]));
        let row = Round { round, samples: state.recordings.len(), loss, score };
        let before = state.best.as_ref().and_then(|(best, _)| state.rounds[*best].score);
        state.rounds.push(row);
        if score.is_some_and(|score| before.is_none_or(|before| score > before)) {
            state.best = Some((round, state.lesson.weights()?));
        }
        run.log(&row)?;
        if let (Some(score), Some(loss)) = (score, loss) {
            run.note(&format!("round {round}: score {score:.1}, loss {loss:.4}"));
        }
        Ok(())
    }

    /// The teacher's answer in every lane.
    fn taught(
        &self,
        gpu: &Gpu,
        subject: &dyn Subject,
        environment: &VectorEnvironment,
        observations: &[f32],
    ) -> Result<Vec<f32>, Failure> {
        let lanes = self.lanes;
        let states = environment.environment().states();
        let state = match subject.reads_states() {
            true => {
                let views = [(environment.state().clone(), Element::F32)];
                gpu.submit("states", |encoder| gpu.encode_readback(encoder, &views))?.wait()?.swap_remove(0)
            }
            false => Data::F32(vec![0.0; (states + 1) * lanes]),
        };
        let width = observations.len() / lanes;
        let mut taught = Vec::with_capacity(lanes * subject.answers());
        for (lane, scene) in observations.chunks_exact(width).enumerate() {
            let own: Vec<f64> = (0..states).map(|number| state.f32()[number * lanes + lane].into()).collect();
            let scene: Vec<f64> = scene.iter().map(|&number| number.into()).collect();
            taught.extend(subject.teach(&own, &scene));
        }
        Ok(taught)
    }

    /// The student learns from all that was recorded.
    fn learn(&self, run: &mut Run, state: &mut State, round: usize, seed: u32) -> Result<(), Failure> {
        let first = state.learnt.unwrap_or_default();
        if first == 0 {
            state.losses.clear();
        }
        for update in first..self.updates {
            let drawn = BATCHES + (round * self.updates + update) as u32;
            let loss = state.lesson.learn(&state.recordings, &mut Random::new(seed, drawn))?;
            state.losses.push(loss);
            state.learnt = Some(update + 1);
            run.advance(1);
            if (update as u64).is_multiple_of(LOOK) {
                run.say(format!("loss {loss:.4}"));
            }
            run.save_if_due(|checkpoint| state.save(checkpoint))?;
        }
        Ok(())
    }
}

impl State {
    fn save(&mut self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        set_entry(checkpoint, "rounds", &self.rounds)?;
        set_entry(checkpoint, "best", &self.best)?;
        set_entry(checkpoint, "learnt", &self.learnt)?;
        set_entry(checkpoint, "losses", &self.losses)?;
        self.recordings.save(checkpoint)?;
        self.lesson.save(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.rounds = entry(checkpoint, "rounds")?;
        self.best = entry(checkpoint, "best")?;
        self.learnt = entry(checkpoint, "learnt")?;
        self.losses = entry(checkpoint, "losses")?;
        self.recordings.restore(checkpoint)?;
        self.lesson.restore(checkpoint)
    }
}
