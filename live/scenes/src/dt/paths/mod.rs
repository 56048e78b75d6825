//! A decision transformer on a graph: learnt from random walks, asked for few steps, it finds the way to the goal.
//!
//! Walkers begin at all nodes together, and one of them is looked at closely. The network of the file knows one goal; the way to
//! another it learns while one watches.

mod learning;
mod picture;
mod trained;

use fourfold::models::SequenceModel;
use fourfold::models::shortest_paths::{DirectedGraph, GeneratedPath, PathDecoder};
use fourfold::{BufferView, Gpu};

use super::context::{Attention, Token};
use crate::answer::Answer;
use crate::{Control, Drawing, Error, Kind, Pointer, Reading, Scene, Value, View, weights};
use learning::Learning;
use trained::Trained;

pub(super) use trained::ENVIRONMENT;

/// Steps for which finished paths are left to be looked at.
const REST: usize = 3;

/// While the network learns, walkers take a step in one of so many submissions.
const TURNS: usize = 3;

/// Things that a click on a node sets, in the order in which they are offered.
const CLICKS: [&str; 2] = ["the start", "the goal"];

/// All walkers.
pub(super) struct Paths {
    gpu: Gpu,
    trained: Trained,
    /// The trained weights, and those with which all walk.
    original: BufferView,
    weights: BufferView,
    decoder: PathDecoder,
    attention: Attention,
    /// The graph with the goal of the moment, and the nodes that can be goals.
    world: DirectedGraph,
    goals: Vec<usize>,
    /// Where the goal is not that of the file.
    learning: Option<Learning>,
    /// Submissions with training steps.
    turn: usize,
    seed: u32,
    click: usize,
    /// The fewest steps from each node.
    distances: Vec<Option<usize>>,
    /// The length asked for; 0 leaves it to the transformer.
    asked: usize,
    /// The node whose walker is looked at.
    start: usize,
    /// True before the first step.
    fresh: bool,
    /// Steps of the walkers, those at rest included.
    answer: Answer<usize>,
    look: Answer<()>,
    step: usize,
    seen_step: usize,
    paths: Vec<GeneratedPath>,
    /// (blocks, tokens of the context), and the steps of the context that are no padding.
    shares: Vec<f32>,
    known: usize,
    version: u64,
    /// The last paths that all were finished.
    finished: Option<Finished>,
}

/// Outcomes of the paths from all nodes with a way to the goal.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Finished {
    shortest: f64,
    arrived: f64,
}

impl Paths {
    pub(super) fn open(gpu: &Gpu, seed: u32) -> Result<Self, Error> {
        Self::new(gpu, Trained::read(weights::SHORTEST_PATHS.name, weights::SHORTEST_PATHS.bytes()?)?, seed, 0)
    }

    fn new(gpu: &Gpu, trained: Trained, seed: u32, asked: usize) -> Result<Self, Error> {
        let [original, weights] = [gpu.upload("weights", &trained.weights)?, gpu.upload("weights", &trained.weights)?];
        let world = trained.graph.clone();
        let has_a_way = |&goal: &usize| world.with_goal(goal).distances().iter().any(|&steps| steps > Some(0));
        let mut paths = Self {
            decoder: PathDecoder::new(gpu, &trained.model, &world, trained.prior, weights.clone())?,
            attention: Attention::new(gpu, &trained.model, weights.clone())?,
            goals: (0..world.nodes()).filter(has_a_way).collect(),
            distances: world.distances(),
            gpu: gpu.clone(),
            trained,
            original,
            weights,
            world,
            learning: None,
            turn: 0,
            seed,
            click: 0,
            start: 0,
            asked,
            fresh: true,
            answer: Answer::none(),
            look: Answer::none(),
            step: 0,
            seen_step: 0,
            paths: Vec::new(),
            shares: Vec::new(),
            known: 0,
            version: 0,
            finished: None,
        };
        paths.start = paths.starts()[0];
        Ok(paths)
    }

