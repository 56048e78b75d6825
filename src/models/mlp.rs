//! The multi-layer perceptron.

use crate::graph::Tensor;
use crate::nn::{Linear, Parameters, Weights};

/// Affine layers with ReLU between them.
#[derive(Debug, Clone)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// Declares the layers `fc1`, `fc2`, … between consecutive widths, input and output included.
    pub fn new(parameters: &mut Parameters, widths: &[usize]) -> Self {
        let pairs = widths.windows(2).enumerate();
        let layer =
            |(index, pair): (usize, &[usize])| Linear::new(parameters, &format!("fc{}", index + 1), pair[0], pair[1]);
        Self { layers: pairs.map(layer).collect() }
    }

    /// `x: (.., inputs)` to `(.., outputs)`.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, mut x: Tensor<'g>) -> Tensor<'g> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(weights, x);
            if index + 1 < self.layers.len() {
                x = x.relu();
            }
        }
        x
    }
}
