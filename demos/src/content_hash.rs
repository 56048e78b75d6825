//! Names input by its content, so that a run is not resumed with other data.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs};

use fourfold::data::{Error, file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// A file that a flag names. The configuration of a run holds the SHA-256 of its content beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputFile {
    path: PathBuf,
    sha256: String,
}

/// Between the name and the hash in a configuration.
const HASH: &str = ", SHA-256 ";

impl InputFile {
    /// Returns the path, if the file still holds what it held.
    ///
    /// # Errors
    /// The file cannot be read, or has another content.
    pub fn checked(&self) -> Result<&Path, Failure> {
        let (file, expected, got) = (self.path.display(), &self.sha256, sha256(&self.path)?);
        if got == *expected {
            return Ok(&self.path);
        }
        Err(Failure::Input(format!("{file}: expected the file of the run, SHA-256 {expected}, got SHA-256 {got}")))
    }

    /// Returns the name of the file, as it was given.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Parses the name of a file on the command line.
impl FromStr for InputFile {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        let path = PathBuf::from(name);
        Ok(Self { sha256: sha256(&path)?, path })
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{HASH}{}", self.path.display(), self.sha256)
    }
}

impl From<InputFile> for String {
    fn from(file: InputFile) -> Self {
        file.to_string()
    }
}

/// Parses the text of a configuration.
impl TryFrom<String> for InputFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (path, sha256) =
            text.rsplit_once(HASH).ok_or_else(|| format!("expected `FILE{HASH}HASH`, got `{text}`"))?;
        Ok(Self { path: path.into(), sha256: sha256.into() })
    }
}

/// Returns the SHA-256 of a file in hexadecimal, as `sha256sum` prints it; of a folder, that of the lines that `sha256sum`
/// prints for the files in it and in its folder `data` (where Minari's data sets are), in the order of their names.
///
/// # Errors
/// If the file or folder cannot be read.
pub fn sha256(path: &Path) -> Result<String, Failure> {
    if !path.is_dir() {
        return Ok(hexadecimal(&file::read(path)?));
    }
    let mut files = files_in(path)?;
    let data = path.join("data");
    if data.is_dir() {
        files.extend(files_in(&data)?);
    }
    let mut lines = String::new();
    for file in files {
        let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        lines += &format!("{}  {name}\n", hexadecimal(&file::read(&file)?));
    }
    Ok(hexadecimal(lines.as_bytes()))
}

/// The files in a folder, in the order of their names.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |source| Error::Read { file: folder.display().to_string(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_alone_decides_and_every_file_of_a_folder_counts() {
        let folder = std::env::temp_dir().join(format!("fourfold-content-hash-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();
        let (table, inner) = (folder.join("table.csv"), folder.join("data/main_data.hdf5"));
        fs::write(&table, "abc").unwrap();
        // The SHA-256 of "abc", FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&table).unwrap(), expected);

        fs::write(&inner, "abc").unwrap();
        let whole = sha256(&folder).unwrap();
        assert_eq!(whole, hexadecimal(format!("{expected}  table.csv\n{expected}  data/main_data.hdf5\n").as_bytes()));
        fs::write(&inner, "abd").unwrap();
        assert_ne!(sha256(&folder).unwrap(), whole);
        fs::remove_dir_all(&folder).unwrap();
        assert!(sha256(&table).unwrap_err().to_string().starts_with("cannot read "));
    }
}
