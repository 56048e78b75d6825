//! Images by name, for the experiments that classify them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fourfold::data::cifar::Cifar;
use fourfold::data::{Split, cifar, mnist, svhn};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataName {
    Digits,
    Mnist,
    FashionMnist,
    /// From cifar-10-batches-bin
    #[value(name = "cifar-10")]
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// From cifar-100-binary, with its 100 classes
    #[value(name = "cifar-100")]
    #[serde(rename = "cifar-100")]
    Cifar100,
    /// From svhn: train_32x32.mat and test_32x32.mat
    Svhn,
    /// The same, with extra_32x32.mat to learn from as well
    SvhnExtra,
}

/// As on the command line.
impl fmt::Display for DataName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DataName::Digits => "digits",
            DataName::Mnist => "mnist",
            DataName::FashionMnist => "fashion-mnist",
            DataName::Cifar10 => "cifar-10",
            DataName::Cifar100 => "cifar-100",
            DataName::Svhn => "svhn",
            DataName::SvhnExtra => "svhn-extra",
        })
    }
}

impl DataName {
    /// The names of all images that come in files.
    pub const WITH_FILES: &[&str] = &["mnist", "fashion-mnist", "cifar-10", "cifar-100", "svhn", "svhn-extra"];

    /// Returns the folder below `data` that holds the files, as their archives unpack; digits are built in.
    pub fn folder(self, data: &Path) -> Option<PathBuf> {
        Some(data.join(match self {
            DataName::Digits => return None,
            DataName::Mnist => "mnist",
            DataName::FashionMnist => "fashion-mnist",
            DataName::Cifar10 => "cifar-10-batches-bin",
            DataName::Cifar100 => "cifar-100-binary",
            DataName::Svhn | DataName::SvhnExtra => "svhn",
        }))
    }

    /// Reads the files of a [folder](Self::folder).
    ///
    /// # Errors
    /// One is missing, where `digits` says how to do without, or wrong.
    pub fn load(self, folder: &Path, digits: &str) -> Result<Split, Failure> {
        let loaded = match self {
            DataName::Digits | DataName::Mnist | DataName::FashionMnist => mnist::load(folder, &self.to_string()),
            DataName::Cifar10 => cifar::load(folder, Cifar::Ten),
            DataName::Cifar100 => cifar::load(folder, Cifar::Hundred),
            DataName::Svhn => svhn::load(folder, svhn::Images::Training),
            DataName::SvhnExtra => svhn::load(folder, svhn::Images::WithExtra),
        };
        loaded.map_err(|error| match folder.is_dir() {
            true => error.into(),
            false => Failure::Input(format!(
                "{}: expected the images of {self}, got no such folder: {}, or take {digits}, which needs no files",
                folder.display(),
                self.origin()
            )),
        })
    }

    /// Says how to get the files.
    fn origin(self) -> &'static str {
        match self {
            DataName::Digits | DataName::Mnist | DataName::FashionMnist => "fetch them by `cargo xtask data`",
            DataName::Cifar10 => {
                "unpack the binary version beside it by `tar xzf cifar-10-binary.tar.gz`, from https://www.cs.toronto.edu/~kriz/cifar.html"
            }
            DataName::Cifar100 => {
                "unpack the binary version beside it by `tar xzf cifar-100-binary.tar.gz`, from https://www.cs.toronto.edu/~kriz/cifar.html"
            }
            DataName::Svhn | DataName::SvhnExtra => {
                "put the files of format 2 there, from http://ufldl.stanford.edu/housenumbers"
            }
        }
    }
}
