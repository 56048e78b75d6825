//! Influence on a choice: the derivative of its logit by every number of the context, on the device.

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Session, TensorType, gradients};
use fourfold::models::{SequenceModel, Window};
use fourfold::shaders::Data;

use super::trained::Trained;
use crate::Error;

/// One step of the context, as the network has it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The return asked for, over the scale.
    pub(super) asked: f32,
    /// Standardised.
    pub(super) observation: Vec<f32>,
    pub(super) action: f32,
}

/// The context of one lane, and the derivatives by it.
#[derive(Debug)]
pub(super) struct Influence {
    session: Session,
    context: usize,
}

/// Rows of the answer: the return asked, what is seen.
pub(super) const ROWS: usize = 2;

impl Influence {
    pub(super) fn new(gpu: &Gpu, trained: &Trained) -> Result<Self, Error> {
        let model = &trained.model;
        let (context, seen) = (model.context(), model.observations());
        let graph = Graph::new();
        let input = |name: &str, shape: &[usize]| graph.input(name, TensorType::f32(shape));
        let window = Window {
            returns: input("returns", &[1, context]),
            observations: input("observations", &[1, context, seen]),
            actions: input("actions", &[1, context, 1]),
            times: graph.input("times", TensorType::u32([1, context])),
            mask: input("mask", &[1, context]),
        };
        let flat = model.parameters().state(&graph, "weights");
        let logit = model.act(&model.parameters().of(flat), &window).maximum(1).sum_all();
        let slopes = gradients(logit, &[window.returns, window.observations]);
        // First-order shares of the logit: derivative times number.
        let of_returns = (slopes[0] * window.returns).square().sqrt().reshape([context]);
        let of_observations = (slopes[1] * window.observations).square().sum(2).sqrt().reshape([context]);
        graph.output("influence", graph.concatenate(&[of_returns, of_observations], 0));
        let plan = Plan::new(&graph, &gpu.target())?;
        let session = Session::builder(gpu, plan).value("weights", trained.weights.clone()).build()?;
        Ok(Self { session, context })
    }

    /// Submits the derivatives by a context, of the last steps alone where it is longer than the network's.
    pub(super) fn submit(&mut self, tokens: &[Token]) -> Result<(), Error> {
        let tokens = &tokens[tokens.len().saturating_sub(self.context)..];
        let padding = self.context - tokens.len();
        let width = tokens.first().map_or(0, |token| token.observation.len());
        let row = |numbers: &mut dyn Iterator<Item = f32>| {
            Data::F32(std::iter::repeat_n(0.0, padding).chain(numbers).collect())
        };
        // The last action is not known yet when it is chosen.
        let mut actions =
            tokens.iter().enumerate().map(|(place, token)| if place + 1 == tokens.len() { 0.0 } else { token.action });
        let observations = tokens.iter().flat_map(|token| token.observation.iter().copied());
        let observations = std::iter::repeat_n(0.0, padding * width).chain(observations).collect();
        self.session.write("returns", &row(&mut tokens.iter().map(|token| token.asked)))?;
        self.session.write("actions", &row(&mut actions))?;
        self.session.write("mask", &row(&mut tokens.iter().map(|_| 1.0)))?;
        self.session.write("observations", &Data::F32(observations))?;
        let times = std::iter::repeat_n(0, padding).chain(0..tokens.len() as u32).collect();
        self.session.write("times", &Data::U32(times))?;
        Ok(self.session.submit(1)?)
    }

    /// (rows, context)
    pub(super) fn shares(&self) -> Result<fourfold::BufferView, Error> {
        Ok(self.session.buffer("influence")?)
    }

    pub(super) fn context(&self) -> usize {
        self.context
    }
}
