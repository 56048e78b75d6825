//! The batch norm layer, and the running statistics of its channels.

use std::cell::RefCell;

use super::{Initialise, Noise, ParameterId, Parameters, Weights};
use crate::graph::Tensor;

/// The purpose of a pass through a network: what dropout draws and what batch norm normalises by.
#[derive(Debug, Clone, Copy)]
pub struct Mode<'a, 'g> {
    /// The random numbers of dropout.
    pub noise: Noise<'g>,
    /// The statistics of batch norm.
    pub statistics: Statistics<'a, 'g>,
}

/// The statistics that batch norm normalises by.
#[derive(Debug, Clone, Copy)]
pub enum Statistics<'a, 'g> {
    /// Those of the batch, which are forgotten: the passes of sharpness-aware minimisation at moved weights.
    Batch,
    /// Those of the batch, which are kept for the running ones.
    Kept(&'a SeenStatistics<'g>),
    /// Those of the batches of several graphs.
    Synchronised(Synchronised<'a, 'g>),
    /// The running ones, a flat tensor: evaluation.
    Running(Tensor<'g>),
}

/// Batch norm by the statistics of several graphs that run side by side, each with as many rows: synchronised batch norm.
#[derive(Debug, Clone, Copy)]
pub struct Synchronised<'a, 'g> {
    /// Returns the mean over all graphs of the tensors that they give at this place. Its gradient is the mean over all graphs of
    /// the gradients: the loss is then the sum of the losses of all graphs.
    pub mean: fn(Tensor<'g>) -> Tensor<'g>,
    /// The number of graphs.
    pub graphs: usize,
    /// Keeps the statistics for the running ones.
    pub kept: Option<&'a SeenStatistics<'g>>,
}

impl<'g> From<Noise<'g>> for Mode<'_, 'g> {
    /// A pass whose batch statistics are forgotten.
    fn from(noise: Noise<'g>) -> Self {
        Self { noise, statistics: Statistics::Batch }
    }
}

impl<'g> Mode<'_, 'g> {
    /// Evaluation: no dropout, and the running statistics.
    pub fn evaluation(running: Tensor<'g>) -> Self {
        Self { noise: Noise::NONE, statistics: Statistics::Running(running) }
    }
}

/// The statistics of the batches that went through a network.
#[derive(Debug, Default)]
pub struct SeenStatistics<'g> {
    /// A mean or an unbiased variance, and whose it is.
    seen: RefCell<Vec<(ParameterId, Tensor<'g>)>>,
}

impl<'g> SeenStatistics<'g> {
    /// Starts with none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the running statistics, the state `running`, towards those that each of `passes` saw, one after the other:
    /// `running <- (1 - momentum) running + momentum seen`. Those of several chunks of a batch are averaged.
    #[track_caller]
    pub fn update(passes: &[&Self], statistics: &Parameters, running: Tensor<'g>, momentum: f32) {
        let mut moved = running;
        for seen in passes.iter().filter_map(|pass| pass.flat(statistics, running)) {
            moved = moved * (1.0 - momentum) + seen * momentum;
        }
        if moved.value() != running.value() {
            running.graph().assign(running, moved);
        }
    }

    /// The statistics as one flat tensor, `None` where none were seen.
    #[track_caller]
    fn flat(&self, statistics: &Parameters, running: Tensor<'g>) -> Option<Tensor<'g>> {
        let seen = self.seen.borrow();
        let mut ids: Vec<ParameterId> = Vec::new();
        for (id, _) in seen.iter() {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        let parts: Vec<_> = ids
            .iter()
            .filter_map(|id| {
                let of_chunks: Vec<_> = seen.iter().filter(|(own, _)| own == id).map(|(_, tensor)| *tensor).collect();
                let count = of_chunks.len() as f32;
                let sum = of_chunks.into_iter().reduce(|a, b| a + b)?;
                Some((statistics.offset(*id), sum * (1.0 / count)))
            })
            .collect();
        (!parts.is_empty()).then(|| running.graph().pack(&parts, statistics.length()))
    }
}

/// Batch norm of each channel, the last axis (Ioffe & Szegedy 2015), as PyTorch's `BatchNorm2d`.
///
/// The running statistics are parameters of a kind of their own: in another flat tensor than the weights, which no optimiser,
/// decay, clipping or ascent touches.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm2d {
    scale: ParameterId,
    shift: ParameterId,
    mean: ParameterId,
    variance: ParameterId,
}

impl BatchNorm2d {
    /// Added to the variance, as in PyTorch.
    pub const EPSILON: f32 = 1e-5;
    /// The share of a batch in the running statistics, as in PyTorch.
    pub const MOMENTUM: f32 = 0.1;

