//! Operations that move elements without changing them.

use crate::graph::{Graph, Op, Shape, Tensor, TensorType};

/// True if `length` elements from `start` on lie within `whole`.
fn within(start: usize, length: usize, whole: usize) -> bool {
    start.checked_add(length).is_some_and(|end| end <= whole)
}

impl<'g> Tensor<'g> {
    #[track_caller]
    fn lay(self, op: Op, shape: impl Into<Shape>) -> Self {
        self.graph().add(op, &[self], [TensorType { element: self.element(), shape: shape.into() }])
    }

    /// The same elements in the same order under another shape.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape == self.shape() {
            return self;
        }
        if shape.elements() != self.elements() && !self.is_poisoned() {
            let (from, count) = (self.shape(), self.elements());
            let message = format!("shape {from} of {count} elements cannot become {shape} of {}", shape.elements());
            return self.graph().fail("reshape", message);
        }
        self.lay(Op::Reshape, shape)
    }

    /// This tensor, which gradients take for a constant.
    #[track_caller]
    pub fn stop_gradient(self) -> Self {
        self.lay(Op::StopGradient, self.shape())
    }

    /// The tensor stretched to `shape` by the broadcasting rule.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape == self.shape() {
            return self;
        }
        if self.shape().broadcast_strides(&shape).is_none() {
            let message = format!("shape {} does not broadcast to {shape}", self.shape());
            return self.graph().fail("broadcast", message);
        }
        self.lay(Op::Broadcast, shape)
    }

    /// Axis `i` of the result is axis `axes[i]` of this tensor.
    #[track_caller]
    pub fn permute(self, axes: &[usize]) -> Self {
        let shape = self.shape();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..shape.rank()) && !self.is_poisoned() {
            let message = format!("{axes:?} does not order the {} axes of shape {shape}", shape.rank());
            return self.graph().fail("permute", message);
        }
        if axes.is_sorted() || self.is_poisoned() {
            return self;
        }
        let permuted: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        self.lay(Op::Permute { axes: axes.to_vec() }, permuted)
    }

    /// The last two axes exchanged.
    #[track_caller]
    pub fn transpose(self) -> Self {
        let rank = self.shape().rank();
        if rank < 2 {
            let message = format!("needs two axes, got shape {}", self.shape());
            return if self.is_poisoned() { self } else { self.graph().fail("permute", message) };
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        self.permute(&axes)
    }

    /// Elements `start .. start + length` of `axis`.
    #[track_caller]
    pub fn narrow(self, axis: usize, start: usize, length: usize) -> Self {
        let shape = self.shape();
        let end = start.checked_add(length);
        if axis >= shape.rank() || length == 0 || end.is_none_or(|end| end > shape[axis]) {
            let message = format!("{length} elements from {start} on do not lie in axis {axis} of shape {shape}");
            return if self.is_poisoned() { self } else { self.graph().fail("slice", message) };
        }
        let mut starts = vec![0; shape.rank()];
        starts[axis] = start;
        self.slice(&starts, shape.with_axis(axis, length))
    }

    /// The box of `shape` that begins at `starts`.
    #[track_caller]
    pub fn slice(self, starts: &[usize], shape: impl Into<Shape>) -> Self {
        let (from, shape) = (self.shape(), shape.into());
        if shape == from {
            return self;
        }
        let fits = starts.len() == from.rank()
            && shape.rank() == from.rank()
            && (0..from.rank()).all(|axis| shape[axis] > 0 && within(starts[axis], shape[axis], from[axis]));
        if !fits {
            let message = format!("a box of shape {shape} at {starts:?} does not lie in shape {from}");
            return if self.is_poisoned() { self } else { self.graph().fail("slice", message) };
        }
        self.lay(Op::Slice { starts: starts.to_vec() }, shape)
    }

    /// The tensor inside zeros of `shape`, beginning at `starts`.
    #[track_caller]
    pub fn pad(self, starts: &[usize], shape: impl Into<Shape>) -> Self {
        let (from, shape) = (self.shape(), shape.into());
        if shape == from {
            return self;
        }
        let fits = starts.len() == from.rank()
            && shape.rank() == from.rank()
            && (0..from.rank()).all(|axis| within(starts[axis], from[axis], shape[axis]));
        if !fits {
            let message = format!("shape {from} at {starts:?} does not lie in shape {shape}");
            return if self.is_poisoned() { self } else { self.graph().fail("pad", message) };
        }
        self.lay(Op::Pad { starts: starts.to_vec() }, shape)
    }

    /// A tensor of `shape` that lies at `offset` inside this flat one, which costs nothing.
    #[track_caller]
    pub fn view(self, offset: usize, shape: impl Into<Shape>) -> Self {
        let (from, shape) = (self.shape(), shape.into());
        let fits = from.rank() == 1
            && offset.is_multiple_of(Op::ALIGNMENT)
            && within(offset, shape.elements(), from.elements());
        if !fits {
            let message = format!(
                "shape {shape} at {offset} of shape {from}: the offset must be a multiple of {} within one axis",
                Op::ALIGNMENT
            );
            return if self.is_poisoned() { self } else { self.graph().fail("view", message) };
        }
        self.lay(Op::View { offset }, shape)
    }
}

impl Graph {
    /// A flat tensor of `length` elements with each part at its offset and zeros elsewhere. Parts do not overlap.
    #[track_caller]
    pub fn pack<'g>(&'g self, parts: &[(usize, Tensor<'g>)], length: usize) -> Tensor<'g> {
        let mut sorted: Vec<_> = parts.to_vec();
        sorted.sort_by_key(|(offset, _)| *offset);
        let mut end = 0;
        for (offset, part) in &sorted {
            if *offset < end || !offset.is_multiple_of(Op::ALIGNMENT) || !within(*offset, part.elements(), length) {
                let message = format!(
                    "shape {} at {offset} of {length} elements: parts must not overlap and begin at multiples of {}",
                    part.shape(),
                    Op::ALIGNMENT
                );
                return self.fail("pack", message);
            }
            end = offset + part.elements();
        }
        let (offsets, parts): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        self.add(Op::Pack { offsets }, &parts, [TensorType::f32([length])])
    }

    /// The tensors one after the other along `axis`; their other axes agree.
    #[track_caller]
    pub fn concatenate<'g>(&'g self, tensors: &[Tensor<'g>], axis: usize) -> Tensor<'g> {
        let Some(first) = tensors.first() else {
            return self.fail("concatenate", "needs at least one tensor".into());
        };
        let shape = first.shape();
        let agree = |tensor: &Tensor<'_>| {
            let other = tensor.shape();
            tensor.element() == first.element()
                && other.rank() == shape.rank()
                && axis < shape.rank()
                && other.with_axis(axis, 0) == shape.with_axis(axis, 0)
        };
        if tensors.iter().any(|tensor| tensor.is_poisoned()) {
            return tensors.iter().copied().find(|tensor| tensor.is_poisoned()).unwrap_or(*first);
        }
        if let Some(stranger) = tensors.iter().find(|tensor| !agree(tensor)) {
            let message = format!("{first:?} and {stranger:?} differ off axis {axis}");
            return self.fail("concatenate", message);
        }
        if let [only] = tensors {
            return *only;
        }
        let length = tensors.iter().fold(0, |sum: usize, tensor| sum.saturating_add(tensor.shape()[axis]));
        let kind = TensorType { element: first.element(), shape: shape.with_axis(axis, length) };
        self.add(Op::Concatenate { axis }, tensors, [kind])
    }
}
