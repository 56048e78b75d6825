//! The shape of an image.

use std::fmt;

/// Rows, columns and channels of an image, whose numbers are stored in this order, the channel fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Numbers of a pixel: 1 in a grey image, 3 in a coloured one.
    pub channels: usize,
}

impl ImageShape {
    /// Numbers in an image.
    pub fn features(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }
}

impl From<[usize; 2]> for ImageShape {
    /// A grey image of `[height, width]` pixels.
    fn from([height, width]: [usize; 2]) -> Self {
        Self { height, width, channels: 1 }
    }
}

impl From<[usize; 3]> for ImageShape {
    /// An image of `[height, width, channels]`.
    fn from([height, width, channels]: [usize; 3]) -> Self {
        Self { height, width, channels }
    }
}

/// As in `28 x 28` for grey images and `32 x 32 x 3` for others.
impl fmt::Display for ImageShape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} x {}", self.height, self.width)?;
        if self.channels == 1 { Ok(()) } else { write!(formatter, " x {}", self.channels) }
    }
}
