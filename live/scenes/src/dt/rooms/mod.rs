//! A decision transformer in Key-to-Door: it does what it is asked for.
//!
//! A key lies in the first of three rooms, and the door that it opens in the last. Asked for a return of 1 the agent takes the
//! key and opens the door; asked for 0 it does what random walks did that earned nothing.

mod critic;
mod picture;
mod trained;

use std::collections::VecDeque;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Session, Tag, TensorType};
use fourfold::models::Agent;
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::{Data, Element};

use super::context::{Attention, Token};
use crate::answer::Answer;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View, weights};
use critic::Critic;
use trained::Trained;

/// Episodes side by side: the first half is asked for the return of the slider, the second half for nothing.
const LANES: usize = 64;
const ASKED: usize = LANES / 2;

/// Episodes over which shares are taken.
const EPISODES: usize = 128;

/// Moments of the curve.
const MOMENTS: usize = 400;

/// Numbers of a state.
const STATES: usize = 7;

/// All rooms.
pub(super) struct Rooms {
    gpu: Gpu,
    trained: Trained,
    world: VectorEnvironment,
    agent: Agent,
    moving: Session,
    attention: Attention,
    critic: Critic,
    settings: Settings,
    /// True before the first step.
    fresh: bool,
    /// Steps that wait for what is seen before the first one.
    owed: usize,
    answer: Answer<usize>,
    look: Answer<()>,
    /// The lane that is drawn large.
    lane: usize,
    seen: Seen,
    /// The context of that lane since its episode began, and the places of the agent in its room.
    tokens: Vec<Token>,
    trail: Vec<[f32; 2]>,
    /// True if the episode of that lane is over.
    over: bool,
    looked: Looked,
    /// The critic's predictions in the episode before.
    before: Vec<f32>,
    /// True once the episode of a lane has earned something.
    won: Vec<bool>,
    /// The ends of the last episodes of each half.
    outcomes: [VecDeque<bool>; 2],
    curve: VecDeque<[f64; 3]>,
    step: usize,
    seen_step: usize,
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    target: f32,
    seed: u32,
}

/// The numbers that came back.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// (states + 1, lanes)
    state: Vec<f32>,
    observations: Vec<f32>,
    /// The logits of the lane that is drawn large.
    logits: Vec<f32>,
    action: f32,
    asked: f32,
}

/// The context of the large room as the networks see it.
#[derive(Debug, Clone, Default)]
struct Looked {
    /// Steps of the episode so far.
    known: usize,
    /// The attention of the last choice: (blocks, tokens of the context).
    attention: Vec<f32>,
    /// The chance of the reward by the critic at each step so far.
    predicted: Vec<f32>,
}

impl Seen {
    /// The state `(time, row, column, object's row, object's column, object shown, key held)` of a lane.
    fn state(&self, lane: usize) -> [f32; STATES] {
        std::array::from_fn(|number| self.state.get(number * LANES + lane).copied().unwrap_or(0.0))
    }
}

/// The return that is asked for in each lane.
fn targets(target: f32) -> Vec<f32> {
    (0..LANES).map(|lane| if lane < ASKED { target } else { 0.0 }).collect()
}

impl Rooms {
    pub(super) fn open(gpu: &Gpu, seed: u32) -> Result<Self, Error> {
        let trained = Trained::read(weights::KEY_TO_DOOR.name, weights::KEY_TO_DOOR.bytes()?)?;
        Self::new(gpu, trained, Settings { target: 1.0, seed })
    }

    fn new(gpu: &Gpu, trained: Trained, settings: Settings) -> Result<Self, Error> {
        let horizon = trained.rooms.phases.iter().sum();
        let lanes = VectorSettings { automatic: true, ..VectorSettings::new(LANES, horizon, settings.seed) };
        let world = VectorEnvironment::on_buffers(gpu, Arc::new(trained.rooms), &lanes, VectorBuffers::default())?;
        let asked = trained.settings(targets(settings.target));
        let agent = Agent::in_environment(&world, &trained.model, trained.weights.clone(), &asked)?;
        Ok(Self {
            gpu: gpu.clone(),
            moving: moving(gpu, &world)?,
            attention: Attention::new(gpu, &trained.model, gpu.upload("weights", &trained.weights)?)?,
            critic: Critic::new(gpu, weights::KEY_TO_DOOR_CRITIC.name, weights::KEY_TO_DOOR_CRITIC.bytes()?)?,
            trained,
            world,
            agent,
            settings,
            fresh: true,
            owed: 0,
            answer: Answer::none(),
            look: Answer::none(),
            lane: 0,
            seen: Seen::default(),
            tokens: Vec::new(),
            trail: Vec::new(),
            over: false,
            looked: Looked::default(),
            before: Vec::new(),
            won: vec![false; LANES],
            outcomes: Default::default(),
            curve: VecDeque::new(),
            step: 0,
            seen_step: 0,
            version: 0,
        })
    }

