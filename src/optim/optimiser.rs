//! First-order optimisers over the flat tensor of all parameters.

use crate::graph::{Graph, Tag, Tensor, TensorType};

/// What turns a gradient into a change of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimiser {
    Sgd(Sgd),
    AdamW(AdamW),
}

/// Stochastic gradient descent, with PyTorch's order of operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    pub momentum: f32,
    pub nesterov: bool,
    /// Added to the gradient as `weight_decay * w`.
    pub weight_decay: f32,
}

/// AdamW (Loshchilov & Hutter 2019), with PyTorch's order of operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// Decoupled: weights shrink by `rate * weight_decay`.
    pub weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Optimiser {
    /// Changes `weights` (a state) by one step along `gradient`, both flat; `rate` has shape `[]`, and `step: u32 []`
    /// counts from 0 and is advanced at the end of the step. The optimiser's own states are named after its words:
    /// `velocity`, or `first_moment` and `second_moment`.
    #[track_caller]
    pub fn step<'g>(&self, weights: Tensor<'g>, gradient: Tensor<'g>, rate: Tensor<'g>, step: Tensor<'g>) {
        let graph = weights.graph();
        match *self {
            Optimiser::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                let velocity = moment(graph, "velocity", weights);
                graph.sgd(weights, velocity, gradient, rate, (momentum, nesterov, weight_decay));
                graph.advance(step);
            }
            Optimiser::AdamW(AdamW { beta1, beta2, epsilon, weight_decay }) => {
                let moments = [moment(graph, "first_moment", weights), moment(graph, "second_moment", weights)];
                // The kernel counts steps from 1.
                graph.advance(step);
                graph.adamw(weights, moments, gradient, rate, step, [beta1, beta2, epsilon, weight_decay]);
            }
        }
    }
}

#[track_caller]
fn moment<'g>(graph: &'g Graph, name: &str, weights: Tensor<'g>) -> Tensor<'g> {
    graph.state(name, Tag::OptimiserState, TensorType::f32(weights.shape()))
}