    /// All walk to this goal, from the trained weights on: the way to another than the file's is learnt.
    fn aim(&mut self, goal: usize) -> Result<(), Error> {
        let world = self.trained.graph.with_goal(goal);
        let is_known = goal == self.trained.graph.goal();
        let learn = || Learning::new(&self.gpu, &self.trained, &world, self.weights.clone(), self.seed);
        self.learning = if is_known { None } else { Some(learn()?) };
        let (from, to) = (&self.original, &self.weights);
        self.gpu.submit("trained weights", |encoder| {
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, to.size);
            Ok(())
        })?;
        self.decoder.aim(&world)?;
        self.distances = world.distances();
        self.world = world;
        self.turn = 0;
        self.finished = None;
        let start = Some(self.start).filter(|&start| self.distances[start] > Some(0));
        self.begin(start.unwrap_or_else(|| self.starts()[0]));
        Ok(())
    }

    /// True while training steps are left.
    fn learns(&self) -> bool {
        self.learning.as_ref().is_some_and(|learning| !learning.is_done())
    }

    /// The nodes with a way to the goal, the farthest first.
    fn starts(&self) -> Vec<usize> {
        let mut starts: Vec<usize> = (0..self.distances.len()).filter(|&node| self.distances[node] > Some(0)).collect();
        starts.sort_by_key(|&node| std::cmp::Reverse(self.distances[node]));
        starts
    }

    fn next_start(&self) -> usize {
        let starts = self.starts();
        let place = starts.iter().position(|&node| node == self.start);
        starts[place.map_or(0, |place| (place + 1) % starts.len())]
    }

    /// All walkers go back to their nodes.
    fn begin(&mut self, start: usize) {
        self.start = start;
        self.answer.forget();
        self.look.forget();
        self.paths.clear();
        self.shares.clear();
        (self.step, self.seen_step, self.known) = (0, 0, 0);
        self.fresh = true;
    }

    /// The path that is looked at; none before the first answer.
    fn path(&self) -> Option<&GeneratedPath> {
        self.paths.get(self.start)
    }

    /// Steps of a path that reached the goal.
    fn length(&self, path: &GeneratedPath) -> Option<usize> {
        (path.nodes.last() == Some(&self.world.goal())).then(|| path.nodes.len() - 1)
    }

    /// The mean length that the transformer predicts for walks that arrive, and the chance that one never does.
    fn predicted(&self, chances: &[f32]) -> [f64; 2] {
        let lengths = &chances[..=self.trained.prior.steps];
        let arrives: f64 = lengths.iter().map(|&chance| f64::from(chance)).sum();
        let mean = lengths.iter().enumerate().map(|(length, &chance)| length as f64 * f64::from(chance)).sum::<f64>();
        [mean / arrives.max(1e-12), 1.0 - arrives]
    }

    fn take(&mut self, paths: Vec<GeneratedPath>, step: usize) -> Result<(), Error> {
        self.paths = paths;
        self.version += 1;
        if step >= self.trained.prior.steps {
            let starts = self.starts();
            let share = |counts: &dyn Fn(usize, Option<usize>) -> bool| {
                let solved = starts.iter().filter(|&&node| counts(node, self.length(&self.paths[node])));
                solved.count() as f64 / starts.len().max(1) as f64
            };
            let finished = Finished {
                shortest: share(&|node, length| length == self.distances[node]),
                arrived: share(&|_, length| length.is_some()),
            };
            // Once for each time that all walk: they rest at this step.
            if let Some(learning) = self.learning.as_mut().filter(|_| self.seen_step < self.trained.prior.steps) {
                learning.judge(finished.shortest);
            }
            self.finished = Some(finished);
        }
        self.seen_step = step;
        let Some(path) = self.path() else { return Ok(()) };
        let taken = path.actions.len();
        if taken == 0 || taken < step {
            // Nothing was chosen in this step.
            return Ok(());
        }
        let nodes = self.world.nodes();
        let token = |step: usize| Token {
            asked: path.lengths[step] as f32,
            observation: (0..nodes).map(|node| f32::from(u8::from(node == path.nodes[step]))).collect(),
            action: path.actions[step] as f32,
        };
        let context = self.trained.model.context();
        let tokens: Vec<Token> = (taken.saturating_sub(context)..taken).map(token).collect();
        self.known = tokens.len();
        self.attention.submit(&tokens)?;
        let views = [self.attention.view()?];
        let ticket = self.gpu.submit("attention", |encoder| self.gpu.encode_readback(encoder, &views))?;
        self.look.expect(ticket, ());
        Ok(())
    }
}

