//! The function between two layers.

use crate::graph::Tensor;

/// The activation function of a hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// GELU by the error function, as in BERT and vision transformers.
    GeluErf,
    /// GELU by a hyperbolic tangent, as in GPT-2.
    GeluTanh,
}

impl Activation {
    /// Applies it to each element.
    #[track_caller]
    pub fn forward(self, x: Tensor<'_>) -> Tensor<'_> {
        match self {
            Activation::Relu => x.relu(),
            Activation::GeluErf => x.gelu_erf(),
            Activation::GeluTanh => x.gelu_tanh(),
        }
    }
}