    /// Declares `name.weight` (ones) and `name.bias` (zeros) among the parameters, and `name.running_mean` (zeros) and
    /// `name.running_var` (ones) among the statistics.
    pub fn new(parameters: &mut Parameters, statistics: &mut Parameters, name: &str, channels: usize) -> Self {
        Self {
            scale: parameters.add(format!("{name}.weight"), [channels], Initialise::Constant(1.0)),
            shift: parameters.add(format!("{name}.bias"), [channels], Initialise::Constant(0.0)),
            mean: statistics.add(format!("{name}.running_mean"), [channels], Initialise::Constant(0.0)),
            variance: statistics.add(format!("{name}.running_var"), [channels], Initialise::Constant(1.0)),
        }
    }

    /// `x: (.., channels)`, by the statistics that `mode` names.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        statistics: &Parameters,
        x: Tensor<'g>,
        mode: Mode<'_, 'g>,
    ) -> Tensor<'g> {
        self.normalise(weights, statistics, x, mode, false)
    }

    /// [`forward`](Self::forward), then ReLU, in one pass over the images.
    #[track_caller]
    pub fn forward_relu<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        statistics: &Parameters,
        x: Tensor<'g>,
        mode: Mode<'_, 'g>,
    ) -> Tensor<'g> {
        self.normalise(weights, statistics, x, mode, true)
    }

    #[track_caller]
    fn normalise<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        statistics: &Parameters,
        x: Tensor<'g>,
        mode: Mode<'_, 'g>,
        rectified: bool,
    ) -> Tensor<'g> {
        let (scale, shift) = (weights.get(self.scale), weights.get(self.shift));
        if let Statistics::Running(running) = mode.statistics {
            let running = statistics.of(running);
            let variance = running.get(self.variance) + Self::EPSILON;
            let factor = scale * variance.unary(fourfold_shaders::elementwise::Unary::Rsqrt);
            let y = x * factor + (shift - running.get(self.mean) * factor);
            return if rectified { y.relu() } else { y };
        }
        if let Statistics::Synchronised(Synchronised { mean, graphs, kept }) = mode.statistics {
            let (channels, shape) = (scale.elements(), x.shape());
            let rows = x.elements() / channels.max(1);
            let matrix = x.reshape([rows, channels]);
            let centre = mean(matrix.mean(0));
            let centred = matrix - centre;
            let variance = mean(centred.square().mean(0));
            let factor = scale * (variance + Self::EPSILON).unary(fourfold_shaders::elementwise::Unary::Rsqrt);
            let y = (centred * factor + shift).reshape(shape);
            if let Some(seen) = kept {
                self.keep(seen, [centre, variance], rows * graphs);
            }
            return if rectified { y.relu() } else { y };
        }
        let norm = match rectified {
            true => x.batch_norm_relu(scale, shift, Self::EPSILON),
            false => x.batch_norm(scale, shift, Self::EPSILON),
        };
        if let Statistics::Kept(seen) = mode.statistics {
            self.keep(seen, [norm.mean, norm.variance], x.elements() / scale.elements().max(1));
        }
        norm.y
    }

    /// Keeps the mean and the biased variance of so many rows.
    fn keep<'g>(&self, seen: &SeenStatistics<'g>, [mean, variance]: [Tensor<'g>; 2], rows: usize) {
        if variance.is_poisoned() {
            return;
        }
        // The running variance is the unbiased one, as in PyTorch.
        let rows = rows as f32;
        let mut seen = seen.seen.borrow_mut();
        seen.push((self.mean, mean.stop_gradient()));
        seen.push((self.variance, variance.stop_gradient() * (rows / (rows - 1.0))));
    }
}
