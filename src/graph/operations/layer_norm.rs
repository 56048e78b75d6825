//! Layer norm along the last axis.

use fourfold_shaders::elementwise::Unary;
use fourfold_shaders::normalisation::{layer_norm, layer_norm_backward, layer_norm_parameters};
use fourfold_shaders::{Sequence, Target};

use super::rows::row_mean;
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::rules::algebra::negative;
use crate::graph::{Graph, Shape, Tensor, TensorType};

/// (x `(rows, columns)`, scale `(columns)`, shift `(columns)`) to (y, mean less the row's first element `(rows)`,
/// reciprocal deviation `(rows)`).
#[derive(Debug)]
struct LayerNorm {
    epsilon: f32,
}

/// (x, scale, mean less first element, reciprocal deviation, dy) to dx.
#[derive(Debug)]
struct LayerNormInputGradient;

/// (x, mean less first element, reciprocal deviation, dy) to (dscale, dshift).
#[derive(Debug)]
struct LayerNormParameterGradient;

/// The types of a matrix's rows and columns: `None` if it is no f32 matrix.
fn sides(x: Option<&TensorType>) -> Option<(TensorType, TensorType)> {
    let x = x.filter(|x| x.is_float() && x.shape.rank() == 2)?;
    Some((TensorType::f32([x.shape[0]]), TensorType::f32([x.shape[1]])))
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match (sides(inputs.first()), inputs) {
            (Some((rows, columns)), [x, scale, shift]) if *scale == columns && *shift == columns => {
                Ok(vec![x.clone(), rows.clone(), rows])
            }
            _ => Err("takes F32 x (rows, columns), scale (columns) and shift (columns)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(layer_norm::Problem { rows, columns, epsilon: self.epsilon }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (x, rows) = (inputs[0], [inputs[0].shape()[0]]);
        let offset = row_mean(from_first(x));
        let centred = from_first(x) - offset;
        let reciprocal = (row_mean(centred.square()) + self.epsilon).unary(Unary::Rsqrt);
        Some(vec![centred * reciprocal * inputs[1] + inputs[2], offset.reshape(rows), reciprocal.reshape(rows)])
    }

    /// The fused gradients of `y`, and what the statistics add where they have gradients: they have them in second
    /// derivatives, whose first derivatives read them.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let (x, scale) = (node.inputs[0], node.inputs[1]);
        let (offset, reciprocal) = (node.outputs[1], node.outputs[2]);
        let shape = x.shape();
        let column = [shape[0], 1];
        let columns = shape[1] as f32;
        let mut terms = Vec::new();
        if let Some(dy) = node.gradients[0] {
            terms.push((0, node.graph.fused(LayerNormInputGradient, &[x, scale, offset, reciprocal, dy])));
            let dscale = node.graph.fused(LayerNormParameterGradient, &[x, offset, reciprocal, dy]);
            terms.extend([(1, dscale), (2, dscale.sibling(1))]);
        }
        if let Some(doffset) = node.gradients[1] {
            // The mean less the first element.
            terms.push((0, (doffset / columns).reshape(column).broadcast_to(&shape)));
            terms.push((0, negative(doffset).reshape(column).pad(&[0, 0], &shape)));
        }
        if let Some(dreciprocal) = node.gradients[2] {
            // r = (variance + epsilon)^(-1/2): dr/dx = -r^3 (x - mean) / columns.
            let cube = reciprocal.square() * reciprocal;
            let row = dreciprocal * cube.unary(Unary::Neg) / columns;
            terms.push((0, (from_first(x) - offset.reshape(column)) * row.reshape(column)));
        }
        Some(terms)
    }
}

