//! A decision transformer on a graph: learnt from random walks, asked for few steps, it finds the way to the goal.
//!
//! Walkers begin at all nodes together, and one of them is looked at closely.

mod picture;
mod trained;

use fourfold::Gpu;
use fourfold::models::SequenceModel;
use fourfold::models::shortest_paths::{GeneratedPath, PathDecoder};

use super::context::{Attention, Token};
use crate::answer::Answer;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View, weights};
use trained::Trained;

pub(super) use trained::ENVIRONMENT;

/// Steps for which finished paths are left to be looked at.
const REST: usize = 3;

/// All walkers.
pub(super) struct Paths {
    gpu: Gpu,
    trained: Trained,
    decoder: PathDecoder,
    attention: Attention,
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
    pub(super) fn open(gpu: &Gpu) -> Result<Self, Error> {
        Self::new(gpu, Trained::read(weights::SHORTEST_PATHS.name, weights::SHORTEST_PATHS.bytes()?)?, 0)
    }

    fn new(gpu: &Gpu, trained: Trained, asked: usize) -> Result<Self, Error> {
        let weights = gpu.upload("weights", &trained.weights)?;
        let distances = trained.graph.distances();
        let mut paths = Self {
            decoder: PathDecoder::new(gpu, &trained.model, &trained.graph, trained.prior, weights)?,
            attention: Attention::new(gpu, &trained.model, trained.weights.clone())?,
            gpu: gpu.clone(),
            trained,
            start: 0,
            distances,
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
        (path.nodes.last() == Some(&self.trained.graph.goal())).then(|| path.nodes.len() - 1)
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
        self.seen_step = step;
        self.version += 1;
        if step >= self.trained.prior.steps {
            let starts = self.starts();
            let share = |counts: &dyn Fn(usize, Option<usize>) -> bool| {
                let solved = starts.iter().filter(|&&node| counts(node, self.length(&self.paths[node])));
                solved.count() as f64 / starts.len().max(1) as f64
            };
            self.finished = Some(Finished {
                shortest: share(&|node, length| length == self.distances[node]),
                arrived: share(&|_, length| length.is_some()),
            });
        }
        let Some(path) = self.path() else { return Ok(()) };
        let taken = path.actions.len();
        if taken == 0 || taken < step {
            // Nothing was chosen in this step.
            return Ok(());
        }
        let nodes = self.trained.graph.nodes();
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
        vec![
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
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let node = picture::places(self, view).node(self, at).filter(|&node| node != self.trained.graph.goal());
        let Some(start) = node.filter(|_| pointer == Pointer::Press) else { return Ok(false) };
        self.begin(start);
        Ok(true)
    }

    /// Nothing here is left to chance: all begins anew, whatever the seed.
    fn reset(&mut self, _: u32) -> Result<(), Error> {
        self.finished = None;
        self.begin(self.starts()[0]);
        Ok(())
    }

    fn poll(&mut self) -> Result<bool, Error> {
        if let Some((values, step)) = self.answer.take()? {
            let paths = self.decoder.paths(&values, step);
            self.take(paths, step)?;
        }
        if let Some((values, ())) = self.look.take()? {
            self.shares = values[0].f32().to_vec();
            self.version += 1;
        }
        Ok(!self.answer.is_waiting() && !self.look.is_waiting())
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        // Each step is looked at.
        let steps = steps.min(1);
        if self.step + steps > self.trained.prior.steps + REST {
            self.begin(self.next_start());
        }
        if std::mem::take(&mut self.fresh) {
            self.decoder.begin(0.0, self.asked)?;
        }
        self.step += steps;
        let moves = if self.step <= self.trained.prior.steps { steps } else { 0 };
        let ticket = self.decoder.submit(moves)?;
        self.answer.expect(ticket, self.step);
        Ok(())
    }

    /// Slow enough to be followed.
    fn steps(&self) -> f64 {
        0.1
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
        readings
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let trained = Trained::read(name, bytes)?;
        *self = Self::new(&self.gpu, trained, self.asked)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