    /// The share of the last episodes that opened the door, in the half that is asked or the other.
    fn share(&self, half: usize) -> f64 {
        let outcomes = &self.outcomes[half];
        outcomes.iter().filter(|won| **won).count() as f64 / outcomes.len().max(1) as f64
    }

    /// A lane is drawn large.
    fn look_at(&mut self, lane: usize) {
        self.forget();
        self.lane = lane;
        self.over = false;
        self.looked = Looked::default();
        self.before.clear();
    }

    /// The object of the large room goes to a cell, in the next step.
    fn put(&mut self, [row, column]: [f32; 2]) -> Result<(), Error> {
        let mut set = vec![0.0; (STATES + 1) * LANES];
        let mut moved = set.clone();
        for (number, value) in [(3, row), (4, column)] {
            set[number * LANES + self.lane] = value;
            moved[number * LANES + self.lane] = 1.0;
        }
        self.moving.write("set", &Data::F32(set))?;
        self.moving.write("moved", &Data::F32(moved))?;
        Ok(self.moving.submit(1)?)
    }

    /// Takes the values of a step.
    fn take(&mut self, values: &[Data], step: usize) {
        let [state, observations, rewards, ends, actions, logits, asked] = values else { return };
        let lane = self.lane;
        let own = |data: &Data| {
            let width = data.len() / LANES;
            data.f32()[lane * width..][..width].to_vec()
        };
        let before = std::mem::take(&mut self.seen);
        self.seen = Seen {
            state: state.f32().to_vec(),
            observations: observations.f32().to_vec(),
            logits: own(logits),
            action: own(actions)[0],
            asked: own(asked)[0],
        };
        self.version += 1;
        if step == self.seen_step {
            return;
        }
        self.seen_step = step;
        if std::mem::take(&mut self.over) {
            self.forget();
            self.before = std::mem::take(&mut self.looked.predicted);
        }
        let width = before.observations.len() / LANES;
        if width > 0 {
            let ([earlier, row, column, ..], [time, ..]) = (before.state(lane), self.seen.state(lane));
            // A context has no gap at its beginning: of an episode that was looked at late there is none.
            if earlier as usize == self.tokens.len() {
                let observation = self.trained.standardised(&before.observations[lane * width..][..width]);
                self.tokens.push(Token { asked: self.seen.asked, observation, action: self.seen.action });
            }
            self.trail.push([row, column]);
            if self.trained.rooms.room(earlier as usize) != self.trained.rooms.room(time as usize) {
                // The agent stands somewhere else in the next room.
                self.trail.clear();
            }
        }
        for (index, (&reward, &end)) in rewards.f32().iter().zip(ends.u32()).enumerate() {
            self.won[index] |= reward > 0.0;
            if end != 0 {
                let outcomes = &mut self.outcomes[usize::from(index >= ASKED)];
                outcomes.push_back(std::mem::take(&mut self.won[index]));
                if outcomes.len() > EPISODES {
                    outcomes.pop_front();
                }
            }
        }
        self.over = ends.u32()[lane] != 0;
        if ends.u32().iter().any(|&end| end != 0) {
            self.curve.push_back([step as f64, self.share(0), self.share(1)]);
            if self.curve.len() > MOMENTS {
                self.curve.pop_front();
            }
        }
    }

    /// Submits what the networks make of the context of the large room.
    fn look(&mut self) -> Result<(), Error> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        self.attention.submit(&self.tokens)?;
        let mut views = vec![self.attention.view()?];
        if self.critic.knows(&self.trained.rooms) {
            self.critic.submit(&self.tokens)?;
            views.push(self.critic.view()?);
        }
        let ticket = self.gpu.submit("look", |encoder| self.gpu.encode_readback(encoder, &views))?;
        self.look.expect(ticket, ());
        Ok(())
    }

    /// Another episode, or another room, is looked at.
    fn forget(&mut self) {
        self.look.forget();
        self.tokens.clear();
        self.trail.clear();
        self.looked = Looked { predicted: std::mem::take(&mut self.looked.predicted), ..Looked::default() };
    }

    fn clear(&mut self) {
        self.answer.forget();
        self.look_at(self.lane);
        self.seen = Seen::default();
        self.won.fill(false);
        self.outcomes = Default::default();
        self.curve.clear();
        (self.step, self.seen_step) = (0, 0);
        (self.fresh, self.owed) = (true, 0);
    }
}

