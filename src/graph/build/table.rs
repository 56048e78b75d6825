//! Rows of tables.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

impl<'g> Tensor<'g> {
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
