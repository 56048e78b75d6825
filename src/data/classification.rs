//! Labelled images.

use super::random::{LABEL_NOISE, SPLIT, stream};
use super::{Error, ImageShape};

/// Images with one label each, in memory.
///
/// Images are `(rows, features)`, row-major, with features = height * width * channels, the channel fastest; labels are
/// `(rows,)`, below `classes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    image_shape: ImageShape,
    classes: usize,
    images: Vec<f32>,
    labels: Vec<u32>,
}

/// A set to learn from and one to judge by.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The set to learn from.
    pub training: Dataset,
    /// The set to judge by.
    pub test: Dataset,
}

/// More classes than any set has: each costs memory.
const MOST_CLASSES: usize = 1 << 16;

impl Dataset {
    /// A set of `labels.len()` images of `[height, width]` pixels, or of `[height, width, channels]`, in `classes` classes.
    ///
    /// # Errors
    /// If there are no rows or past 65,536 classes, if images and labels do not match in number, or if a label is out of range; `name` stands
    /// for the file in the sentence.
    pub fn new(
        name: &str,
        image_shape: impl Into<ImageShape>,
        classes: usize,
        images: Vec<f32>,
        labels: Vec<u32>,
    ) -> Result<Self, Error> {
        let image_shape = image_shape.into();
        let features = image_shape.features();
        if labels.is_empty() || features == 0 {
            let got = format!("{} rows of {features} features", labels.len());
            return Err(Error::content(name, "at least one row and one feature", got));
        }
        let count = labels.len().saturating_mul(features);
        if images.len() != count {
            let expected = format!("{count} numbers for {} images", labels.len());
            return Err(Error::content(name, expected, images.len().to_string()));
        }
        if classes > MOST_CLASSES {
            return Err(Error::content(name, format!("at most {MOST_CLASSES} classes"), classes.to_string()));
        }
        check_labels(name, &labels, classes)?;
        Ok(Self { name: name.to_owned(), image_shape, classes, images, labels })
    }

    /// Returns the name, which stands for the file in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same set under another name.
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Returns height, width and channels of an image.
    pub fn image_shape(&self) -> ImageShape {
        self.image_shape
    }

    /// Returns the count of numbers in an image.
    pub fn features(&self) -> usize {
        self.image_shape.features()
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// All images, `(rows, features)`.
    pub fn images(&self) -> &[f32] {
        &self.images
    }

    pub(super) fn images_mut(&mut self) -> &mut [f32] {
        &mut self.images
    }

    /// The image of one row, `(features,)`.
    ///
    /// # Panics
    /// If there are not as many rows.
    pub fn image(&self, row: usize) -> &[f32] {
        &self.images[row * self.features()..][..self.features()]
    }

    /// All labels, `(rows,)`.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Rows of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The given rows, in the given order: `(images, labels)` of a batch.
    ///
    /// # Panics
    /// If there are not as many rows.
    pub fn batch(&self, rows: &[u32]) -> (Vec<f32>, Vec<u32>) {
        let images = rows.iter().flat_map(|&row| self.image(row as usize)).copied().collect();
        let labels = rows.iter().map(|&row| self.labels[row as usize]).collect();
        (images, labels)
    }

    /// Adds the rows of another set after the last.
    ///
    /// # Errors
    /// If its images have another shape, or it has another number of classes.
    pub fn append(&mut self, other: Dataset) -> Result<(), Error> {
        let described = |set: &Self| format!("images of {} in {} classes", set.image_shape, set.classes);
        if (self.image_shape, self.classes) != (other.image_shape, other.classes) {
            return Err(Error::content(&other.name, described(self), described(&other)));
        }
        self.images.extend(other.images);
        self.labels.extend(other.labels);
        Ok(())
    }

    /// The set of the first `rows` rows, or of all where there are fewer; never empty.
    pub fn truncated(&self, rows: usize) -> Dataset {
        let rows = rows.clamp(1, self.len());
        Self {
            images: self.images[..rows * self.features()].to_vec(),
            labels: self.labels[..rows].to_vec(),
            name: self.name.clone(),
            image_shape: self.image_shape,
            classes: self.classes,
        }
    }

    /// The set of these rows, in their order; at least one.
    ///
    /// # Errors
    /// No rows, or rows past the last.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Result<Dataset, Error> {
        if rows.end > self.len() {
            let expected = format!("at least {} rows", rows.end);
            return Err(Error::content(&self.name, expected, self.len().to_string()));
        }
        let rows: Vec<u32> = (rows.start as u32..rows.end as u32).collect();
        let (images, labels) = self.batch(&rows);
        Dataset::new(&self.name, self.image_shape, self.classes, images, labels)
    }

