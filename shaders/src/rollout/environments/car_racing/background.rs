//! Pictures in place of the grass, to see whether a driver minds.

use std::sync::Arc;

use crate::random::threefry::Random;
use crate::{Error, Sizes};

/// A square picture in place of the grass, as in the paper's test of generalisation (section 4.2): over the screen, or repeated
/// over the field, so that it moves and turns with the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Background {
    side: usize,
    /// Red, green and blue, row by row.
    colours: Arc<[[u8; 3]]>,
    moves: bool,
}

/// Units of the world that a screen is wide: 1,000 pixels at 16.2 to a unit.
const SCREEN: f64 = 1000.0 / 16.2;

impl Background {
    /// A picture of these colours, row by row. `moves` says that it lies on the field and not on the screen.
    ///
    /// # Errors
    /// A side of 0 or more than 1,024, or another number of colours than its square.
    pub fn new(side: usize, colours: Vec<[u8; 3]>, moves: bool) -> Result<Self, Error> {
        let expected = side.saturating_mul(side);
        Sizes("background").expect("side", (1..=1_024).contains(&side), "1 to 1024", side)?.expect(
            "colours",
            colours.len() == expected,
            expected,
            colours.len(),
        )?;
        Ok(Self { side, colours: colours.into(), moves })
    }

    /// Uniform noise, each colour of each pixel by itself.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn noise(seed: u32, side: usize, moves: bool) -> Result<Self, Error> {
        const STREAM: u32 = 0xBAC6;
        let mut random = Random::new(seed, STREAM);
        let mut colour = || [0; 3].map(|_: u8| random.below(256) as u8);
        let colours = (0..side.min(1_025).pow(2)).map(|_| colour()).collect();
        Self::new(side, colours, moves)
    }

    /// Upright stripes of black and white, eight to a screen.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn stripes(side: usize, moves: bool) -> Result<Self, Error> {
        let count = side.min(1_025).pow(2);
        let shade = |index: usize| if (index % side * 16 / side).is_multiple_of(2) { 0 } else { 255 };
        Self::new(side, (0..count).map(|index| [shade(index); 3]).collect(), moves)
    }

    /// Rows and columns.
    pub fn side(&self) -> usize {
        self.side
    }

    /// True if it lies on the field and not on the screen.
    pub fn moves(&self) -> bool {
        self.moves
    }

    /// The colours as whole numbers, red from the highest bits on.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f32> {
        self.colours.iter().map(|&[red, green, blue]| u32::from_be_bytes([0, red, green, blue]) as f32)
    }

    /// The colour at a point of the window of 1000 x 800, from its lower left corner, and of the field.
    pub(super) fn colour(&self, window: [f64; 2], point: [f64; 2]) -> [u8; 3] {
        let side = self.side as f64;
        let [right, down] = match self.moves {
            false => [window[0] / 1000.0, (800.0 - window[1]) / 800.0],
            true => [point[0] / SCREEN, -point[1] / SCREEN],
        };
        let [column, row] = [right, down].map(|share| (share * side).floor().rem_euclid(side) as usize);
        self.colours[row.min(self.side - 1) * self.side + column.min(self.side - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_still_background_is_its_picture_and_a_moving_one_repeats_over_the_field() {
        let colours: Vec<[u8; 3]> = (0..16).map(|index| [index, 0, 0]).collect();
        let still = Background::new(4, colours.clone(), false).unwrap();
        assert_eq!(still.colour([125.0, 700.0], [1e3, 7.0]), [0, 0, 0]);
        assert_eq!(still.colour([875.0, 100.0], [0.0; 2]), [15, 0, 0]);
        let moving = Background::new(4, colours, true).unwrap();
        let at = |x: f64, y: f64| moving.colour([0.0; 2], [x, y]);
        assert_eq!(at(0.3 * SCREEN, -0.3 * SCREEN), [5, 0, 0]);
        assert_eq!(at(-0.7 * SCREEN, 1.7 * SCREEN), [5, 0, 0]);
    }

    #[test]
    fn a_picture_that_is_no_square_is_refused() {
        let refused = Background::new(3, vec![[0; 3]; 8], false).unwrap_err().to_string();
        assert!(refused.contains("colours") && refused.contains('9') && refused.contains('8'), "{refused}");
    }
}