impl Scene for Paths {
    fn controls(&self) -> Vec<Control> {
        let help = "The steps to the goal asked for at the start, then one less with each; 0 lets the transformer choose a likely \
                    short path.";
        let (asked, most) = (self.asked as f64, self.trained.prior.steps as f64);
        let goal = Control {
            name: "goal",
            label: "Goal".into(),
            key: Some('g'),
            help: "Walk to another node. The network learns the way from random walks that arrive there; the goal that it was \
                   trained for brings its weights back.",
            kind: Kind::Choice {
                value: self.goals.iter().position(|&goal| goal == self.world.goal()).unwrap_or(0),
                options: self.goals.iter().map(|goal| format!("node {goal}").into()).collect(),
            },
        };
        vec![
            goal,
            Control::choice("click", "A click sets", 'm', "What a click on a node sets.", self.click, &CLICKS),
            Control::slider("asked", "Steps asked", help, asked, [0.0, most], 1.0).with_key('a'),
            Control::button("next", "Next start", 'n', "Begin at the next node."),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        match (name, value) {
            ("asked", Value::Number(asked)) => {
                self.asked = asked.round() as usize;
                self.finished = None;
                self.begin(self.start);
            }
            ("next", _) => self.begin(self.next_start()),
            ("goal", Value::Index(index)) => self.aim(self.goals[index.min(self.goals.len() - 1)])?,
            ("click", Value::Index(click)) => self.click = click,
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let node = picture::places(self, view).node(self, at).filter(|&node| node != self.world.goal());
        let Some(node) = node.filter(|_| pointer == Pointer::Press) else { return Ok(false) };
        match self.click {
            0 => self.begin(node),
            _ if self.goals.contains(&node) => self.aim(node)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The goal and the weights are those of the file again. Only the walks of a training are left to chance.
    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.seed = seed;
        self.aim(self.trained.graph.goal())?;
        self.begin(self.starts()[0]);
        Ok(())
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let learnt = self.learning.as_mut().map_or(Ok(true), Learning::poll)?;
        if let Some((values, step)) = self.answer.take()? {
            let paths = self.decoder.paths(&values, step);
            self.take(paths, step)?;
        }
        if let Some((values, ())) = self.look.take()? {
            self.shares = values[0].f32().to_vec();
            self.version += 1;
        }
        Ok(learnt && !self.answer.is_waiting() && !self.look.is_waiting())
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        let learns = self.learns();
        if let Some(learning) = self.learning.as_mut().filter(|_| learns && steps > 0) {
            learning.submit(steps)?;
            self.turn += 1;
            if !self.turn.is_multiple_of(TURNS) {
                return Ok(());
            }
        }
        // Each step is looked at.
        let steps = steps.min(1);
        if self.step + steps > self.trained.prior.steps + REST {
            self.begin(self.next_start());
        }
        if std::mem::take(&mut self.fresh) {
            let least = if self.learning.is_some() { learning::LEAST } else { 0.0 };
            self.decoder.begin(least, self.asked)?;
        }
        self.step += steps;
        let moves = if self.step <= self.trained.prior.steps { steps } else { 0 };
        let ticket = self.decoder.submit(moves)?;
        self.answer.expect(ticket, self.step);
        Ok(())
    }

    /// Walkers are slow enough to be followed; a training takes what a frame has time for, up to two steps.
    fn steps(&self) -> f64 {
        if self.learns() { 2.0 } else { 0.1 }
    }

    fn readings(&self) -> Vec<Reading> {
        let steps = self.path().map_or(0, |path| path.actions.len());
        let fewest = self.distances[self.start].unwrap_or(0);
        let mut readings =
            vec![Reading::new("steps from the start", steps as f64, 0), Reading::new("fewest", fewest as f64, 0)];
        if let Some(Finished { shortest, arrived }) = self.finished {
            readings.push(Reading::new("shortest paths", shortest, 2));
            readings.push(Reading::new("arrived", arrived, 2));
        }
        if let Some(learning) = &self.learning {
            readings.push(Reading::new("training steps", learning.steps() as f64, 0));
            readings.extend(learning.loss().map(|loss| Reading::new("loss", loss, 3)));
        }
        readings
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let trained = Trained::read(name, bytes)?;
        *self = Self::new(&self.gpu, trained, self.seed, self.asked)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