    /// Images whose pixels are the means of squares of `side` x `side` pixels.
    ///
    /// # Errors
    /// Images whose height or width is not a multiple of `side`.
    pub fn pooled(&self, side: usize) -> Result<Dataset, Error> {
        let ImageShape { height, width, channels } = self.image_shape;
        if side == 0 || !height.is_multiple_of(side) || !width.is_multiple_of(side) {
            let expected = format!("images whose height and width are multiples of {side}");
            return Err(Error::content(&self.name, expected, format!("{height} x {width}")));
        }
        let shape = ImageShape { height: height / side, width: width / side, channels };
        let mut images = Vec::with_capacity(self.len() * shape.features());
        for row in 0..self.len() {
            let image = self.image(row);
            for (y, x) in (0..shape.height).flat_map(|y| (0..shape.width).map(move |x| (y, x))) {
                let lines = (side * y..side * (y + 1)).map(|line| (line * width + side * x) * channels);
                for channel in 0..channels {
                    let pixels = |line: usize| image[line..][..side * channels].iter().skip(channel).step_by(channels);
                    let sum: f32 = lines.clone().flat_map(pixels).sum();
                    images.push(sum / (side * side) as f32);
                }
            }
        }
        Dataset::new(&self.name, shape, self.classes, images, self.labels.clone())
    }

    /// Splits off `test_fraction` of each class, drawn without regard to the order of the rows: both sets hold the
    /// classes in the same proportion (to the nearest row), shuffled.
    ///
    /// # Errors
    /// If either set would be empty.
    pub fn split(&self, test_fraction: f64, seed: u64) -> Result<Split, Error> {
        let mut random = stream(seed, SPLIT);
        let (mut training, mut test) = (Vec::new(), Vec::new());
        for class in 0..self.classes as u32 {
            let mut rows: Vec<u32> = (0..self.len() as u32).filter(|&row| self.labels[row as usize] == class).collect();
            random.shuffle(&mut rows);
            let tested = (test_fraction.clamp(0.0, 1.0) * rows.len() as f64).round() as usize;
            test.extend_from_slice(&rows[..tested]);
            training.extend_from_slice(&rows[tested..]);
        }
        random.shuffle(&mut training);
        random.shuffle(&mut test);
        let set = |rows: &[u32]| {
            let (images, labels) = self.batch(rows);
            Dataset::new(&self.name, self.image_shape, self.classes, images, labels)
        };
        Ok(Split { training: set(&training)?, test: set(&test)? })
    }

    /// Gives a `fraction` of the rows (to the nearest row, drawn without replacement) a wrong label, each of the other
    /// classes being as likely: symmetric label noise. Returns the rows, ascending.
    ///
    /// A flipped label is never the true one, so a fraction of 0.4 means that 40 % of the labels are wrong. Some
    /// authors draw from all classes, which leaves a tenth of the flipped labels right where there are ten classes.
    pub fn flip_labels(&mut self, fraction: f64, seed: u64) -> Vec<u32> {
        if self.classes < 2 {
            return Vec::new();
        }
        let mut random = stream(seed, LABEL_NOISE);
        let mut rows: Vec<u32> = (0..self.len() as u32).collect();
        random.shuffle(&mut rows);
        rows.truncate((fraction.clamp(0.0, 1.0) * self.len() as f64).round() as usize);
        let classes = self.classes as u32;
        for &row in &rows {
            let label = &mut self.labels[row as usize];
            *label = (*label + 1 + random.below(classes - 1)) % classes;
        }
        rows.sort_unstable();
        rows
    }
}

