//! A decision transformer in Key-to-Door: it does what it is asked for.
//!
//! A key lies in the first of three rooms, and the door that it opens in the last. Asked for a return of 1 the agent takes the
//! key and opens the door; asked for 0 it does what random walks did that earned nothing.

mod influence;
mod picture;
mod trained;

use std::collections::VecDeque;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Session, Tag, TensorType};
use fourfold::models::Agent;
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::{Data, Element};

use crate::answer::Answer;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View, weights};
use influence::{Influence, Token};
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
pub(crate) struct Rooms {
    gpu: Gpu,
    trained: Trained,
    world: VectorEnvironment,
    agent: Agent,
    moving: Session,
    influence: Influence,
    settings: Settings,
    /// True before the first step.
    fresh: bool,
    answer: Answer<usize>,
    /// The lane that is drawn large.
    lane: usize,
    seen: Seen,
    /// The context of that lane since its episode began, and the places of the agent in its room.
    tokens: Vec<Token>,
    trail: Vec<[f32; 2]>,
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
    /// (rows, context)
    influence: Vec<f32>,
}

impl Seen {
    /// The state `(time, row, column, object's row, object's column, object shown, key held)` of a lane.
    fn state(&self, lane: usize) -> [f32; STATES] {
        std::array::from_fn(|number| self.state.get(number * LANES + lane).copied().unwrap_or(0.0))
    }
}

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let trained = Trained::read("key_to_door.safetensors", weights::KEY_TO_DOOR)?;
    Ok(Box::new(Rooms::new(gpu, trained, Settings { target: 1.0, seed })?))
}

/// The return that is asked for in each lane.
fn targets(target: f32) -> Vec<f32> {
    (0..LANES).map(|lane| if lane < ASKED { target } else { 0.0 }).collect()
}

impl Rooms {
    fn new(gpu: &Gpu, trained: Trained, settings: Settings) -> Result<Self, Error> {
        let horizon = trained.rooms.phases.iter().sum();
        let lanes = VectorSettings { automatic: true, ..VectorSettings::new(LANES, horizon, settings.seed) };
        let world = VectorEnvironment::on_buffers(gpu, Arc::new(trained.rooms), &lanes, VectorBuffers::default())?;
        let asked = trained.settings(targets(settings.target));
        let agent = Agent::in_environment(&world, &trained.model, trained.weights.clone(), &asked)?;
        Ok(Self {
            gpu: gpu.clone(),
            moving: moving(gpu, &world)?,
            influence: Influence::new(gpu, &trained)?,
            trained,
            world,
            agent,
            settings,
            fresh: true,
            answer: Answer::none(),
            lane: 0,
            seen: Seen::default(),
            tokens: Vec::new(),
            trail: Vec::new(),
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
        let [state, observations, rewards, ends, actions, logits, asked, influence] = values else { return };
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
            influence: influence.f32().to_vec(),
        };
        self.version += 1;
        if step == self.seen_step {
            return;
        }
        self.seen_step = step;
        let width = before.observations.len() / LANES;
        if width > 0 {
            let observation = self.trained.standardised(&before.observations[lane * width..][..width]);
            self.tokens.push(Token { asked: self.seen.asked, observation, action: self.seen.action });
            let ([earlier, row, column, ..], [time, ..]) = (before.state(lane), self.seen.state(lane));
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
        if ends.u32()[lane] != 0 {
            self.tokens.clear();
            self.trail.clear();
        }
        if ends.u32().iter().any(|&end| end != 0) {
            self.curve.push_back([step as f64, self.share(0), self.share(1)]);
            if self.curve.len() > MOMENTS {
                self.curve.pop_front();
            }
        }
    }

    fn clear(&mut self) {
        self.answer.forget();
        self.seen = Seen::default();
        self.tokens.clear();
        self.trail.clear();
        self.won.fill(false);
        self.outcomes = Default::default();
        self.curve.clear();
        (self.step, self.seen_step) = (0, 0);
        self.fresh = true;
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
            ("next", _) => {
                self.lane = (self.lane + 1) % LANES;
                self.tokens.clear();
                self.trail.clear();
            }
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
        self.lane = lane;
        self.tokens.clear();
        self.trail.clear();
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.clear();
        self.settings.seed = seed;
        self.world.set_generation(seed.wrapping_mul(1 << 16))?;
        Ok(self.agent.restart()?)
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let Some((values, step)) = self.answer.take()? else { return Ok(!self.answer.is_waiting()) };
        self.take(&values, step);
        Ok(true)
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        // Each step is looked at: the context of the large room is gathered from what comes back.
        let steps = steps.min(1);
        if !self.tokens.is_empty() {
            self.influence.submit(&self.tokens)?;
        }
        let begins = std::mem::take(&mut self.fresh);
        let (world, agent) = (&self.world, &self.agent);
        let views = [
            (world.state().clone(), Element::F32),
            (world.observations().clone(), Element::F32),
            (world.rewards().clone(), Element::F32),
            (world.ends().clone(), Element::U32),
            (agent.actions(), Element::F32),
            (agent.output(), Element::F32),
            (agent.remaining(), Element::F32),
            (self.influence.shares()?, Element::F32),
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
        ]
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let trained = Trained::read(name, bytes)?;
        *self = Self::new(&self.gpu, trained, self.settings)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
