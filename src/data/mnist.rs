//! MNIST and the sets that come in its four IDX files (Fashion-MNIST among them).

use super::idx::Idx;
use super::{Dataset, Error};

/// All of them have ten classes.
const CLASSES: usize = 10;

/// A set from parsed images `(rows, height, width)` and labels `(rows,)`; pixels from 0 to 255 become 0 to 1. The file
/// names are for errors.
///
/// # Errors
/// If images and labels do not match in number, or a label is out of range.
pub fn dataset(
    name: &str,
    (images_file, images): (&str, &Idx),
    (labels_file, labels): (&str, &Idx),
) -> Result<Dataset, Error> {
    let &[rows, height, width] = &images.dimensions[..] else {
        return Err(Error::content(
            images_file,
            "3 dimensions (rows, height, width)",
            format!("{} ({})", images.dimensions.len(), extents(images)),
        ));
    };
    if labels.dimensions != [rows] {
        return Err(Error::content(labels_file, format!("{rows} labels, one for each image"), extents(labels)));
    }
    if let Some(row) = labels.values.iter().position(|&label| usize::from(label) >= CLASSES) {
        let got = format!("{} at index {row}", labels.values[row]);
        return Err(Error::content(labels_file, format!("labels below {CLASSES}"), got));
    }
    let pixels = images.values.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    let labels = labels.values.iter().map(|&label| u32::from(label)).collect();
    let set = Dataset::new(images_file, [height, width], CLASSES, pixels, labels)?;
    Ok(set.named(name))
}

fn extents(idx: &Idx) -> String {
    idx.dimensions.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

#[cfg(feature = "files")]
mod files {
    use std::path::{Path, PathBuf};

    use super::super::{Error, Split, idx};

    /// Reads the training and test set from a folder that holds the four files under their usual names
    /// (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`),
    /// each plain or with `.gz`; `name` is the name of the set.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is malformed.
    pub fn load(folder: &Path, name: &str) -> Result<Split, Error> {
        // A folder that is missing or closed to us would otherwise pass for one that lacks a file.
        std::fs::read_dir(folder).map_err(|source| Error::Read { file: folder.display().to_string(), source })?;
        let set = |part: &str| {
            let images = read(folder, &format!("{part}-images-idx3-ubyte"))?;
            let labels = read(folder, &format!("{part}-labels-idx1-ubyte"))?;
            super::dataset(name, (&images.0, &images.1), (&labels.0, &labels.1)).map(|set| (images.0, set))
        };
        let (_, training) = set("train")?;
        let (test_file, test) = set("t10k")?;
        if training.image_shape() != test.image_shape() {
            let expected = format!("images of {}, as for training", training.image_shape());
            return Err(Error::content(&test_file, expected, format!("images of {}", test.image_shape())));
        }
        Ok(Split { training, test })
    }

    /// The named file, plain or gzip, with its path.
    fn read(folder: &Path, stem: &str) -> Result<(String, idx::Idx), Error> {
        let candidates = [folder.join(stem), folder.join(format!("{stem}.gz"))];
        let Some(path) = candidates.iter().find(|path: &&PathBuf| path.exists()) else {
            let expected = format!("the file {stem} or {stem}.gz");
            return Err(Error::content(&folder.display().to_string(), expected, "neither"));
        };
        Ok((path.display().to_string(), idx::read(path)?))
    }
}

#[cfg(feature = "files")]
pub use files::load;
