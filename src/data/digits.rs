//! The embedded data set: 1,797 handwritten digits of 8 x 8 pixels.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Dataset;

/// The file as scikit-learn ships it; its origin and licence are in `digits.md`, beside it.
const FILE: &[u8] = include_bytes!("digits.csv.gz");

const SIDE: usize = 8;
/// A pixel counts the ink in a block of 4 x 4.
const BRIGHTEST: f32 = 16.0;

/// Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, 1998; UCI Machine Learning Repository, CC BY
/// 4.0), test half: 1,797 images of 8 x 8 pixels from 0 to 1, by 13 writers, 10 classes.
///
/// The rows are in the order of the file, which runs from writer to writer.
pub fn digits() -> Dataset {
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).expect("the embedded file is whole, as a test shows");

    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut numbers = line.split(',').map(|number| number.parse::<u8>().expect("the embedded file holds numbers"));
        images.extend(numbers.by_ref().take(SIDE * SIDE).map(|pixel| f32::from(pixel) / BRIGHTEST));
        labels.extend(numbers.map(u32::from));
    }
    Dataset::new("digits", [SIDE, SIDE], 10, images, labels).expect("the embedded file is a data set")
}
