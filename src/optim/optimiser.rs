//! First-order optimisers over the flat tensor of all parameters.

use crate::graph::{Graph, Tag, Tensor, TensorType};

/// A base optimiser: from a gradient to an update of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimiser {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

/// Stochastic gradient descent, with PyTorch's order of operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// The share of the velocity that a step keeps.
    pub momentum: f32,
    /// Steps along the gradient plus momentum times the velocity.
    pub nesterov: bool,
    /// Added to the gradient as `weight_decay * w`.
    pub weight_decay: f32,
}

/// AdamW (Loshchilov & Hutter 2019), with PyTorch's order of operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The decay of the average of the gradient.
    pub beta1: f32,
    /// The decay of the average of the squared gradient.
    pub beta2: f32,
    /// Added to the root of the second moment.
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
