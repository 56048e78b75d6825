//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version: coloured images of 32 x 32 pixels.
//!
//! ```text
//! CIFAR-10   one byte of label, 0 to 9
//! CIFAR-100  a byte of coarse label, 0 to 19, then one of fine label, 0 to 99
//! then       1,024 bytes of red, row by row, as many of green, as many of blue
//! ```
//!
//! The code of the SAM paper standardises by the mean and deviation of each channel over the training set. Its numbers, which
//! [`Standardisation::per_channel`](super::Standardisation::per_channel) finds again:
//!
//! | set | mean | deviation |
//! |---|---|---|
//! | CIFAR-10 | 0.4914, 0.4822, 0.4465 | 0.2470, 0.2435, 0.2616 |
//! | CIFAR-100 | 0.5071, 0.4865, 0.4409 | 0.2673, 0.2564, 0.2762 |

use super::{Dataset, Error};

/// Rows and columns of an image.
const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;
const CHANNELS: usize = 3;

/// A set, and the labels that are taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cifar {
    /// CIFAR-10.
    Ten,
    /// CIFAR-100 with its 100 classes.
    Hundred,
    /// CIFAR-100 with its 20 classes of five classes each.
    HundredCoarse,
}

impl Cifar {
    /// Returns the name of the set.
    pub fn name(self) -> &'static str {
        match self {
            Cifar::Ten => "cifar-10",
            Cifar::Hundred => "cifar-100",
            Cifar::HundredCoarse => "cifar-100-coarse",
        }
    }

    /// Returns the number of classes.
    pub fn classes(self) -> usize {
        match self {
            Cifar::Ten => 10,
            Cifar::Hundred => 100,
            Cifar::HundredCoarse => 20,
        }
    }

    /// Classes by the bytes before an image.
    fn labels(self) -> &'static [usize] {
        match self {
            Cifar::Ten => &[10],
            Cifar::Hundred | Cifar::HundredCoarse => &[20, 100],
        }
    }

    /// The place of the label among them.
    fn label(self) -> usize {
        usize::from(self == Cifar::Hundred)
    }
}

/// Reads the images of one file from its bytes; pixels from 0 to 255 become 0 to 1. `file` names it in errors.
///
/// # Errors
/// If the bytes are not whole images or a label is out of range.
pub fn parse(file: &str, bytes: &[u8], set: Cifar) -> Result<Dataset, Error> {
    let labels = set.labels();
    let record = labels.len() + CHANNELS * PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let expected = format!("images of {record} bytes each, as in the binary version of {}", set.name());
        return Err(Error::content(file, expected, format!("{} bytes in all", bytes.len())));
    }
    let records = bytes.chunks_exact(record);
    let wrong = records.clone().enumerate().find_map(|(row, record)| {
        let label = record.iter().zip(labels).find(|(label, classes)| usize::from(**label) >= **classes);
        label.map(|(label, classes)| (row, label, classes))
    });
    if let Some((row, label, classes)) = wrong {
        return Err(Error::content(file, format!("labels below {classes}"), format!("{label} in image {row}")));
    }
    let pixels = |record: &'_ [u8]| {
        let planes = record[labels.len()..].to_vec();
        let place = |index: usize| index % CHANNELS * PIXELS + index / CHANNELS;
        (0..CHANNELS * PIXELS).map(move |index| f32::from(planes[place(index)]) / 255.0)
    };
    let images = records.clone().flat_map(pixels).collect();
    let labels = records.map(|record| u32::from(record[set.label()])).collect();
    Ok(Dataset::new(file, [SIDE, SIDE, CHANNELS], set.classes(), images, labels)?.named(set.name()))
}

#[cfg(feature = "files")]
mod files {
    use std::path::Path;

    use super::super::{Dataset, Error, Split, file};
    use super::{Cifar, parse};

    /// Reads the training and test set from the folder into which the archive of the binary version is unpacked:
    /// `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` of CIFAR-10, `train.bin` and `test.bin` of CIFAR-100.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is malformed, or training files of CIFAR-10 differ in size.
    pub fn load(folder: &Path, set: Cifar) -> Result<Split, Error> {
        // A folder that is missing or closed to us would otherwise pass for one that lacks a file.
        std::fs::read_dir(folder).map_err(|source| Error::Read { file: folder.display().to_string(), source })?;
        let read = |name: &str| {
            let path = folder.join(name);
            let file = path.display().to_string();
            Ok::<_, Error>((parse(&file, &file::read(&path)?, set)?, file))
        };
        if set != Cifar::Ten {
            return Ok(Split { training: read("train.bin")?.0, test: read("test.bin")?.0 });
        }
        let (mut training, first) = read("data_batch_1.bin")?;
        let images = training.len();
        for index in 2..=5 {
            let (more, file): (Dataset, String) = read(&format!("data_batch_{index}.bin"))?;
            if more.len() != images {
                let expected = format!("{images} images, as in {first}");
                return Err(Error::content(&file, expected, more.len().to_string()));
            }
            training.append(more)?;
        }
        Ok(Split { training, test: read("test_batch.bin")?.0 })
    }
}

#[cfg(feature = "files")]
pub use files::load;

#[cfg(test)]
mod tests {
    use super::*;

    /// An image whose channels are ramps: red counts pixels, green is 7, blue falls.
    fn record(labels: &[u8]) -> Vec<u8> {
        let ramp = |f: fn(usize) -> u8| (0..PIXELS).map(f).collect::<Vec<_>>();
        [labels.to_vec(), ramp(|i| i as u8), ramp(|_| 7), ramp(|i| 255 - (i % 256) as u8)].concat()
    }

    #[test]
    fn planes_of_colours_become_pixels_of_three_channels() {
        let set = parse("file", &[record(&[3]), record(&[9])].concat(), Cifar::Ten).unwrap();
        assert_eq!((set.len(), set.labels(), set.classes()), (2, &[3, 9][..], 10));
        assert_eq!(set.image_shape(), [32, 32, 3].into());
        assert_eq!(set.image(1)[3 * 33..][..3], [33.0 / 255.0, 7.0 / 255.0, 222.0 / 255.0]);
    }

    #[test]
    fn images_of_cifar_100_have_a_fine_and_a_coarse_label() {
        let bytes = record(&[19, 99]);
        let labels = |set| parse("file", &bytes, set).unwrap().labels().to_vec();
        assert_eq!((labels(Cifar::Hundred), labels(Cifar::HundredCoarse)), (vec![99], vec![19]));
    }

    #[test]
    fn a_cut_file_and_a_label_out_of_range_are_named() {
        let error = |bytes: &[u8], set| parse("file", bytes, set).unwrap_err().to_string();
        let cut = &record(&[3])[1..];
        let expected =
            "file: expected images of 3073 bytes each, as in the binary version of cifar-10, got 3072 bytes in all";
        assert_eq!(error(cut, Cifar::Ten), expected);
        assert!(error(&[], Cifar::Hundred).ends_with("cifar-100, got 0 bytes in all"));
        let wrong = [record(&[3]), record(&[10])].concat();
        assert_eq!(error(&wrong, Cifar::Ten), "file: expected labels below 10, got 10 in image 1");
        assert_eq!(error(&record(&[20, 1]), Cifar::Hundred), "file: expected labels below 20, got 20 in image 0");
        assert_eq!(
            error(&record(&[1, 100]), Cifar::HundredCoarse),
            "file: expected labels below 100, got 100 in image 0"
        );
    }
}
