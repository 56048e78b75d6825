//! Tells the format of a file of trajectories by its content.

use std::fmt;

use super::super::numpy::ARCHIVE_MAGIC;
use super::super::{Checkpoint, Error};
use super::{Trajectories, imitation};

/// The first bytes of an HDF5 file.
const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The formats of trajectories that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Our own: a checkpoint, see [`Trajectories::checkpoint`].
    Fourfold,
    /// Flat HDF5 arrays, cut where an episode ends (Fu et al. 2020).
    D4rl,
    /// HDF5 with a group for each episode, `metadata.json` beside it (the Farama Foundation).
    Minari,
    /// The `.npz` files of the `imitation` library.
    Imitation,
    /// The files of a DQN's replay buffer, see [`dqn_replay`](crate::data::dqn_replay).
    DqnReplay,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Format::Fourfold => "Fourfold (safetensors)",
            Format::D4rl => "D4RL (HDF5)",
            Format::Minari => "Minari (HDF5)",
            Format::Imitation => "imitation (npz)",
            Format::DqnReplay => "DQN replay (gzip)",
        })
    }
}

impl Trajectories {
    /// Reads the bytes of a file in any [`Format`], which its content tells; `file` names it in errors. `metadata` is the
    /// text of Minari's `metadata.json`, if there is one.
    ///
    /// # Errors
    /// The file is of no such format or damaged, lacks an array, has arrays whose lengths or types disagree or numbers
    /// that are not finite; the sentence names the file, the array and the row. HDF5 is read with the feature `hdf5` alone.
    pub fn from_bytes(file: &str, bytes: Vec<u8>, metadata: Option<&str>) -> Result<(Self, Format), Error> {
        if bytes.starts_with(HDF5_MAGIC) {
            return from_hdf5(file, bytes, metadata);
        }
        if bytes.starts_with(ARCHIVE_MAGIC) {
            let trajectories = imitation::read(file, &bytes)?;
            return Ok((trajectories.named(stem(file)), Format::Imitation));
        }
        let checkpoint = Checkpoint::from_bytes(file, &bytes).map_err(|error| match error {
            Error::Content { .. } => {
                let got = format!("{} bytes of another format, or a damaged file", bytes.len());
                Error::content(file, "trajectories in an HDF5, .npz or safetensors file", got)
            }
            other => other,
        })?;
        Ok((Self::from_checkpoint(&checkpoint)?, Format::Fourfold))
    }
}

#[cfg(feature = "hdf5")]
fn from_hdf5(file: &str, bytes: Vec<u8>, metadata: Option<&str>) -> Result<(Trajectories, Format), Error> {
    use super::{d4rl, hdf5::File, minari};

    let hdf5 = File::open(file, bytes)?;
    if metadata.is_some() || minari::has_episodes(&hdf5)? {
        Ok((minari::read(&hdf5, metadata)?, Format::Minari))
    } else {
        Ok((d4rl::read(&hdf5)?.named(stem(file)), Format::D4rl))
    }
}

#[cfg(not(feature = "hdf5"))]
fn from_hdf5(file: &str, _: Vec<u8>, _: Option<&str>) -> Result<(Trajectories, Format), Error> {
    Err(Error::content(file, "an .npz or safetensors file", "HDF5, which is read with the feature `hdf5` alone"))
}

/// The name of a file without folder and ending.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(feature = "files")]
mod files {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::super::super::{Error, file, text};
    use super::{Format, Trajectories};

    /// Minari's names of the one file with all episodes, and of its description.
    const MINARI: &str = "main_data.hdf5";
    const METADATA: &str = "metadata.json";

    impl Trajectories {
        /// Reads a file in any [`Format`], which its content tells, or a folder: a data set of Minari (`data` inside
        /// it or that folder itself), or one with a single file of trajectories.
        ///
        /// # Errors
        /// It cannot be read, or is what [`from_bytes`](Self::from_bytes) refuses.
        pub fn load(path: &Path) -> Result<Self, Error> {
            Self::load_with_format(path).map(|(trajectories, _)| trajectories)
        }

        /// [`load`](Self::load), and which format it was.
        ///
        /// # Errors
        /// As [`load`](Self::load).
        pub fn load_with_format(path: &Path) -> Result<(Self, Format), Error> {
            let path = if path.is_dir() { file_in(path)? } else { path.to_owned() };
            let name = path.display().to_string();
            let bytes = file::read(&path)?;
            let metadata = match path.file_name() {
                Some(own) if own == MINARI => {
                    let beside = path.with_file_name(METADATA);
                    let text = beside.exists().then(|| file::read(&beside)).transpose()?;
                    let decode =
                        |bytes: Vec<u8>| text::decode(&beside.display().to_string(), &bytes).map(str::to_owned);
                    text.map(decode).transpose()?
                }
                _ => None,
            };
            Self::from_bytes(&name, bytes, metadata.as_deref())
        }
    }

    /// The file of trajectories in a folder.
    fn file_in(folder: &Path) -> Result<PathBuf, Error> {
        let name = folder.display().to_string();
        for candidate in [folder.join(MINARI), folder.join("data").join(MINARI)] {
            if candidate.exists() {
                return Ok(candidate);
            }
        }
        let entries = fs::read_dir(folder).map_err(|source| Error::Read { file: name.clone(), source })?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let known = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            path.is_file() && ending.is_some_and(|ending| ["hdf5", "h5", "npz", "safetensors"].contains(&ending))
        };
        files.retain(known);
        files.sort();
        match &files[..] {
            [file] => Ok(file.clone()),
            [] => Err(Error::content(&name, format!("{MINARI} or one .hdf5, .npz or .safetensors file"), "none")),
            several => {
                let names = several.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy());
                let got = names.collect::<Vec<_>>().join(", ");
                Err(Error::content(&name, "one file of trajectories, or the name of the one that is meant", got))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_loses_folder_and_ending() {
        assert_eq!(stem("data/hopper-medium-v2.hdf5"), "hopper-medium-v2");
        assert_eq!(stem(r"C:\data\final.npz"), "final");
        assert_eq!(stem(".npz"), ".npz");
    }

    #[test]
    fn bytes_of_another_format_are_refused() {
        let error = Trajectories::from_bytes("picture", b"\x89PNG".to_vec(), None).unwrap_err().to_string();
        assert_eq!(
            error,
            "picture: expected trajectories in an HDF5, .npz or safetensors file, got 4 bytes of another format, or a \
             damaged file"
        );
    }
}
