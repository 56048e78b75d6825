//! Images by name, for the experiments that classify them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fourfold::data::{Split, mnist};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataName {
    Digits,
    Mnist,
    FashionMnist,
}

/// As on the command line.
impl fmt::Display for DataName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DataName::Digits => "digits",
            DataName::Mnist => "mnist",
            DataName::FashionMnist => "fashion-mnist",
        })
    }
}

impl DataName {
    /// Returns the folder below `data` that holds the files; digits are built in.
    pub fn folder(self, data: &Path) -> Option<PathBuf> {
        (self != DataName::Digits).then(|| data.join(self.to_string()))
    }

    /// Reads the files of a [folder](Self::folder).
    ///
    /// # Errors
    /// One is missing, where `digits` says how to do without, or wrong.
    pub fn load(self, folder: &Path, digits: &str) -> Result<Split, Failure> {
        mnist::load(folder, &self.to_string()).map_err(|error| match folder.is_dir() {
            true => error.into(),
            false => Failure::Input(format!(
                "{}: expected the images of {self}, got no such folder: fetch them by `cargo xtask data`, or take {digits}, \
                 which needs no files",
                folder.display()
            )),
        })
    }
}
