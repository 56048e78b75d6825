//! A digit that is drawn with the mouse.

use fourfold::data::Standardisation;

/// Pixels of a side.
pub(super) const SIDE: usize = 8;

/// The drawn digit: 64 pixels from 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Pad {
    pub(super) pixels: [f32; SIDE * SIDE],
}

impl Pad {
    /// A digit of the data set to begin with.
    pub(super) fn of(image: &[f32], standardisation: &Standardisation) -> Self {
        let moments = standardisation.mean.iter().zip(&standardisation.deviation);
        let mut pad = Self { pixels: [0.0; SIDE * SIDE] };
        for ((pixel, value), (mean, deviation)) in pad.pixels.iter_mut().zip(image).zip(moments) {
            *pixel = (value * deviation + mean).clamp(0.0, 1.0);
        }
        pad
    }

    pub(super) fn clear(&mut self) {
        self.pixels.fill(0.0);
    }

    /// Inks around a place, given as shares of width and height.
    pub(super) fn ink(&mut self, [x, y]: [f32; 2]) {
        let [x, y] = [x, y].map(|share| share * SIDE as f32);
        for (index, pixel) in self.pixels.iter_mut().enumerate() {
            let (column, row) = ((index % SIDE) as f32 + 0.5, (index / SIDE) as f32 + 0.5);
            let away = (column - x).hypot(row - y);
            // The pen is about as wide as those of the data set: a pixel and a half.
            *pixel = pixel.max((1.4 - away).clamp(0.0, 1.0));
        }
    }

    /// The input of a network.
    pub(super) fn standardised(&self, standardisation: &Standardisation) -> Vec<f32> {
        let moments = standardisation.mean.iter().zip(&standardisation.deviation);
        self.pixels.iter().zip(moments).map(|(pixel, (mean, deviation))| (pixel - mean) / deviation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_is_darkest_under_the_pen_and_goes_back_to_the_same_pixels() {
        let mut pad = Pad { pixels: [0.0; 64] };
        pad.ink([0.5, 0.25]);
        assert!(pad.pixels[SIDE + 3] > 0.6 && pad.pixels[7 * SIDE] == 0.0, "{:?}", pad.pixels);
        let standardisation = Standardisation { mean: vec![0.3; 64], deviation: vec![0.4; 64] };
        let again = Pad::of(&pad.standardised(&standardisation), &standardisation);
        assert!(again.pixels.iter().zip(&pad.pixels).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
