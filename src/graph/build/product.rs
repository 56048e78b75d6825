//! Matrix products.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

impl<'g> Tensor<'g> {
    /// The product of the last two axes: `(.., m, k)` times `(.., k, n)` gives `(.., m, n)`; leading axes broadcast.
    #[track_caller]
    pub fn matmul(self, other: Self) -> Self {
        self.matmul_transposed(other, false, false)
    }

    /// The product with either operand transposed in its last two axes; nothing is moved for it.
    #[track_caller]
    pub fn matmul_transposed(self, other: Self, transpose_a: bool, transpose_b: bool) -> Self {
        if self.is_poisoned() || other.is_poisoned() {
            return if self.is_poisoned() { self } else { other };
        }
        let (a, b) = (self.shape(), other.shape());
        let matrices =
            a.rank() >= 2 && b.rank() >= 2 && self.element() == Element::F32 && other.element() == Element::F32;
        if !matrices {
            return self
                .graph()
                .fail("matmul", format!("takes f32 tensors of two axes or more, got {self:?} and {other:?}"));
        }
        let matrix = |shape: &Shape, transposed: bool| {
            let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let ((m, k), (inner, n)) = (matrix(&a, transpose_a), matrix(&b, transpose_b));
        let leading = |shape: &Shape| Shape::from(&shape[..shape.rank() - 2]);
        let (batch_a, batch_b) = (leading(&a), leading(&b));
        let batch = batch_a.broadcast(&batch_b);
        let (Some(batch), true) = (batch, k == inner) else {
            let transposed = |flag| if flag { " transposed" } else { "" };
            let message = format!(
                "{a}{} times {b}{}: the inner lengths {k} and {inner} must agree and the leading axes broadcast",
                transposed(transpose_a),
                transposed(transpose_b)
            );
            return self.graph().fail("matmul", message);
        };
        let result = Shape::from([batch.to_vec(), vec![m, n]].concat());

        // A matrix on the right is shared by all rows on the left: one product of tall matrices.
        if batch_b.elements() == 1 && !transpose_a {
            let rows = batch_a.elements() * m;
            return self
                .product(other, [1, rows, k], [1, b[b.rank() - 2], b[b.rank() - 1]], false, transpose_b, [1, rows, n])
                .reshape(result);
        }
        // Either operand may be one matrix for the whole batch; what broadcasts in part is stretched.
        let stretch = |tensor: Tensor<'g>, own: &Shape, shape: &Shape| {
            let count = if own.elements() == 1 { 1 } else { batch.elements() };
            let matrix = &shape[shape.rank() - 2..];
            let tensor = if count == 1 || *own == batch {
                tensor
            } else {
                tensor.broadcast_to([batch.to_vec(), matrix.to_vec()].concat())
            };
            (tensor, [count, matrix[0], matrix[1]])
        };
        let (left, left_shape) = stretch(self, &batch_a, &a);
        let (right, right_shape) = stretch(other, &batch_b, &b);
        let count = batch.elements();
        left.product(right, left_shape, right_shape, transpose_a, transpose_b, [count, m, n]).reshape(result)
    }

    #[track_caller]
    fn product(
        self,
        other: Self,
        a: [usize; 3],
        b: [usize; 3],
        transpose_a: bool,
        transpose_b: bool,
        out: [usize; 3],
    ) -> Self {
        let operands = [self.reshape(a), other.reshape(b)];
        self.graph().add(Op::MatMul { transpose_a, transpose_b }, &operands, [TensorType::f32(out)])
    }

    /// `x W^T + b` for `x: (.., inputs)`, `W: (outputs, inputs)`, `b: (outputs)`.
    #[track_caller]
    pub fn linear(self, weight: Self, bias: Self) -> Self {
        if self.shape().rank() == 1 {
            let inputs = self.elements();
            let row = self.reshape([1, inputs]).linear(weight, bias);
            return row.reshape([row.elements()]);
        }
        self.matmul_transposed(weight, false, true) + bias
    }
}
