//! Reductions.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

impl<'g> Tensor<'g> {
    #[track_caller]
    fn reduce(self, op: Op, axis: usize, element: Element) -> Self {
        let shape = self.shape();
        if self.is_poisoned() {
            return self;
        }
        if axis >= shape.rank() || self.element() != Element::F32 {
            return self.graph().fail(op.name(), format!("axis {axis} of {self:?}; needs an axis of an f32 tensor"));
        }
        self.graph().add(op, &[self], [TensorType { element, shape: shape.without_axis(axis) }])
    }

    /// The sum along `axis`, which disappears.
    #[track_caller]
    pub fn sum(self, axis: usize) -> Self {
        self.reduce(Op::Sum { axis }, axis, Element::F32)
    }

    /// The mean along `axis`, which disappears.
    #[track_caller]
    pub fn mean(self, axis: usize) -> Self {
        let length = self.shape().get(axis).copied().unwrap_or(1);
        self.sum(axis) * (1.0 / length as f32)
    }

    /// The maximum along `axis`, which disappears.
    #[track_caller]
    pub fn maximum(self, axis: usize) -> Self {
        self.reduce(Op::Max { axis }, axis, Element::F32)
    }

    /// The `u32` index of the first maximum along `axis`, which disappears.
    #[track_caller]
    pub fn argmax(self, axis: usize) -> Self {
        self.reduce(Op::ArgMax { axis }, axis, Element::U32)
    }

    /// The sum of all elements, shape `[]`.
    #[track_caller]
    pub fn sum_all(self) -> Self {
        if self.shape().rank() == 0 {
            return self;
        }
        self.reshape([self.elements()]).sum(0)
    }

    /// The mean of all elements, shape `[]`.
    #[track_caller]
    pub fn mean_all(self) -> Self {
        let count = self.elements();
        self.sum_all() * (1.0 / count as f32)
    }

    /// The inner product of all elements with those of a tensor of the same shape, shape `[]`.
    #[track_caller]
    pub fn dot(self, other: Self) -> Self {
        if self.shape() != other.shape() && !self.is_poisoned() && !other.is_poisoned() {
            return self.graph().fail("dot", format!("shapes {} and {} differ", self.shape(), other.shape()));
        }
        (self * other).sum_all()
    }

    /// The Euclidean norm of all elements, shape `[]`.
    #[track_caller]
    pub fn norm(self) -> Self {
        if self.element() != Element::F32 {
            return self.graph().fail("norm", format!("takes f32, got {self:?}"));
        }
        self.graph().add(Op::Norm, &[self], [TensorType::f32([])])
    }

    /// Sums over the axes along which a tensor of `shape` was stretched to this one: the adjoint of broadcasting.
    #[track_caller]
    pub fn sum_to(self, shape: &Shape) -> Self {
        if self.is_poisoned() || self.shape() == *shape {
            return self;
        }
        let Some(strides) = shape.broadcast_strides(&self.shape()) else {
            return self
                .graph()
                .fail("sum", format!("expected a shape that {shape} broadcasts to, got {}", self.shape()));
        };
        let missing = self.shape().rank() - shape.rank();
        let stretched = |axis: usize, length: usize| {
            length > 1 && (axis < missing || (strides[axis] == 0 && shape[axis - missing] == 1))
        };
        // Neighbouring stretched axes are one axis to the reduction.
        let mut tensor = self;
        let mut axis = self.shape().rank();
        while axis > 0 {
            let current = self.shape();
            let end = axis;
            while axis > 0 && stretched(axis - 1, current[axis - 1]) {
                axis -= 1;
            }
            if axis < end {
                let trailing: usize = tensor.elements() / current[..end].iter().product::<usize>();
                let leading: usize = current[..axis].iter().product();
                let summed: usize = current[axis..end].iter().product();
                tensor = tensor.reshape([leading, summed, trailing]).sum(1);
            } else {
                axis -= 1;
            }
        }
        tensor.reshape(shape)
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
}
