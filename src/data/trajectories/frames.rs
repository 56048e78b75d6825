//! Grey pictures that recorded steps observed.

use crate::data::Error;

/// The extents of an observation that is a stack of grey pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameShape {
    /// Rows of a picture.
    pub rows: usize,
    /// Columns of a picture.
    pub columns: usize,
    /// The pictures of an observation: that of its step and those before it.
    pub stack: usize,
}

impl FrameShape {
    /// The observations of Atari games: four pictures of 84 x 84 pixels.
    pub const ATARI: Self = Self { rows: 84, columns: 84, stack: 4 };

    /// Returns the pixels of a picture.
    pub fn pixels(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    /// Returns the numbers of an observation.
    pub fn numbers(&self) -> usize {
        self.pixels().saturating_mul(self.stack)
    }
}

/// A grey picture of each recorded step, a byte for each pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Frames {
    /// The extents of an observation.
    pub shape: FrameShape,
    /// (steps, rows, columns)
    pub pixels: Vec<u8>,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Frames").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Frames {
    /// Checks the extents, and that there is a picture for each of `steps` steps.
    pub(super) fn check(&self, name: &str, steps: usize) -> Result<(), Error> {
        let FrameShape { rows, columns, stack } = self.shape;
        let pixels = self.shape.pixels();
        if pixels == 0 || !pixels.is_multiple_of(4) || !(1..=64).contains(&stack) {
            let expected = "pictures of a multiple of 4 pixels, 1 to 64 in an observation";
            return Err(Error::content(name, expected, format!("{stack} of {rows} x {columns}")));
        }
        if steps.checked_mul(pixels) != Some(self.pixels.len()) {
            let expected = format!("{steps} pictures of {rows} x {columns}");
            return Err(Error::tensor(name, "frames", expected, format!("{} pixels", self.pixels.len())));
        }
        Ok(())
    }

    /// The picture of a step.
    pub(super) fn of(&self, step: usize) -> &[u8] {
        &self.pixels[step * self.shape.pixels()..][..self.shape.pixels()]
    }

    /// Returns the pixels of neighbouring steps, four in a word, the first in its lowest byte.
    pub(crate) fn words(&self, steps: std::ops::Range<usize>) -> Vec<u32> {
        let pixels = self.shape.pixels();
        let bytes = self.pixels[steps.start * pixels..steps.end * pixels].as_chunks::<4>().0;
        bytes.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }
}