fn check_labels(name: &str, labels: &[u32], classes: usize) -> Result<(), Error> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(row) => {
            Err(Error::content(name, format!("labels below {classes}"), format!("{} at index {row}", labels[row])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Image `row` is `[row]`, its label `row` modulo 4.
    fn set(rows: usize) -> Dataset {
        let labels = (0..rows as u32).map(|row| row % 4).collect();
        Dataset::new("rows", [1, 1], 4, (0..rows).map(|row| row as f32).collect(), labels).unwrap()
    }

    #[test]
    fn images_and_labels_must_match_in_number() {
        let error = Dataset::new("pairs", [2, 3], 2, vec![0.0; 11], vec![0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "pairs: expected 12 numbers for 2 images, got 11");
    }

    #[test]
    fn a_label_out_of_range_is_named_with_its_index() {
        let error = Dataset::new("pairs", [1, 1], 2, vec![0.0; 3], vec![0, 1, 2]).unwrap_err();
        assert_eq!(error.to_string(), "pairs: expected labels below 2, got 2 at index 2");
    }

    #[test]
    fn a_batch_holds_the_rows_in_the_order_asked_for() {
        assert_eq!(set(10).batch(&[7, 0, 7]), (vec![7.0, 0.0, 7.0], vec![3, 0, 3]));
    }

    #[test]
    fn pooled_pixels_are_means_of_squares() {
        let image = (0..16).map(|pixel| pixel as f32).collect();
        let set = Dataset::new("one", [2, 8], 2, image, vec![1]).unwrap();
        let pooled = set.pooled(2).unwrap();
        assert_eq!((pooled.image_shape(), pooled.images()), ([1, 4].into(), &[4.5, 6.5, 8.5, 10.5][..]));
        assert!(set.pooled(3).is_err());
    }

    #[test]
    fn channels_are_pooled_each_by_itself() {
        let image = vec![0.0, 10.0, 1.0, 20.0, 2.0, 30.0, 3.0, 60.0];
        let set = Dataset::new("one", [2, 2, 2], 2, image, vec![1]).unwrap();
        let pooled = set.pooled(2).unwrap();
        assert_eq!((pooled.image_shape(), pooled.images()), ([1, 1, 2].into(), &[1.5, 30.0][..]));
    }

    #[test]
    fn rows_of_a_set_are_a_set() {
        let rows = set(10).rows(3..6).unwrap();
        assert_eq!((rows.images(), rows.labels()), (&[3.0, 4.0, 5.0][..], &[3, 0, 1][..]));
        assert!(set(10).rows(3..11).is_err());
        assert!(set(10).rows(3..3).is_err());
    }

    #[test]
    fn a_set_is_appended_only_to_one_of_the_same_images() {
        let mut both = set(4);
        both.append(set(6).rows(4..6).unwrap()).unwrap();
        assert_eq!(both, set(6));
        let error = both.append(Dataset::new("other", [1, 2], 4, vec![0.0; 2], vec![0]).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "other: expected images of 1 x 1 in 4 classes, got images of 1 x 2 in 4 classes");
        assert_eq!(both.len(), 6);
    }

    #[test]
    fn a_split_keeps_the_proportion_of_the_classes_and_every_row_once() {
        let Split { training, test } = set(400).split(0.25, 3).unwrap();
        assert_eq!(test.class_counts(), [25; 4]);
        assert_eq!(training.class_counts(), [75; 4]);
        let mut rows: Vec<f32> = training.images().iter().chain(test.images()).copied().collect();
        rows.sort_by(f32::total_cmp);
        assert_eq!(rows, set(400).images());
        assert!(training.images().iter().zip(training.labels()).all(|(&row, &label)| row as u32 % 4 == label));
    }

    #[test]
    fn a_split_is_a_function_of_its_seed() {
        assert_eq!(set(40).split(0.5, 1).unwrap(), set(40).split(0.5, 1).unwrap());
        assert_ne!(set(40).split(0.5, 1).unwrap(), set(40).split(0.5, 2).unwrap());
    }

    #[test]
    fn an_empty_half_is_an_error() {
        assert!(set(8).split(0.0, 1).is_err());
        assert!(set(8).split(1.0, 1).is_err());
    }

    #[test]
    fn noise_changes_the_given_fraction_of_the_labels_and_each_of_them() {
        let mut noisy = set(1000);
        let flipped = noisy.flip_labels(0.4, 9);
        assert_eq!(flipped.len(), 400);
        for row in 0..1000 {
            let changed = noisy.labels()[row] != row as u32 % 4;
            assert_eq!(changed, flipped.binary_search(&(row as u32)).is_ok(), "row {row}");
        }
    }

    #[test]
    fn a_flipped_label_falls_on_each_other_class_equally_often() {
        let mut noisy = set(40_000);
        noisy.flip_labels(1.0, 5);
        let mut shifts = [0u32; 4];
        for row in 0..40_000u32 {
            shifts[((noisy.labels()[row as usize] + 4 - row % 4) % 4) as usize] += 1;
        }
        assert_eq!(shifts[0], 0);
        // Six deviations of a binomial count: sqrt(40000 / 3 * 2 / 3) = 94.
        assert!(shifts[1..].iter().all(|&count| count.abs_diff(13_333) < 570), "{shifts:?}");
    }

    #[test]
    fn no_noise_leaves_the_labels_alone() {
        let mut same = set(10);
        assert!(same.flip_labels(0.0, 1).is_empty());
        assert_eq!(same, set(10));
    }
}
