//! The place of a tensor in a buffer.

use crate::{Error, Sizes};

/// The place of a tensor in a buffer, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Elements of the buffer before the first one.
    pub offset: usize,
    /// One for each dimension, outermost first; 0 repeats an element along a dimension.
    pub strides: Vec<usize>,
}

impl View {
    /// A dense row-major tensor.
    pub fn dense(shape: &[usize]) -> Self {
        Self { offset: 0, strides: dense_strides(shape) }
    }

    /// The part of a dense tensor that begins at the coordinates `starts`.
    pub fn part(shape: &[usize], starts: &[usize]) -> Self {
        let strides = dense_strides(shape);
        let before = strides.iter().zip(starts).map(|(stride, start)| stride.saturating_mul(*start));
        Self { offset: before.fold(0, usize::saturating_add), strides }
    }

    /// Fails unless all elements of `shape`, none of whose lengths is 0, lie within a buffer of `length` elements.
    pub(super) fn check(&self, sizes: Sizes, name: &str, shape: &[usize], length: usize) -> Result<Sizes, Error> {
        let (rank, strides) = (shape.len(), self.strides.len());
        let sizes = sizes.expect(format_args!("strides of the {name}"), strides == rank, rank, strides)?;
        let ways = shape.iter().zip(&self.strides).map(|(length, stride)| (length - 1).saturating_mul(*stride));
        let last = ways.fold(self.offset, usize::saturating_add);
        let sizes = sizes.positive(&[("the length of a buffer", length)])?;
        sizes.expect(format!("the last element of the {name}"), last < length, format!("below {length}"), last)
    }
}

pub(super) fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension].saturating_mul(shape[dimension]);
    }
    strides
}

/// Fails unless the part of shape `lengths` from the coordinates `starts` on lies within a tensor of shape `shape`.
pub(super) fn check_part(
    problem: &'static str,
    shape: &[usize],
    starts: &[usize],
    lengths: &[usize],
) -> Result<(), Error> {
    let same = starts.len() == shape.len() && lengths.len() == shape.len();
    let ends = starts.iter().zip(lengths).map(|(start, length)| start.saturating_add(*length));
    let within = same && ends.zip(shape).all(|(end, length)| end <= *length);
    let part = format!("{lengths:?} from {starts:?} on");
    Sizes(problem).expect("the part", within, format_args!("within the shape {shape:?}"), part).map(|_| ())
}
