//! Operations on rows, the last axis: softmax, cross-entropy, layer norm; and rows of tables.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

/// The outputs of [`Tensor::layer_norm_with_statistics`].
#[derive(Debug, Clone, Copy)]
pub struct NormalOutputs<'g> {
    /// The normalised rows, scaled and shifted.
    pub y: Tensor<'g>,
    /// The mean of each row.
    pub mean: Tensor<'g>,
    /// One over the deviation of each row.
    pub reciprocal_deviation: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// (rows, columns) of a tensor whose rows are its last axis.
    pub(crate) fn row_shape(self) -> Option<(usize, usize)> {
        let shape = self.shape();
        let columns = *shape.last()?;
        Some((shape.elements().checked_div(columns)?, columns))
    }

    #[track_caller]
    fn along_rows(self, op: Op) -> Self {
        if self.is_poisoned() {
            return self;
        }
        if self.row_shape().is_none() || self.element() != Element::F32 {
            return self.graph().fail(op.name(), format!("takes f32 rows along the last axis, got {self:?}"));
        }
        self.graph().add(op, &[self], [self.kind()])
    }

    /// Softmax along the last axis.
    #[track_caller]
    pub fn softmax(self) -> Self {
        self.along_rows(Op::Softmax)
    }

    /// The logarithm of the softmax along the last axis.
    #[track_caller]
    pub fn log_softmax(self) -> Self {
        self.along_rows(Op::LogSoftmax)
    }

    /// The cross-entropy of each row of logits `(.., classes)` with labels `u32 (..)`: a tensor of the labels' shape.
    ///
    /// The target is `(1 - smoothing) * onehot(label) + smoothing / classes`.
    #[track_caller]
    pub fn cross_entropy(self, labels: Tensor<'g>, smoothing: f32) -> Self {
        if self.is_poisoned() {
            return self;
        }
        let shape = self.shape();
        let fits = shape.rank() >= 1
            && labels.element() == Element::U32
            && labels.shape() == shape.without_axis(shape.rank() - 1)
            && (0.0..1.0).contains(&smoothing);
        let Some((rows, classes)) = self.row_shape().filter(|_| fits) else {
            let message = format!(
                "takes logits (.., classes), u32 labels (..) and a smoothing in [0, 1), got {self:?}, {labels:?} and {smoothing}"
            );
            return self.graph().fail("cross_entropy", message);
        };
        let kinds = [TensorType::f32([rows]), TensorType::f32([rows, classes])];
        let operands = [self.reshape([rows, classes]), labels.reshape([rows])];
        self.graph().add(Op::CrossEntropy { smoothing }, &operands, kinds).reshape(labels.shape())
    }

    /// The mean over all elements of the squared difference, shape `[]`.
    #[track_caller]
    pub fn mean_squared_error(self, target: Tensor<'g>) -> Self {
        if self.shape() != target.shape() && !self.is_poisoned() && !target.is_poisoned() {
            let message = format!("shapes {} and {} differ", self.shape(), target.shape());
            return self.graph().fail("mean_squared_error", message);
        }
        (self - target).square().mean_all()
    }

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
        match self.row_shape() {
            _ if self.is_poisoned() => self,
            Some((rows, _)) if fits => {
                let row = TensorType::f32([rows]);
                let kinds = [TensorType::f32([rows, columns]), row.clone(), row];
                self.graph().add(Op::LayerNorm { epsilon }, &[self.reshape([rows, columns]), scale, shift], kinds)
            }
            _ => {
                let message = format!(
                    "takes x (.., columns), scale (columns), shift (columns) and a positive epsilon, got {self:?}, {scale:?}, {shift:?} and {epsilon}"
                );
                self.graph().fail("layer_norm", message)
            }
        }
    }

    /// The rows `indices: u32 (..)` of this table `(rows, columns)`, as `(.., columns)`. An index past the last row
    /// gives a row of zeros.
    #[track_caller]
    pub fn gather(self, indices: Tensor<'g>) -> Self {
        let table = self.shape();
        if self.is_poisoned() {
            return self;
        }
        if table.rank() != 2 || indices.element() != Element::U32 {
            let message = format!("takes a table (rows, columns) and u32 indices, got {self:?} and {indices:?}");
            return self.graph().fail("gather", message);
        }
        let kind = TensorType { element: self.element(), shape: Shape::from([indices.elements(), table[1]]) };
        let shape: Vec<usize> = indices.shape().iter().copied().chain([table[1]]).collect();
        self.graph().add(Op::Gather, &[self, indices.reshape([indices.elements()])], [kind]).reshape(shape)
    }

    /// A table of `rows` rows in which each row of this tensor `(count, columns)` is added to the row that `indices:
    /// u32 (count)` names; what names no row is left out. The adjoint of [`Tensor::gather`].
    #[track_caller]
    pub fn scatter_add(self, indices: Tensor<'g>, rows: usize) -> Self {
        let shape = self.shape();
        if self.is_poisoned() {
            return self;
        }
        if shape.rank() != 2 || indices.element() != Element::U32 || indices.shape() != Shape::from([shape[0]]) {
            let message =
                format!("takes values (count, columns) and u32 indices (count), got {self:?} and {indices:?}");
            return self.graph().fail("scatter_add", message);
        }
        self.graph().add(Op::ScatterAdd { rows }, &[self, indices], [TensorType::f32([rows, shape[1]])])
    }
}
