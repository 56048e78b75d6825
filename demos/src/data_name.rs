//! Images by name, for the experiments that classify them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
}
