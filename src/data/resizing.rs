//! Smaller images.

use super::{Dataset, Error, ImageShape};

impl Dataset {
    /// Images of `height` x `width` pixels, each the mean of the area of the image that it covers: an image of 28 pixels
    /// across becomes one of 8 by averaging 3.5 pixels, of which the last counts by half.
    ///
    /// # Errors
    /// No pixels, or more of them than there are.
    pub fn resized(&self, [height, width]: [usize; 2]) -> Result<Dataset, Error> {
        let ImageShape { height: lines, width: columns, channels } = self.image_shape();
        if !(1..=lines).contains(&height) || !(1..=columns).contains(&width) {
            let expected = format!("images of at least {height} x {width} pixels, and of at least one");
            return Err(Error::content(self.name(), expected, format!("{lines} x {columns}")));
        }
        let (down, across) = (shares(lines, height), shares(columns, width));
        let shape = ImageShape { height, width, channels };
        let mut images = Vec::with_capacity(self.len() * shape.features());
        for row in 0..self.len() {
            let image = self.image(row);
            for (vertical, horizontal) in down.iter().flat_map(|down| across.iter().map(move |across| (down, across))) {
                for channel in 0..channels {
                    let weighted = vertical.iter().flat_map(|&(line, share)| {
                        let value = move |column: usize| image[(line * columns + column) * channels + channel];
                        horizontal.iter().map(move |&(column, part)| share * part * f64::from(value(column)))
                    });
                    images.push(weighted.sum::<f64>() as f32);
                }
            }
        }
        Dataset::new(self.name(), shape, self.classes(), images, self.labels().to_vec())
    }
}

/// Returns the pixels that each of `to` equal parts of `from` pixels covers, with their shares of it.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let part = |index: usize| {
        // In units of 1 / to of a pixel a part begins at index * from, and a pixel at pixel * to.
        let (begin, end) = (index * from, (index + 1) * from);
        let covered = (begin / to)..end.div_ceil(to);
        let share = |pixel: usize| (end.min((pixel + 1) * to) - begin.max(pixel * to)) as f64 / from as f64;
        covered.map(|pixel| (pixel, share(pixel))).collect()
    };
    (0..to).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_the_mean_of_the_area_that_it_covers() {
        let image = vec![1.0, 2.0, 6.0, 3.0, 5.0, 7.0];
        let set = Dataset::new("one", [2, 3], 2, image, vec![1]).unwrap();
        let resized = set.resized([1, 2]).unwrap();
        // Columns have the means 2, 3.5 and 6.5; 1.5 of them fall on each side.
        for (pixel, expected) in resized.images().iter().zip([(2.0 + 1.75) / 1.5, (1.75 + 6.5) / 1.5]) {
            assert!((pixel - expected).abs() < 1e-6, "{pixel} where {expected} was expected");
        }
        assert_eq!((resized.image_shape(), resized.labels()), ([1, 2].into(), &[1][..]));
        assert_eq!(set.resized([2, 3]).unwrap(), set);
    }

    #[test]
    fn the_mean_of_an_image_stays() {
        let image: Vec<f32> = (0..28 * 28).map(|pixel| (pixel * pixel % 97) as f32).collect();
        let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        let set = Dataset::new("one", [28, 28], 2, image.clone(), vec![0]).unwrap();
        let resized = set.resized([8, 8]).unwrap();
        assert!((mean(resized.images()) - mean(&image)).abs() < 1e-4);
    }

    #[test]
    fn images_are_not_enlarged() {
        let set = Dataset::new("one", [2, 2], 2, vec![0.0; 4], vec![0]).unwrap();
        assert!(set.resized([3, 2]).is_err());
        assert!(set.resized([0, 2]).is_err());
    }
}
