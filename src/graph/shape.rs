//! Shapes of dense row-major tensors.

use std::fmt;
use std::ops::Deref;

/// The lengths of a tensor's axes, outermost first. The shape without axes holds one element.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Returns the shape of these lengths, outermost axis first.
    pub fn new(axes: impl Into<Vec<usize>>) -> Self {
        Shape(axes.into())
    }

    /// The number of elements, `usize::MAX` where it is larger.
    pub fn elements(&self) -> usize {
        elements(&self.0)
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1_usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }

    /// The shape that both broadcast to: axes are aligned at the end, and an axis of length 1 stretches.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let axis = |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |axis| shape.0[axis]);
        (0..rank)
            .map(|index| match (axis(self, index), axis(other, index)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }

    /// The strides with which this shape is read as `target`: 0 along stretched axes. `None` if it does not broadcast
    /// to `target`.
    pub fn broadcast_strides(&self, target: &Shape) -> Option<Vec<usize>> {
        let missing = target.rank().checked_sub(self.rank())?;
        let mut strides = vec![0; missing];
        for ((&own, &stretched), stride) in self.0.iter().zip(&target.0[missing..]).zip(self.strides()) {
            strides.push(match own {
                _ if own == stretched => stride,
                1 => 0,
                _ => return None,
            });
        }
        Some(strides)
    }

    /// The shape with `axis` replaced by `length`.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn with_axis(&self, axis: usize, length: usize) -> Shape {
        let mut axes = self.0.clone();
        axes[axis] = length;
        Shape(axes)
    }

    /// The shape without `axis`.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn without_axis(&self, axis: usize) -> Shape {
        let mut axes = self.0.clone();
        axes.remove(axis);
        Shape(axes)
    }

    /// (elements before, length of, elements after) `axis`, each `usize::MAX` where it is larger.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        (elements(&self.0[..axis]), self.0[axis], elements(&self.0[axis + 1..]))
    }
}

/// The product of the lengths of axes, `usize::MAX` where it is larger.
fn elements(axes: &[usize]) -> usize {
    if axes.contains(&0) { 0 } else { axes.iter().fold(1, |count: usize, length| count.saturating_mul(*length)) }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        Shape(axes.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(axes: &[usize]) -> Self {
        Shape(axes.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(axes: Vec<usize>) -> Self {
        Shape(axes)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_length_one_stretch_and_others_must_agree() {
        let shape = |axes: &[usize]| Shape::from(axes);
        assert_eq!(shape(&[3, 1]).broadcast(&shape(&[4])), Some(shape(&[3, 4])));
        assert_eq!(shape(&[]).broadcast(&shape(&[2, 5])), Some(shape(&[2, 5])));
        assert_eq!(shape(&[3]).broadcast(&shape(&[4])), None);
    }

    #[test]
    fn stretched_axes_have_stride_zero() {
        assert_eq!(Shape::from([3, 1]).broadcast_strides(&Shape::from([2, 3, 4])), Some(vec![0, 1, 0]));
        assert_eq!(Shape::from([3]).broadcast_strides(&Shape::from([4])), None);
    }
}
