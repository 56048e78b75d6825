//! SVHN (Netzer et al. 2011), cropped digits: coloured images of 32 x 32 pixels in MATLAB files.
//!
//! The code of the SAM paper standardises by 0.4309, 0.4302, 0.4463 (mean) and 0.1976, 0.2003, 0.1981 (deviation of the channels)
//! and trains on [`Images::WithExtra`].

use super::matlab::{self, Array};
use super::{Dataset, Error};

const CLASSES: usize = 10;
const CHANNELS: usize = 3;

/// Reads the images of one file from its bytes: the array `X` (rows, columns, 3, images) and the labels `y`, 1 to 10, of which
/// 10 stands for the digit 0. Pixels from 0 to 255 become 0 to 1; `file` names the file in errors.
///
/// # Errors
/// If the bytes are no such file, images and labels do not match in number, or a label is out of range.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Dataset, Error> {
    let [x, y] = matlab::arrays(file, bytes, ["X", "y"])?;
    let extents = |array: &Array| array.dimensions.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let (height, width, images) = match x.dimensions[..] {
        [height, width, CHANNELS, images] => (height, width, images),
        [height, width, CHANNELS] => (height, width, 1),
        _ => return Err(Error::content(file, "images `X` (rows, columns, 3, images)", extents(&x))),
    };
    if y.values.len() != images || y.dimensions.iter().filter(|extent| **extent != 1).count() > 1 {
        return Err(Error::content(file, format!("{images} labels `y`, one for each image"), extents(&y)));
    }
    if let Some(row) = y.values.iter().position(|label| !(1..=10).contains(label)) {
        let got = format!("{} at index {row}", y.values[row]);
        return Err(Error::content(file, "labels from 1 to 10, where 10 is the digit 0", got));
    }
    let features = height * width * CHANNELS;
    let mut pixels = Vec::with_capacity(features * images);
    for image in x.values.chunks_exact(features.max(1)) {
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let planes = (0..CHANNELS).map(|channel| image[(channel * width + column) * height + row]);
            pixels.extend(planes.map(|pixel| f32::from(pixel) / 255.0));
        }
    }
    let labels = y.values.iter().map(|label| u32::from(label % 10)).collect();
    Ok(Dataset::new(file, [height, width, CHANNELS], CLASSES, pixels, labels)?.named("svhn"))
}

/// The images to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Images {
    /// The 73,257 of `train_32x32.mat`.
    Training,
    /// These and the 531,131 easier ones of `extra_32x32.mat`: 7.4 GB as f32.
    WithExtra,
}

#[cfg(feature = "files")]
mod files {
    use std::path::Path;

    use super::super::{Error, Split, file};
    use super::{Images, parse};

    /// Reads the training and test set from a folder that holds `train_32x32.mat` and `test_32x32.mat`, and
    /// `extra_32x32.mat` if it is asked for.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is malformed.
    pub fn load(folder: &Path, images: Images) -> Result<Split, Error> {
        // A folder that is missing or closed to us would otherwise pass for one that lacks a file.
        std::fs::read_dir(folder).map_err(|source| Error::Read { file: folder.display().to_string(), source })?;
        let read = |part: &str| {
            let path = folder.join(format!("{part}_32x32.mat"));
            parse(&path.display().to_string(), &file::read(&path)?)
        };
        let mut training = read("train")?;
        if images == Images::WithExtra {
            training.append(read("extra")?)?;
        }
        Ok(Split { training, test: read("test")? })
    }
}

#[cfg(feature = "files")]
pub use files::load;

#[cfg(test)]
mod tests {
    use super::super::matlab::tests::{array, compressed, file};
    use super::*;

    /// Two images of 2 x 3 pixels whose values count in the order of the file.
    fn whole(labels: &[u8]) -> Vec<u8> {
        let values: Vec<u8> = (0..36).collect();
        let x = compressed(&array("X", &[2, 3, 3, 2], [9, 2], &values));
        file(&[x, compressed(&array("y", &[labels.len() as u32, 1], [6, 2], labels))])
    }

    #[test]
    fn columns_of_planes_become_rows_of_pixels_and_ten_is_the_digit_0() {
        let set = parse("file", &whole(&[10, 4])).unwrap();
        assert_eq!((set.image_shape(), set.labels(), set.classes()), ([2, 3, 3].into(), &[0, 4][..], 10));
        // Row 1, column 2 of the second image: 18 values before it, 6 a plane, 2 a column.
        let place = |channel: usize| (18 + 6 * channel + 2 * 2 + 1) as f32 / 255.0;
        assert_eq!(set.image(1)[15..], [0, 1, 2].map(place));
    }

    #[test]
    fn labels_that_are_none_or_too_few_are_named() {
        let error = |bytes: &[u8]| parse("file", bytes).unwrap_err().to_string();
        let expected = "file: expected labels from 1 to 10, where 10 is the digit 0, got 11 at index 1";
        assert_eq!(error(&whole(&[1, 11])), expected);
        assert!(error(&whole(&[0, 1])).ends_with("got 0 at index 0"));
        assert_eq!(error(&whole(&[1])), "file: expected 2 labels `y`, one for each image, got 1 x 1");
        let grey = array("X", &[2, 3, 1, 6], [9, 2], &[0; 36]);
        let grey = file(&[grey, array("y", &[6, 1], [9, 2], &[1; 6])]);
        assert_eq!(error(&grey), "file: expected images `X` (rows, columns, 3, images), got 2 x 3 x 1 x 6");
    }
}
