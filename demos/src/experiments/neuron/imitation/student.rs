//! A student as a graph from stacks of scenes to outputs: it sees their pictures, or reads their numbers.

use fourfold::graph::{Graph, Tensor, TensorType, Values};
use fourfold::models::{Mlp, ReactiveModel};
use fourfold::nn::Parameters;
use fourfold::shaders::Data;
use fourfold::shaders::vision::ReactiveNetwork;

use super::recordings::STACK;
use crate::failure::Failure;

/// The network of a student.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// It sees the pictures of the scenes, patch by patch in any order.
    Sees(ReactiveNetwork),
    /// It reads the numbers of the scenes: a perceptron with these hidden widths.
    Reads(Vec<usize>),
}

/// A network with its parameters.
#[derive(Debug, Clone)]
pub enum Model {
    Sees(Box<ReactiveModel>),
    Reads { mlp: Mlp, parameters: Parameters },
}

/// Numbers of a scene of Pong are places on a screen of some 256 lines.
const SCENE: f32 = 1.0 / 128.0;

/// The factor of initial keys.
const KEYS: f32 = 4.0;

/// Differences of places within a few frames.
const MOTION: f32 = 1.0 / 8.0;

impl Model {
    /// Declares the parameters of a student that reads scenes of so many numbers.
    ///
    /// # Errors
    /// Sizes out of range.
    pub fn new(network: &Network, scene: usize, answers: usize) -> Result<Self, Failure> {
        Ok(match network {
            Network::Sees(network) => Self::Sees(Box::new(ReactiveModel::new(network.clone()).map_err(Failure::run)?)),
            Network::Reads(hidden) => {
                let mut parameters = Parameters::new();
                let inputs = STACK * scene + (STACK - 1) * scene;
                let widths: Vec<usize> = [inputs].into_iter().chain(hidden.iter().copied()).chain([answers]).collect();
                Self::Reads { mlp: Mlp::new(&mut parameters, &widths), parameters }
            }
        })
    }

    pub fn parameters(&self) -> &Parameters {
        match self {
            Self::Sees(model) => model.parameters(),
            Self::Reads { parameters, .. } => parameters,
        }
    }

    /// PyTorch's initial values, of one that sees with larger keys: changes from frame to frame are small, and all rows of a
    /// message would begin alike.
    pub fn initial(&self, seed: u32) -> Data {
        let mut initial = self.parameters().initial(seed);
        if let (Self::Sees(_), Data::F32(values)) = (self, &mut initial) {
            for key in self.parameters().iter().filter(|parameter| parameter.name == "key.weight") {
                values[key.offset..][..key.shape.elements()].iter_mut().for_each(|weight| *weight *= KEYS);
            }
        }
        initial
    }

    /// Patches whose absence a student can be told of; 0 for one that reads.
    pub fn patches(&self) -> usize {
        match self {
            Self::Sees(model) => model.network().layer.patches(),
            Self::Reads { .. } => 0,
        }
    }

    /// The outputs `(batch, answers)`. `scenes` are `(batch * 4, scene)` numbers or, for one that sees, their pictures
    /// `u32 (batch * 4, words)`; `kept` `(batch, patches)` says which patches there are.
    pub fn outputs<'g>(&self, weights: Tensor<'g>, scenes: Tensor<'g>, kept: Option<Tensor<'g>>) -> Tensor<'g> {
        let (graph, batch) = (scenes.graph(), scenes.shape()[0] / STACK);
        match self {
            Self::Sees(model) => {
                let weights = model.parameters().of(weights);
                let [newest, times] = ["newest", "times"].map(|name| graph.input(name, TensorType::u32([batch])));
                let frames = scenes.frames(newest, times, STACK, 0);
                let positions = model.neuron().positions(graph, "positions");
                let seen = model.neuron().forward(&weights, positions, frames, kept);
                model.outputs(&weights, seen.messages)
            }
            Self::Reads { mlp, parameters } => {
                let width = scenes.shape()[1];
                let places = scenes.reshape([batch, STACK, width]);
                let motion = places.narrow(1, 1, STACK - 1) - places.narrow(1, 0, STACK - 1);
                let flat = |tensor: Tensor<'g>, steps: usize| tensor.reshape([batch, steps * width]);
                let read = [flat(places * SCENE - 1.0, STACK), flat(motion * MOTION, STACK - 1)];
                mlp.forward(&parameters.of(weights), graph.concatenate(&read, 1))
            }
        }
    }

    /// The values of the inputs that [`outputs`](Self::outputs) declares.
    pub fn constants(&self, batch: usize) -> Values {
        let Self::Sees(model) = self else { return Values::new() };
        let newest = (0..batch as u32).map(|index| index * STACK as u32 + STACK as u32 - 1).collect();
        Values::from([
            ("newest".into(), Data::U32(newest)),
            ("times".into(), Data::U32(vec![STACK as u32 - 1; batch])),
            ("positions".into(), model.neuron().position_values()),
        ])
    }
}

/// The input of a graph that holds scenes or their pictures.
pub fn scenes<'g>(graph: &'g Graph, batch: usize, scene: usize, words: Option<usize>) -> Tensor<'g> {
    graph.input(
        "scenes",
        match words {
            Some(words) => TensorType::u32([batch * STACK, words]),
            None => TensorType::f32([batch * STACK, scene]),
        },
    )
}
