//! The index of an input's element for a flat index of the output.

use crate::product;

/// The addressing of an input, relative to the flat index `i` of the output. The mode is part of a program's text, the
/// lengths are not: they stand in the uniform block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The output's shape: element `i`.
    Same,
    /// One element for all.
    Scalar,
    /// The trailing dimensions of the output: element `i % n` of `n`. A bias over rows.
    Suffix,
    /// The leading dimensions of the output, the trailing ones being 1: element `i / n`. A factor for each row.
    Prefix,
    /// Any other broadcast: the output's dimensions, neighbours of one kind merged, are in turn kept by the input and
    /// broadcast; `rank` of them (at least 3), the innermost one kept if `contiguous`.
    Strided {
        /// Dimensions left after merging, at least 3.
        rank: u8,
        /// True if the input keeps the innermost one.
        contiguous: bool,
    },
}

impl Mode {
    /// The simplest mode by which an input of shape `input` is read for an output of shape `output`; shapes align at
    /// their last dimension, and a dimension of 1 is repeated. `None` where the shapes do not fit.
    pub fn of(output: &[usize], input: &[usize]) -> Option<Mode> {
        let dimensions = merged(output, input)?;
        Some(match dimensions[..] {
            [] | [Dimension { kept: true, .. }] => Mode::Same,
            [Dimension { kept: false, .. }] => Mode::Scalar,
            [_, Dimension { kept: true, .. }] => Mode::Suffix,
            [_, Dimension { kept: false, .. }] => Mode::Prefix,
            [.., Dimension { kept: contiguous, .. }] => {
                Mode::Strided { rank: u8::try_from(dimensions.len()).ok()?, contiguous }
            }
        })
    }

    /// Returns the number of lengths that the uniform block holds for an input of this mode.
    pub(super) fn lengths(self) -> usize {
        match self {
            Mode::Same | Mode::Scalar => 0,
            Mode::Suffix | Mode::Prefix => 1,
            Mode::Strided { rank, .. } => usize::from(rank) - 1,
        }
    }

    /// The element of the input for element `flat` of the output; `lengths` as [`address`] gives them.
    pub(super) fn index(self, lengths: &[u32], flat: usize) -> usize {
        match self {
            Mode::Same => flat,
            Mode::Scalar => 0,
            Mode::Suffix => flat % lengths[0] as usize,
            Mode::Prefix => flat / lengths[0] as usize,
            Mode::Strided { contiguous, .. } => {
                let (mut rest, mut stride, mut index, mut kept) = (flat, 1, 0, contiguous);
                for &length in lengths {
                    let length = length as usize;
                    if kept {
                        index += rest % length * stride;
                        stride *= length;
                    }
                    rest /= length;
                    kept = !kept;
                }
                if kept { index + rest * stride } else { index }
            }
        }
    }
}

/// A dimension of the output, or several neighbours that the input treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dimension {
    length: usize,
    kept: bool,
}

/// The output's dimensions with neighbours merged that the input keeps, or broadcasts, together.
fn merged(output: &[usize], input: &[usize]) -> Option<Vec<Dimension>> {
    let missing = output.len().checked_sub(input.len())?;
    let mut dimensions: Vec<Dimension> = Vec::new();
    for (index, &length) in output.iter().enumerate() {
        let own = if index < missing { 1 } else { input[index - missing] };
        if own != length && own != 1 {
            return None;
        }
        if length == 1 {
            continue;
        }
        let kept = own == length;
        match dimensions.last_mut() {
            Some(last) if last.kept == kept => last.length = last.length.saturating_mul(length),
            _ => dimensions.push(Dimension { length, kept }),
        }
    }
    Some(dimensions)
}

