//! The context of one episode, and what a network makes of it: the attention of its last choice.

use fourfold::graph::{Graph, Plan, Session, TensorType};
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::{SequenceModel, Window};
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu};

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

/// The inputs of a window of one episode.
pub(super) fn window<'g>(graph: &'g Graph, model: &dyn SequenceModel) -> Window<'g> {
    let context = model.context();
    let input = |name: &str, shape: &[usize]| graph.input(name, TensorType::f32(shape));
    Window {
        returns: input("returns", &[1, context]),
        observations: input("observations", &[1, context, model.observations()]),
        actions: input("actions", &[1, context, 1]),
        times: graph.input("times", TensorType::u32([1, context])),
        mask: input("mask", &[1, context]),
    }
}

/// Fills the inputs of [`window`] with the last steps of an episode.
pub(super) fn write(session: &mut Session, model: &dyn SequenceModel, tokens: &[Token]) -> Result<(), Error> {
    let (context, width) = (model.context(), model.observations());
    let tokens = &tokens[tokens.len().saturating_sub(context)..];
    let padding = context - tokens.len();
    let row =
        |numbers: &mut dyn Iterator<Item = f32>| Data::F32(std::iter::repeat_n(0.0, padding).chain(numbers).collect());
    let observations = tokens.iter().flat_map(|token| token.observation.iter().copied());
    let observations = std::iter::repeat_n(0.0, padding * width).chain(observations).collect();
    session.write("returns", &row(&mut tokens.iter().map(|token| token.asked)))?;
    // The last action was not known when it was chosen, and no output of its step depends on it.
    session.write("actions", &row(&mut tokens.iter().map(|token| token.action)))?;
    session.write("mask", &row(&mut tokens.iter().map(|_| 1.0)))?;
    session.write("observations", &Data::F32(observations))?;
    let times = std::iter::repeat_n(0, padding).chain(0..tokens.len() as u32).collect();
    Ok(session.write("times", &Data::U32(times))?)
}

/// The attention weights of the token that chooses the action, in each block, as means over the heads.
#[derive(Debug)]
pub(super) struct Attention {
    model: DecisionTransformer,
    session: Session,
}

impl Attention {
    /// The weights in `weights` may change between choices.
    pub(super) fn new(gpu: &Gpu, model: &DecisionTransformer, weights: BufferView) -> Result<Self, Error> {
        let graph = Graph::new();
        let window = window(&graph, model);
        let flat = model.parameters().state(&graph, "weights");
        let tokens = model.settings().tokens.of_a_step() * model.context();
        // The last token is the action; the one before it predicts it.
        let blocks = model.attention_weights(&model.parameters().of(flat), &window).into_iter();
        let rows: Vec<_> = blocks.map(|block| block.narrow(2, tokens - 2, 1).mean(1).reshape([1, tokens])).collect();
        graph.output("attention", graph.concatenate(&rows, 0));
        let session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?).on_buffer("weights", weights).build()?;
        Ok(Self { model: model.clone(), session })
    }

    /// Submits the attention over a context.
    pub(super) fn submit(&mut self, tokens: &[Token]) -> Result<(), Error> {
        write(&mut self.session, &self.model, tokens)?;
        Ok(self.session.submit(1)?)
    }

    /// Steps of a context.
    pub(super) fn context(&self) -> usize {
        self.model.context()
    }

    /// (blocks, tokens of the context)
    pub(super) fn view(&self) -> Result<(BufferView, Element), Error> {
        Ok((self.session.buffer("attention")?, Element::F32))
    }
}
