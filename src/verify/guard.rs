//! Words before and behind an operand that no kernel may touch.

use std::ops::Range;

use fourfold_shaders::{Data, Element};

use crate::gpu::{BufferView, Error, Gpu};

/// The sentinel: a NaN as an `f32`, so that it shows in whatever is computed from it, and no NaN that hardware makes.
pub(super) const SENTINEL: u32 = 0x7FC5_C396;

/// Words before an operand: 256 bytes, the widest offset alignment there is.
const BEFORE: usize = 64;

/// The least and the most words behind an operand. A tile that hangs over the last row writes up to 127 rows; where the
/// operand is large, as many words as it has itself up to a megabyte.
const BEHIND: (usize, usize) = (1 << 14, 1 << 18);

/// The place of an operand in a buffer with guards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guarded {
    length: usize,
    behind: usize,
}

impl Guarded {
    /// The guards of an operand, if at most `limit` words can be bound.
    pub(super) fn new(operand: &Data, limit: usize) -> Self {
        let length = operand.len();
        let behind = length.clamp(BEHIND.0, BEHIND.1).min(limit.saturating_sub(length + 4)).max(BEFORE);
        Self { length, behind: (length + behind).next_multiple_of(4) - length }
    }

    /// The words of the operand itself.
    pub(super) fn tensor(&self) -> Range<usize> {
        BEFORE..BEFORE + self.length
    }

    /// Uploads the operand between its guards. The view ends with the guard behind it.
    pub(super) fn upload(&self, gpu: &Gpu, name: &str, operand: &Data) -> Result<BufferView, Error> {
        let mut words = Vec::with_capacity(BEFORE + self.length + self.behind);
        words.resize(BEFORE, SENTINEL);
        words.extend_from_slice(bytemuck::cast_slice(operand.bytes()));
        words.resize(BEFORE + self.length + self.behind, SENTINEL);
        let buffer = gpu.upload(name, &Data::U32(words))?.buffer;
        let offset = (BEFORE * Element::BYTES) as u64;
        Ok(BufferView::new(&buffer, offset, buffer.size() - offset))
    }

    /// The first changed word of the guards, counted from the operand's first element.
    pub(super) fn stray(&self, words: &[u32]) -> Option<isize> {
        let tensor = self.tensor();
        let changed = |range: Range<usize>| range.into_iter().find(|&at| words[at] != SENTINEL);
        // Guards end where the words that were uploaded do; a buffer may be longer.
        let end = tensor.end + self.behind;
        changed(0..tensor.start).or_else(|| changed(tensor.end..end)).map(|at| at as isize - BEFORE as isize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentinel_is_a_nan() {
        assert!(f32::from_bits(SENTINEL).is_nan());
    }

    #[test]
    fn guards_outgrow_a_tile_and_stay_within_what_can_be_bound() {
        let guarded = |length, limit| Guarded::new(&Data::U32(vec![0; length]), limit);
        assert!(guarded(1, 1 << 25).behind >= 128 * 128);
        assert!(guarded(100_000, 1 << 25).behind >= 100_000);
        let tight = guarded(1_000, 1_500);
        assert!(tight.length + tight.behind <= 1_500);
    }

    #[test]
    fn a_changed_word_is_found_on_either_side() {
        let guarded = Guarded::new(&Data::U32(vec![7; 5]), 1 << 25);
        let mut words = vec![SENTINEL; BEFORE];
        words.extend([7; 5]);
        words.resize(BEFORE + 5 + guarded.behind, SENTINEL);
        assert_eq!(guarded.stray(&words), None);
        words[BEFORE + 5] = 0;
        assert_eq!(guarded.stray(&words), Some(5));
        words[BEFORE - 1] = 0;
        assert_eq!(guarded.stray(&words), Some(-1));
    }
}
