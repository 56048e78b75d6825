//! Standardisation: images with mean 0 and deviation 1 over the training set.

use super::Dataset;

/// An affine map of each feature, `(x - mean) / deviation`, taken from a training set and applied to every set.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardisation {
    /// One for each feature.
    pub mean: Vec<f32>,
    /// One for each feature, above 0.
    pub deviation: Vec<f32>,
}

impl Standardisation {
    /// A mean and deviation for each channel, over all pixels of all rows: the custom for natural images, which keeps
    /// the contrast between pixels.
    pub fn per_channel(training: &Dataset) -> Self {
        let channels = training.image_shape().channels;
        let of_channel = |channel| moments(training.images().iter().skip(channel).step_by(channels).copied());
        let (mean, deviation): (Vec<f32>, Vec<f32>) = (0..channels).map(of_channel).unzip();
        let pixels = training.features() / channels;
        Self { mean: mean.repeat(pixels), deviation: deviation.repeat(pixels) }
    }

    /// A mean and deviation for each feature. A feature that never changes is left at 0.
    pub fn per_feature(training: &Dataset) -> Self {
        let features = training.features();
        let column = |feature| training.images().iter().skip(feature).step_by(features).copied();
        let (mean, deviation) = (0..features).map(|feature| moments(column(feature))).unzip();
        Self { mean, deviation }
    }

    /// Standardises a set.
    ///
    /// # Panics
    /// If the set has another number of features than the training set had.
    pub fn apply(&self, set: &mut Dataset) {
        assert_eq!(set.features(), self.mean.len(), "features of the set and of the standardisation");
        for row in set.images_mut().chunks_exact_mut(self.mean.len()) {
            for (value, (mean, deviation)) in row.iter_mut().zip(self.mean.iter().zip(&self.deviation)) {
                *value = (*value - mean) / deviation;
            }
        }
    }
}

/// Mean and population deviation; a deviation of 1 where all values are equal.
fn moments(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let count = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    // The mean of equal values may be a rounding error off, which would pass for a deviation.
    let constant = variance.sqrt() <= 1e-12 * mean.abs();
    (mean as f32, if constant { 1.0 } else { variance.sqrt() as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Dataset {
        Dataset::new("three", [1, 2], 2, vec![1.0, 7.0, 3.0, 7.0, 5.0, 7.0], vec![0, 1, 0]).unwrap()
    }

    #[test]
    fn each_feature_gets_mean_0_and_deviation_1_and_a_constant_one_becomes_0() {
        let mut set = set();
        Standardisation::per_feature(&set).apply(&mut set);
        let unit = 1.5f32.sqrt();
        for (got, expected) in set.images().iter().zip([-unit, 0.0, 0.0, 0.0, unit, 0.0]) {
            assert!((got - expected).abs() < 1e-6, "{:?}", set.images());
        }
    }

    #[test]
    fn over_all_pixels_of_a_channel_the_mean_is_0_and_the_deviation_1() {
        let mut set = set();
        Standardisation::per_channel(&set).apply(&mut set);
        let (mean, deviation) = moments(set.images().iter().copied());
        assert!(mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-6);

        let images = vec![1.0, 100.0, 3.0, 300.0, 1.0, 300.0, 3.0, 100.0];
        let mut colour = Dataset::new("two", [1, 2, 2], 2, images, vec![0, 1]).unwrap();
        let standardisation = Standardisation::per_channel(&colour);
        assert_eq!(standardisation.mean, [2.0, 200.0, 2.0, 200.0]);
        assert_eq!(standardisation.deviation, [1.0, 100.0, 1.0, 100.0]);
        standardisation.apply(&mut colour);
        assert_eq!(colour.images(), [-1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0]);
    }

    #[test]
    fn a_test_set_is_mapped_by_the_statistics_of_the_training_set() {
        let mut test = Dataset::new("test", [1, 2], 2, vec![3.0, 8.0], vec![0]).unwrap();
        Standardisation::per_feature(&set()).apply(&mut test);
        assert_eq!(test.images(), [0.0, 1.0]);
    }
}