/// A graph that sets some numbers of the states.
fn moving(gpu: &Gpu, world: &VectorEnvironment) -> Result<Session, Error> {
    let graph = Graph::new();
    let kind = || TensorType::f32([STATES + 1, LANES]);
    let state = graph.state("state", Tag::Bookkeeping, kind());
    let (set, moved) = (graph.input("set", kind()), graph.input("moved", kind()));
    graph.assign(state, moved.select(set, state));
    Ok(Session::builder(gpu, Plan::new(&graph, &gpu.target())?).on_buffer("state", world.state().clone()).build()?)
}

impl Scene for Rooms {
    fn controls(&self) -> Vec<Control> {
        let help = "The return asked for in the upper rooms, from their next episode on: 1 opens the door.";
        vec![
            Control::slider(
                "asked",
                "Return asked",
                help,
                (f64::from(self.settings.target) * 100.0).round() / 100.0,
                [0.0, 1.0],
                0.05,
            )
            .with_key('a'),
            Control::button("next", "Next room", 'n', "Look at another of the 64 episodes."),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        match (name, value) {
            ("asked", Value::Number(target)) => {
                self.settings.target = target as f32;
                self.agent.set_targets(&targets(target as f32))?;
            }
            ("next", _) => self.look_at((self.lane + 1) % LANES),
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        if pointer != Pointer::Press {
            return Ok(false);
        }
        let places = picture::places(view);
        if let Some(cell) = places.cell(at, picture::side(self)) {
            let shown = self.seen.state(self.lane)[5] > 0.0;
            if shown {
                self.put(cell)?;
            }
            return Ok(shown);
        }
        let Some(lane) = places.lane(at) else { return Ok(false) };
        self.look_at(lane);
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.clear();
        self.settings.seed = seed;
        self.world.set_generation(seed.wrapping_mul(1 << 16))?;
        Ok(self.agent.restart()?)
    }

    fn poll(&mut self) -> Result<bool, Error> {
        if let Some((values, step)) = self.answer.take()? {
            let before = self.tokens.len();
            self.take(&values, step);
            if self.tokens.len() != before {
                self.look()?;
            }
            if std::mem::take(&mut self.owed) > 0 {
                self.submit(1)?;
            }
        }
        if let Some((values, ())) = self.look.take()? {
            let known = self.tokens.len().min(self.attention.context());
            let predicted = values.get(1).map_or(&[][..], |chances| chances.f32());
            self.looked = Looked {
                known,
                attention: values[0].f32().to_vec(),
                // Padding stands first.
                predicted: predicted[predicted.len().saturating_sub(known)..].to_vec(),
            };
            self.version += 1;
        }
        Ok(!self.answer.is_waiting() && !self.look.is_waiting())
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        // Each step is looked at: the context of the large room is gathered from what comes back.
        let mut steps = steps.min(1);
        let begins = std::mem::take(&mut self.fresh);
        if begins {
            self.owed = std::mem::take(&mut steps);
        }
        let (world, agent) = (&self.world, &self.agent);
        let views = [
            (world.state().clone(), Element::F32),
            (world.observations().clone(), Element::F32),
            (world.rewards().clone(), Element::F32),
            (world.ends().clone(), Element::U32),
            (agent.actions(), Element::F32),
            (agent.output(), Element::F32),
            (agent.remaining(), Element::F32),
        ];
        let ticket = self.gpu.submit("rooms", |encoder| {
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                if begins {
                    world.record_reset(&mut pass);
                }
                for _ in 0..steps {
                    agent.record(&mut pass);
                    world.record(&mut pass);
                }
            }
            self.gpu.encode_readback(encoder, &views)
        })?;
        self.step += steps;
        self.answer.expect(ticket, self.step);
        Ok(())
    }

    /// Slow enough to be followed.
    fn steps(&self) -> f64 {
        0.1
    }

    fn readings(&self) -> Vec<Reading> {
        vec![
            Reading::new("step", self.seen_step as f64, 0),
            Reading::new("return asked", self.settings.target.into(), 2),
            Reading::new("doors opened", self.share(0), 2),
            Reading::new("doors opened, asked for 0", self.share(1), 2),
            Reading::new("still asked in this room", f64::from(self.seen.asked * self.trained.scale), 2),
            Reading::new("predicted return", self.looked.predicted.last().copied().map_or(f64::NAN, f64::from), 2),
        ]
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    /// Reads an agent, or the critic that the command trains beside it.
    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if trained::is_critic(name, bytes)? {
            self.critic = Critic::new(&self.gpu, name, bytes)?;
            return Ok(());
        }
        let trained = Trained::read(name, bytes)?;
        let mut fresh = Self::new(&self.gpu, trained, self.settings)?;
        std::mem::swap(&mut fresh.critic, &mut self.critic);
        *self = fresh;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
