//! The critic: the return that it expects of an episode, at each of its steps so far.

use fourfold::graph::{Graph, Plan, Session};
use fourfold::models::SequenceModel;
use fourfold::rollout::environments::KeyToDoor;
use fourfold::shaders::Element;
use fourfold::{BufferView, Gpu};

use super::super::context::{Token, window, write};
use super::trained::TrainedCritic;
use crate::Error;

/// The chances of the reward in one episode.
#[derive(Debug)]
pub(super) struct Critic {
    trained: TrainedCritic,
    session: Session,
}

impl Critic {
    /// Reads its file; `name` stands for it in errors.
    pub(super) fn new(gpu: &Gpu, name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let trained = TrainedCritic::read(name, bytes)?;
        let critic = &trained.critic;
        let graph = Graph::new();
        let window = window(&graph, critic);
        let flat = critic.parameters().state(&graph, "weights");
        // (1, context, 2): of the returns 0 and 1.
        let chances = critic.chances(&critic.parameters().of(flat), &window);
        graph.output("chances", chances.narrow(2, 1, 1).reshape([critic.context()]));
        let weights = trained.weights.clone();
        let session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?).value("weights", weights).build()?;
        Ok(Self { trained, session })
    }

    /// Returns true for the world in which it was trained.
    pub(super) fn knows(&self, rooms: &KeyToDoor) -> bool {
        self.trained.rooms == *rooms
    }

    /// Submits the predictions for the steps of a context.
    pub(super) fn submit(&mut self, tokens: &[Token]) -> Result<(), Error> {
        write(&mut self.session, &self.trained.critic, tokens)?;
        Ok(self.session.submit(1)?)
    }

    /// (context)
    pub(super) fn view(&self) -> Result<(BufferView, Element), Error> {
        Ok((self.session.buffer("chances")?, Element::F32))
    }
}