/// The lengths that the uniform block holds for an input of shape `input` read by `mode`: all merged dimensions but the
/// outermost, innermost first. `None` where the mode cannot address that input.
pub(super) fn address(mode: Mode, output: &[usize], input: &[usize]) -> Option<Vec<u32>> {
    let dimensions = merged(output, input)?;
    let (count, own) = (product(output), product(input));
    let ordered = |first: bool| dimensions.len() < 2 || dimensions.len() == 2 && dimensions[0].kept == first;
    match mode {
        Mode::Same if own == count => Some(vec![]),
        Mode::Scalar if own == 1 => Some(vec![]),
        Mode::Suffix if ordered(false) => Some(vec![own.max(1) as u32]),
        Mode::Prefix if ordered(true) => Some(vec![(count / own.max(1)).max(1) as u32]),
        Mode::Strided { .. } if Mode::of(output, input) == Some(mode) => {
            Some(dimensions[1..].iter().rev().map(|dimension| dimension.length as u32).collect())
        }
        _ => None,
    }
}

/// Two shapes that do not broadcast together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastError {
    /// The shape of the first operand.
    pub left: Vec<usize>,
    /// The shape of the second operand.
    pub right: Vec<usize>,
}

impl std::fmt::Display for BroadcastError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { left, right } = self;
        write!(
            formatter,
            "shapes {left:?} and {right:?} do not broadcast: aligned at the last dimension, each pair of "
        )?;
        write!(formatter, "lengths must be equal or hold a 1")
    }
}

impl std::error::Error for BroadcastError {}

/// The shape to which both shapes broadcast: aligned at the last dimension, the larger of each pair of lengths.
///
/// # Errors
/// If a pair of dimensions differs and neither is 1.
pub fn broadcast_shape(left: &[usize], right: &[usize]) -> Result<Vec<usize>, BroadcastError> {
    let rank = left.len().max(right.len());
    let length = |shape: &[usize], index: usize| (index + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|index| match (length(left, index), length(right, index)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => Err(BroadcastError { left: left.to_vec(), right: right.to_vec() }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index by coordinates, in the plainest way.
    fn plain_index(output: &[usize], input: &[usize], flat: usize) -> usize {
        let (mut rest, mut stride, mut index) = (flat, 1, 0);
        for dimension in (0..output.len()).rev() {
            let coordinate = rest % output[dimension];
            rest /= output[dimension];
            if let Some(own) = (dimension + input.len()).checked_sub(output.len()) {
                if input[own] > 1 {
                    index += coordinate * stride;
                }
                stride *= input[own];
            }
        }
        index
    }

    #[test]
    fn every_broadcast_up_to_rank_four_finds_its_elements() {
        let output = [2, 3, 4, 5];
        for present in 0..=4 {
            for kept in 0..1 << present {
                let input: Vec<usize> =
                    (0..present).map(|d| if kept >> d & 1 == 1 { output[4 - present + d] } else { 1 }).collect();
                let mode = Mode::of(&output, &input).unwrap();
                let lengths = address(mode, &output, &input).unwrap();
                assert_eq!(lengths.len(), mode.lengths());
                for flat in 0..120 {
                    assert_eq!(mode.index(&lengths, flat), plain_index(&output, &input, flat), "{input:?} {flat}");
                }
            }
        }
    }

    #[test]
    fn a_bias_is_a_suffix_and_a_factor_for_each_row_a_prefix() {
        assert_eq!(Mode::of(&[8, 3], &[3]), Some(Mode::Suffix));
        assert_eq!(Mode::of(&[8, 3], &[8, 1]), Some(Mode::Prefix));
        assert_eq!(Mode::of(&[8, 4, 3], &[8, 1, 3]), Some(Mode::Strided { rank: 3, contiguous: true }));
        assert_eq!(Mode::of(&[8, 3], &[8]), None);
    }

    #[test]
    fn a_suffix_of_the_whole_output_is_still_a_suffix() {
        assert_eq!(address(Mode::Suffix, &[1, 3], &[3]), Some(vec![3]));
        assert_eq!(address(Mode::Prefix, &[3, 1], &[3, 1]), Some(vec![1]));
    }

    #[test]
    fn shapes_broadcast_to_the_larger_length_of_each_pair() {
        assert_eq!(broadcast_shape(&[4, 1, 3], &[5, 1]), Ok(vec![4, 5, 3]));
        assert!(broadcast_shape(&[4, 2], &[3]).unwrap_err().to_string().contains("[4, 2] and [3]"));
    }
}
