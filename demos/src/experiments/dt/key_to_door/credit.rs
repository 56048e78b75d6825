//! The transformer as a critic: how likely the reward is, at each step, by what has been seen and done so far.

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::data::{Actions, Standardisation, Trajectories};
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Tensor, TensorType, Values};
use fourfold::models::decision_transformer::{DecisionTransformer, Returns, Settings, SettingsError, Tokens};
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::{Noise, Parameters, Weights};
use fourfold::shaders::{Data, Element};

use crate::failure::Failure;

/// A decision transformer that predicts the return of an episode, 0 or 1, at each of its observations (section 5.5 of
/// the paper). The returns of a window are what it learns to say, and not what it sees: their tokens are blank.
#[derive(Debug, Clone)]
pub struct Critic(DecisionTransformer);

impl Critic {
    /// A critic of the sizes of a policy.
    ///
    /// # Errors
    /// Settings that describe no network.
    pub fn new(policy: Settings) -> Result<Self, SettingsError> {
        let tokens = Tokens::ObservationReturnAction;
        let settings = Settings { tokens, returns: Returns::Classes(2), return_loss: 1.0, ..policy };
        Ok(Self(DecisionTransformer::new(settings)?))
    }

    /// The logits (B, K, 2) of the returns 0 and 1.
    fn logits<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let blank = Window { returns: window.returns * 0.0, ..*window };
        let outputs = self.0.forward(weights, &blank, noise);
        outputs.returns.unwrap_or(outputs.actions)
    }
}

impl SequenceModel for Critic {
    fn parameters(&self) -> &Parameters {
        self.0.parameters()
    }

    fn observations(&self) -> usize {
        self.0.observations()
    }

    fn actions(&self) -> Actions {
        self.0.actions()
    }

    fn context(&self) -> usize {
        self.0.context()
    }

    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let classes = window.returns.cast(Element::U32);
        let losses = self.logits(weights, window, noise).cross_entropy(classes, 0.0);
        (losses * window.mask).sum_all() / window.mask.sum_all()
    }

    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        self.0.act(weights, window)
    }
}

/// Episodes whose predictions are computed at once.
const BATCH: usize = 50;

/// The predicted chance of the reward at each step of whole episodes, all as long as the critic's context: one row an episode.
///
/// # Errors
/// No memory, or the loss of the device.
pub fn predictions(
    gpu: &Gpu,
    critic: &Critic,
    weights: BufferView,
    standardisation: &Standardisation,
    trajectories: &Trajectories,
    episodes: &[usize],
) -> Result<Vec<Vec<f64>>, Failure> {
    let (steps, width) = (critic.context(), critic.observations());
    let graph = Graph::new();
    let window = Window {
        returns: graph.input("returns", TensorType::f32([BATCH, steps])),
        observations: graph.input("observations", TensorType::f32([BATCH, steps, width])),
        actions: graph.input("actions", TensorType::f32([BATCH, steps, 1])),
        times: graph.input("times", TensorType::u32([BATCH, steps])),
        mask: graph.input("mask", TensorType::f32([BATCH, steps])),
    };
    let flat = critic.parameters().state(&graph, "weights");
    let logits = critic.logits(&critic.parameters().of(flat), &window, Noise::NONE);
    graph.output("chances", logits.softmax());
    let plan = Plan::new(&graph, &gpu.target())?;
    let values = Values::from([
        ("returns".into(), Data::F32(vec![0.0; BATCH * steps])),
        ("times".into(), Data::U32((0..steps as u32).collect::<Vec<_>>().repeat(BATCH))),
        ("mask".into(), Data::F32(vec![1.0; BATCH * steps])),
    ]);
    let mut session = Session::on_buffers(gpu, plan, &values, &BTreeMap::from([("weights".to_owned(), weights)]))?;
    let mut rows = Vec::with_capacity(episodes.len());
    for chunk in episodes.chunks(BATCH) {
        // The last chunk is filled up with its last episode.
        let batch = (0..BATCH).map(|place| trajectories.range(chunk[place.min(chunk.len() - 1)]));
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        for step in batch.flatten() {
            let moments = standardisation.mean.iter().zip(&standardisation.deviation);
            let numbers = trajectories.observation(step).iter().zip(moments);
            observations.extend(numbers.map(|(number, (mean, deviation))| (number - mean) / deviation));
            actions.extend(trajectories.action(step));
        }
        session.write("observations", &Data::F32(observations))?;
        session.write("actions", &Data::F32(actions))?;
        session.submit(1)?;
        let chances = session.read("chances")?;
        let reward = chances.f32().chunks_exact(2 * steps).take(chunk.len());
        rows.extend(reward.map(|row| row.chunks_exact(2).map(|pair| f64::from(pair[1])).collect::<Vec<_>>()));
    }
    Ok(rows)
}
