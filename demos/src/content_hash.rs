//! Names input by its content, so that a run is not resumed with other data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fourfold::data::{Error, file};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Returns the names of files and folders, each with the hash of its content.
///
/// # Errors
/// One cannot be read.
pub fn named(paths: Vec<PathBuf>) -> Result<BTreeMap<String, String>, Failure> {
    paths.into_iter().map(|path| Ok((path.display().to_string(), sha256(&path)?))).collect()
}

/// Checks that files and folders still hold what they held.
///
/// # Errors
/// One cannot be read, or has another content.
pub fn check(inputs: &BTreeMap<String, String>) -> Result<(), Failure> {
    for (name, expected) in inputs {
        let got = sha256(Path::new(name))?;
        if got != *expected {
            let sentence = format!("{name}: expected the file of the run, SHA-256 {expected}, got SHA-256 {got}");
            return Err(Failure::Input(sentence));
        }
    }
    Ok(())
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

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
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
