//! A network's weights as one row, so that one pass of an optimiser serves all of its tensors.

use crate::evolution::StepContext;
use crate::graph::{Tensor, gradients};
use crate::models::hyperparameters::{ImageTask, TRAINING_ROWS, bounded};

/// Losses are cut off at three times that of guessing among ten classes: a member that diverges counts as bad and not as
/// all that an estimate sees.
pub(super) const CEILING: f32 = 3.0 * std::f32::consts::LN_10;

/// Elements of each tensor of the network.
pub(super) fn sizes(task: &ImageTask) -> Vec<usize> {
    task.tensors().iter().map(|shape| shape.iter().product()).collect()
}

/// The weights at the start of an episode, `(W)`.
pub(super) fn initial<'g>(task: &ImageTask, inner: &StepContext<'g>) -> Tensor<'g> {
    let sizes = sizes(task);
    // Only the first half are weights, the others velocities.
    let drawn = task.reset(inner).into_iter().zip(&sizes);
    let rows: Vec<_> = drawn.map(|(tensor, &size)| tensor.reshape([size])).collect();
    inner.graph.concatenate(&rows, 0)
}

/// On a minibatch of training images, the loss of each member `(N)` and its gradient in the weights `(N, W)`.
///
/// The loss is that before the step which follows from the gradient: the minibatch is new to the weights, so what is
/// judged is how they do on images that the step did not see. It is cut off at [`CEILING`]; the gradient is that of the
/// loss as it is.
pub(super) fn descent<'g>(task: &ImageTask, inner: &StepContext<'g>, weights: Tensor<'g>) -> [Tensor<'g>; 2] {
    let mut offset = 0;
    let tensors: Vec<_> = task
        .tensors()
        .iter()
        .map(|shape| {
            let length: usize = shape.iter().product();
            let axes: Vec<_> = [inner.population].iter().chain(shape).copied().collect();
            let tensor = weights.narrow(1, offset, length).reshape(&axes[..]);
            offset += length;
            tensor
        })
        .collect();
    let batch = task.minibatch(inner, inner.step_seed, TRAINING_ROWS, 0);
    let loss = task.cross_entropy(task.logits(batch.images, &tensors, &[]), batch.labels);
    let slopes = gradients(loss.sum_all(), &tensors);
    let rows: Vec<_> =
        slopes.iter().map(|slope| slope.reshape([inner.population, slope.elements() / inner.population])).collect();
    // A NaN is not below the ceiling either.
    let ceiling = inner.graph.constant(CEILING);
    let judged = loss.compare(fourfold_shaders::elementwise::Compare::Lt, ceiling).select(loss, ceiling);
    [judged, bounded(inner.graph.concatenate(&rows, 1))]
}
