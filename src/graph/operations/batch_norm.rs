//! Batch norm over all axes but the last.

use fourfold_shaders::elementwise::Unary;
use fourfold_shaders::normalisation::{batch_norm, batch_norm_backward};
use fourfold_shaders::{Sequence, Target};

use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::rules::algebra::negative;
use crate::graph::{Graph, Tensor, TensorType};

/// (x `(rows, columns)`, scale `(columns)`, shift `(columns)`) to (y, mean less the column's first element `(columns)`,
/// reciprocal deviation `(columns)`, biased variance `(columns)`).
#[derive(Debug)]
struct BatchNorm {
    epsilon: f32,
    /// ReLU is applied to y.
    rectified: bool,
}

/// (x, scale, shift, mean less first element, reciprocal deviation, dy) to (dx, dscale, dshift).
#[derive(Debug)]
struct BatchNormGradient {
    rectified: bool,
}

/// The type of a column of each, if it is an f32 matrix.
fn columns(x: Option<&TensorType>) -> Option<TensorType> {
    let x = x.filter(|x| x.is_float() && x.shape.rank() == 2)?;
    Some(TensorType::f32([x.shape[1]]))
}

impl Operation for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match (columns(inputs.first()), inputs) {
            (Some(columns), [x, scale, shift]) if *scale == columns && *shift == columns => {
                Ok(vec![x.clone(), columns.clone(), columns.clone(), columns])
            }
            _ => Err("takes F32 x (rows, columns), scale (columns) and shift (columns)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        let Self { epsilon, rectified } = *self;
        Ok(batch_norm::Problem { rows, columns, epsilon, rectified }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[x, scale, shift] = inputs else { return None };
        let offset = from_first(x).mean(0);
        let centred = from_first(x) - offset;
        let variance = centred.square().mean(0);
        let reciprocal = (variance + self.epsilon).unary(Unary::Rsqrt);
        let y = centred * reciprocal * scale + shift;
        Some(vec![if self.rectified { y.relu() } else { y }, offset, reciprocal, variance])
    }

    /// The fused gradients of `y`, and what the statistics add where they have gradients: they have them in second
    /// derivatives, whose first derivatives read them.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let [x, scale, shift] = [node.inputs[0], node.inputs[1], node.inputs[2]];
        let (offset, reciprocal) = (node.outputs[1], node.outputs[2]);
        let shape = x.shape();
        let rows = shape[0] as f32;
        let mut terms = Vec::new();
        if let Some(dy) = node.gradients[0] {
            let gradient = BatchNormGradient { rectified: self.rectified };
            let dx = node.graph.fused(gradient, &[x, scale, shift, offset, reciprocal, dy]);
            terms.extend([(0, dx), (1, dx.sibling(1)), (2, dx.sibling(2))]);
        }
        if let Some(doffset) = node.gradients[1] {
            // The mean less the first element.
            terms.push((0, (doffset / rows).broadcast_to(&shape)));
            terms.push((0, negative(doffset).reshape([1, shape[1]]).pad(&[0, 0], &shape)));
        }
        // v = mean of (x - mean)^2 and r = (v + epsilon)^(-1/2): dv/dx = 2 (x - mean) / rows, dr/dx = -r^3 (x - mean) / rows.
        let of_variance = node.gradients[3].map(|dvariance| dvariance * (2.0 / rows));
        let of_reciprocal = node.gradients[2].map(|dreciprocal| {
            let cube = reciprocal.square() * reciprocal;
            dreciprocal * cube.unary(Unary::Neg) / rows
        });
        for row in [of_variance, of_reciprocal].into_iter().flatten() {
            terms.push((0, (from_first(x) - offset) * row));
        }
        Some(terms)
    }
}

impl Operation for BatchNormGradient {
    fn name(&self) -> &'static str {
        "batch_norm_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match (columns(inputs.first()), inputs) {
            (Some(columns), [x, sides @ .., dy])
                if sides.len() == 4 && sides.iter().all(|side| *side == columns) && dy == x =>
            {
                Ok(vec![x.clone(), columns.clone(), columns])
            }
            _ => Err(
                "takes F32 x (rows, columns), scale, shift, mean and reciprocal deviation (columns) and dy (rows, columns)"
                    .into(),
            ),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(batch_norm_backward::Problem { rows, columns, rectified: self.rectified }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[x, scale, shift, offset, reciprocal, dy] = inputs else { return None };
        let rows = x.shape()[0] as f32;
        let normal = (from_first(x) - offset) * reciprocal;
        let dy = if self.rectified { dy * (normal * scale + shift).unary(Unary::Step) } else { dy };
        let (dscale, dshift) = ((dy * normal).sum(0), dy.sum(0));
        let dx = (dy - dshift / rows - normal * (dscale / rows)) * (scale * reciprocal);
        Some(vec![dx, dscale, dshift])
    }
}

/// The differences of each row to the first one.
fn from_first(x: Tensor<'_>) -> Tensor<'_> {
    x - x.narrow(0, 0, 1)
}

/// The outputs of [`Tensor::batch_norm`].
#[derive(Debug, Clone, Copy)]
pub struct BatchNormOutputs<'g> {
    /// The normalised tensor, scaled and shifted.
    pub y: Tensor<'g>,
    /// The mean of each channel.
    pub mean: Tensor<'g>,
    /// The biased variance of each channel.
    pub variance: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// Batch norm of each channel, the last axis, over all other axes, with the statistics of this batch:
    /// `scale * (x - mean) / sqrt(variance + epsilon) + shift`. Needs at least two elements of a channel.
    #[track_caller]
    pub fn batch_norm(self, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> BatchNormOutputs<'g> {
        self.normalised_batch(scale, shift, BatchNorm { epsilon, rectified: false })
    }

    /// [`batch_norm`](Self::batch_norm) with ReLU applied to `y`, in one pass over the images.
    #[track_caller]
    pub fn batch_norm_relu(self, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> BatchNormOutputs<'g> {
        self.normalised_batch(scale, shift, BatchNorm { epsilon, rectified: true })
    }

    #[track_caller]
    fn normalised_batch(self, scale: Tensor<'g>, shift: Tensor<'g>, operation: BatchNorm) -> BatchNormOutputs<'g> {
        let graph = self.graph();
        let everywhere = |tensor: Tensor<'g>| BatchNormOutputs { y: tensor, mean: tensor, variance: tensor };
        if let Some(&poison) = [self, scale, shift].iter().find(|tensor| tensor.is_poisoned()) {
            return everywhere(poison);
        }
        let epsilon = operation.epsilon;
        let rows = self.kind().rows().filter(|(rows, _)| *rows > 1 && epsilon > 0.0);
        let fits = |columns: usize| [scale, shift].iter().all(|side| side.kind() == TensorType::f32([columns]));
        let Some((rows, columns)) = rows.filter(|(_, columns)| fits(*columns)) else {
            let message = format!(
                "takes F32 x (.., channels) of at least two elements a channel, scale (channels), shift (channels) and a positive epsilon, got {self:?}, {scale:?}, {shift:?} and {epsilon}"
            );
            return everywhere(graph.fail("batch_norm", message));
        };
        let matrix = self.reshape([rows, columns]);
        let y = graph.fused(operation, &[matrix, scale, shift]);
        let first = matrix.narrow(0, 0, 1).reshape([columns]);
        BatchNormOutputs { y: y.reshape(self.shape()), mean: first + y.sibling(1), variance: y.sibling(3) }
    }
}
