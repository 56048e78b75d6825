//! What an attention neuron attends to, as time goes by.

use std::collections::VecDeque;
use std::sync::Arc;

use fourfold::shaders::rollout::policies::AttentionNeuron;

use crate::Picture;
use crate::colour_map::cividis;

/// Moments that the strip shows.
const MOMENTS: usize = 240;

/// The attention to each input of one lane.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    network: AttentionNeuron,
    /// (rows, hidden + 1): the scores as a function of the memory.
    table: Vec<f64>,
    /// The attention to each input at the last moments, the latest at the end.
    moments: VecDeque<Vec<f32>>,
    version: u64,
}

impl Attention {
    pub(super) fn new(network: AttentionNeuron, weights: &[f32]) -> Self {
        let weights: Vec<f64> = weights.iter().map(|&weight| weight.into()).collect();
        Self { network, table: network.score_table(&weights), moments: VecDeque::new(), version: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.moments.clear();
        self.version += 1;
    }

    /// Adds a moment: the memory of a lane, `(inputs, 2, hidden)` and then its last action.
    pub(super) fn push(&mut self, memory: &[f32]) {
        let length = self.network.hidden;
        let attention = |state: &[f32]| {
            let rows = self.table.chunks_exact(length + 1).map(|row| {
                let (slopes, offset) = row.split_at(length);
                let products = slopes.iter().zip(state).map(|(slope, number)| slope * f64::from(*number));
                (offset[0] + products.sum::<f64>()).tanh().abs()
            });
            (rows.sum::<f64>() / self.network.rows as f64) as f32
        };
        let now: Vec<f32> = memory.chunks_exact(2 * length).map(|channel| attention(&channel[..length])).collect();
        if self.moments.back().is_some_and(|before| before.len() != now.len()) {
            self.moments.clear();
        }
        if self.moments.len() == MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(now);
        self.version += 1;
    }

    /// The attention to each input now.
    pub(super) fn now(&self) -> &[f32] {
        self.moments.back().map_or(&[], Vec::as_slice)
    }

    /// A row for each input, a column for each moment, the latest on the right.
    pub(super) fn strip(&self) -> Picture {
        let rows = self.now().len();
        let mut rgba = Vec::with_capacity(4 * rows * MOMENTS);
        for row in 0..rows {
            rgba.resize(rgba.len() + 4 * (MOMENTS - self.moments.len()), 0);
            rgba.extend(self.moments.iter().flat_map(|moment| cividis(moment[row])));
        }
        Picture { size: [MOMENTS, rows], rgba: Arc::from(rgba), version: self.version, smooth: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_from_the_memory_is_that_of_the_twin() {
        let network = AttentionNeuron::cart_pole();
        let weights: Vec<f64> =
            (0..network.parameters()).map(|index| (0.7 * index as f64).sin() as f32).map(f64::from).collect();
        let (mut hidden, mut cell) = (vec![0.0; 5 * network.hidden], vec![0.0; 5 * network.hidden]);
        let mut expected = vec![0.0; network.rows * 5];
        let inputs = [0.3, -0.5, 0.9, 0.1, -1.2];
        let (mut action, expected_at) = ([0.0], &mut expected);
        for previous in [0.0, 0.4] {
            network.act(&weights, &mut hidden, &mut cell, &[previous], &inputs, &mut action, Some(expected_at));
        }
        let states = hidden.chunks_exact(network.hidden).zip(cell.chunks_exact(network.hidden));
        let memory: Vec<f32> = states.flat_map(|(h, c)| h.iter().chain(c)).map(|&number| number as f32).collect();
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let mut attention = Attention::new(network, &weights);
        attention.push(&[&memory[..], &[0.4]].concat());
        assert_eq!(attention.now().len(), 5);
        for (input, got) in attention.now().iter().enumerate() {
            let column = expected.iter().skip(input).step_by(5).map(|weight: &f64| weight.abs());
            let expected = column.sum::<f64>() / network.rows as f64;
            assert!((f64::from(*got) - expected).abs() < 1e-5, "input {input}: {got} against {expected}");
        }
        let strip = attention.strip();
        assert_eq!((strip.size, strip.rgba.len()), ([240, 5], 240 * 5 * 4));
    }
}