impl Operation for LayerNormInputGradient {
    fn name(&self) -> &'static str {
        "layer_norm_input_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match (sides(inputs.first()), inputs) {
            (Some((rows, columns)), [x, scale, mean, reciprocal, dy])
                if *scale == columns && *mean == rows && *reciprocal == rows && dy == x =>
            {
                Ok(vec![x.clone()])
            }
            _ => {
                Err("takes F32 x (rows, columns), scale (columns), mean (rows), reciprocal deviation (rows) and dy"
                    .into())
            }
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(layer_norm_backward::Problem { rows, columns }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[x, scale, offset, reciprocal, dy] = inputs else { return None };
        let (reciprocal, normal) = normalised(x, offset, reciprocal);
        let g = dy * scale;
        Some(vec![(g - row_mean(g) - normal * row_mean(g * normal)) * reciprocal])
    }
}

impl Operation for LayerNormParameterGradient {
    fn name(&self) -> &'static str {
        "layer_norm_parameter_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match (sides(inputs.first()), inputs) {
            (Some((rows, columns)), [x, mean, reciprocal, dy]) if *mean == rows && *reciprocal == rows && dy == x => {
                Ok(vec![columns.clone(), columns])
            }
            _ => Err("takes F32 x (rows, columns), mean (rows), reciprocal deviation (rows) and dy".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, columns) = inputs[0].rows().unwrap_or_default();
        Ok(layer_norm_parameters::Problem { rows, columns }.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[x, offset, reciprocal, dy] = inputs else { return None };
        let (_, normal) = normalised(x, offset, reciprocal);
        Some(vec![(dy * normal).sum(0), dy.sum(0)])
    }
}

/// The differences of each row to its first element.
fn from_first(x: Tensor<'_>) -> Tensor<'_> {
    x - x.narrow(1, 0, 1)
}

/// (the reciprocal deviation as a column, the normalised rows).
fn normalised<'g>(x: Tensor<'g>, offset: Tensor<'g>, reciprocal: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    let column = [x.shape()[0], 1];
    let reciprocal = reciprocal.reshape(column);
    (reciprocal, (from_first(x) - offset.reshape(column)) * reciprocal)
}

/// The outputs of [`Tensor::layer_norm_with_statistics`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NormalOutputs<'g> {
    /// The normalised rows, scaled and shifted.
    pub y: Tensor<'g>,
    /// The mean of each row.
    pub mean: Tensor<'g>,
    /// One over the deviation of each row.
    pub reciprocal_deviation: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// Layer norm along the last axis: `scale * (x - mean) / sqrt(variance + epsilon) + shift`.
    #[track_caller]
    pub fn layer_norm(self, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> Self {
        let y = self.normalised_rows(scale, shift, epsilon);
        if y.is_poisoned() { y } else { y.reshape(self.shape()) }
    }

    /// Layer norm with the statistics of each row that its gradient needs.
    #[track_caller]
    pub fn layer_norm_with_statistics(self, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> NormalOutputs<'g> {
        let rows = self.normalised_rows(scale, shift, epsilon);
        if rows.is_poisoned() {
            return NormalOutputs { y: rows, mean: rows, reciprocal_deviation: rows };
        }
        let first = self.reshape(rows.shape()).narrow(1, 0, 1).reshape([rows.shape()[0]]);
        NormalOutputs {
            y: rows.reshape(self.shape()),
            mean: first + rows.sibling(1),
            reciprocal_deviation: rows.sibling(2),
        }
    }

    /// The layer norm of the rows as a matrix, the first output of its node.
    #[track_caller]
    fn normalised_rows(self, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> Self {
        let columns = self.shape().last().copied().unwrap_or(0);
        let fits = scale.shape() == Shape::from([columns]) && shift.shape() == Shape::from([columns]) && epsilon > 0.0;
        match self.kind().rows() {
            _ if self.is_poisoned() => self,
            Some((rows, _)) if fits => {
                self.graph().fused(LayerNorm { epsilon }, &[self.reshape([rows, columns]), scale, shift])
            }
            _ => {
                let message = format!(
                    "takes x (.., columns), scale (columns), shift (columns) and a positive epsilon, got {self:?}, {scale:?}, {shift:?} and {epsilon}"
                );
                self.graph().fail("layer_norm", message)
            }
        }
    }
}
