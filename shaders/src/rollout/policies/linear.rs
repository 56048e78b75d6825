//! A linear policy: `action = W inputs + bias`.

use crate::description::own_wgsl;
use crate::rollout::unroll::{Interface, Policy};

/// `action[a] = bias[a] + sum over i of W[a, i] inputs[i]`. Weights: W (actions, inputs), bias (actions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear;

impl Policy for Linear {
    own_wgsl!("linear.wgsl");

    fn weights(&self, interface: Interface) -> usize {
        interface.inputs.saturating_add(1).saturating_mul(interface.actions)
    }

    fn act(&self, weights: &[f64], _: &mut [f64], inputs: &[f64], action: &mut [f64]) {
        let (matrix, bias) = weights.split_at(action.len() * inputs.len());
        for ((action, row), bias) in action.iter_mut().zip(matrix.chunks_exact(inputs.len())).zip(bias) {
            *action = bias + row.iter().zip(inputs).map(|(weight, input)| weight * input).sum::<f64>();
        }
    }
}
