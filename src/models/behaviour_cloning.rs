//! Behaviour cloning by a multi-layer perceptron, the baseline of Decision Transformer (table 10).

use std::fmt;

use fourfold_shaders::Element;

use super::{SequenceModel, Window};
use crate::data::Actions;
use crate::graph::Tensor;
use crate::nn::{Dropout, Linear, Noise, Parameters, Weights};

/// The sizes of a behaviour cloning network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Numbers in an observation.
    pub observations: usize,
    /// The kind of action.
    pub actions: Actions,
    /// Observations that are seen at once, K.
    pub context: usize,
    /// The width of hidden layers.
    pub width: usize,
    /// Hidden layers.
    pub layers: usize,
    /// The share of hidden elements dropped in training.
    pub dropout: f32,
    /// Continuous actions go through a hyperbolic tangent.
    pub bounded: bool,
}

impl Settings {
    /// The paper's: 3 hidden layers of width 256, dropout 0.1, actions within -1 and 1. Its code has a context of 20.
    pub fn new(observations: usize, actions: Actions, context: usize) -> Self {
        Self { observations, actions, context, width: 256, layers: 3, dropout: 0.1, bounded: true }
    }
}

/// Sizes that describe no network.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SettingsError {
    /// The setting that is wrong.
    pub setting: &'static str,
    /// The range that it must lie in.
    pub expected: &'static str,
    /// The value given.
    pub got: f32,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, expected, got } = self;
        write!(formatter, "behaviour cloning: expected {setting} of {expected}, got {got}")
    }
}

impl std::error::Error for SettingsError {}

/// A perceptron from the last K observations, concatenated with zeros where there are fewer, to the action of the last
/// step. It sees neither returns nor earlier actions.
///
/// [Percentile behaviour cloning](crate::data::Trajectories::best) is the same network on the best episodes.
#[derive(Debug, Clone)]
pub struct BehaviourCloning {
    settings: Settings,
    parameters: Parameters,
    hidden: Vec<Linear>,
    head: Linear,
}

impl BehaviourCloning {
    /// Declares the layers `fc1`, `fc2`, … and `head`, with PyTorch's default initialisation.
    ///
    /// # Errors
    /// A size of 0, or an invalid dropout rate.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { observations, actions, context, width, layers, dropout, .. } = settings;
        let sizes = [
            ("observations", observations),
            ("action outputs", actions.outputs()),
            ("a context", context),
            ("a width", width),
            ("layers", layers),
        ];
        if let Some((setting, got)) = sizes.into_iter().find(|(_, size)| !(1..1 << 31).contains(size)) {
            return Err(SettingsError { setting, expected: "1 to 2^31 - 1", got: got as f32 });
        }
        if layers > 1_024 {
            return Err(SettingsError { setting: "layers", expected: "at most 1024", got: layers as f32 });
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(SettingsError { setting: "a dropout rate", expected: "0 to less than 1", got: dropout });
        }
        let mut parameters = Parameters::new();
        let mut inputs = context * observations;
        let mut hidden = Vec::new();
        for layer in 1..=layers {
            hidden.push(Linear::new(&mut parameters, &format!("fc{layer}"), inputs, width));
            inputs = width;
        }
        let head = Linear::new(&mut parameters, "head", width, actions.outputs());
        Ok(Self { settings, parameters, hidden, head })
    }

    /// Returns the sizes.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The last step's action or its logits, (B, [`Actions::outputs`]).
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let [batch, context] = window.mask.shape()[..] else {
            let message = format!("takes a mask (batch, context), got {:?}", window.mask);
            return window.mask.graph().fail("behaviour_cloning", message);
        };
        let seen = window.observations * window.mask.reshape([batch, context, 1]);
        let mut x = seen.reshape([batch, context * self.settings.observations]);
        for (layer, stream) in self.hidden.iter().zip(0..) {
            x = layer.forward(weights, x).relu();
            x = Dropout { rate: self.settings.dropout, stream }.forward(x, noise);
        }
        let actions = self.head.forward(weights, x);
        match self.settings.actions {
            Actions::Continuous(_) if self.settings.bounded => actions.tanh(),
            _ => actions,
        }
    }
}

impl SequenceModel for BehaviourCloning {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn observations(&self) -> usize {
        self.settings.observations
    }

    fn actions(&self) -> Actions {
        self.settings.actions
    }

    fn context(&self) -> usize {
        self.settings.context
    }

    /// Mean squared error, or cross-entropy, of the action of each window's last step, which is never padding.
    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let predicted = self.forward(weights, window, noise);
        let [batch, context, width] = window.actions.shape()[..] else { return predicted };
        let actions = window.actions.narrow(1, context - 1, 1).reshape([batch, width]);
        match self.settings.actions {
            Actions::Continuous(_) => predicted.mean_squared_error(actions),
            Actions::Discrete(_) => {
                predicted.cross_entropy(actions.reshape([batch]).cast(Element::U32), 0.0).mean_all()
            }
        }
    }

    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        self.forward(weights, window, Noise::NONE)
    }
}
