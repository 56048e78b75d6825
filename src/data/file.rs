//! Files that are read whole and written whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Error;

/// The bytes of a file.
///
/// # Errors
/// If the file cannot be read, or is a device, which may have no end.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    if is_device(path) {
        return Err(Error::content(&path.display().to_string(), "a file", "a device"));
    }
    fs::read(path).map_err(|source| Error::Read { file: path.display().to_string(), source })
}

#[cfg(unix)]
fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|facts| facts.file_type().is_char_device() || facts.file_type().is_block_device())
}

#[cfg(not(unix))]
fn is_device(_: &Path) -> bool {
    false
}

/// Writes a file so that whoever opens `path`, now or after a crash, finds the old file or the new one and nothing
/// between: the bytes go into a file beside it, which takes its name when they are on the disk.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = beside(path);
    let written = write_durably(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // It may never have come to exist; the first error is the one to report.
        let _ = fs::remove_file(&beside);
        Error::Write { file: path.display().to_string(), source }
    })
}

/// Checks before any work that [`write()`] may write a file: it makes an empty one beside it, and removes that.
///
/// # Errors
/// If the folder cannot be written.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let beside = beside(path);
    let made = File::create(&beside).and_then(|_| fs::remove_file(&beside));
    made.map_err(|source| Error::Write { file: path.display().to_string(), source })
}

/// Writes a folder of files so that it is there with all of them or not at all. Nothing is overwritten: the folder may
/// be there, but empty.
///
/// # Errors
/// If the folder or a file in it cannot be written.
pub fn write_folder(path: &Path, files: &[(&str, &[u8])]) -> Result<(), Error> {
    let held = fs::read_dir(path).ok().and_then(|mut entries| entries.next()?.ok());
    if let Some(entry) = held {
        let got = format!("one that holds `{}`", entry.file_name().to_string_lossy());
        return Err(Error::content(&path.display().to_string(), "no folder, or an empty one", got));
    }
    let beside = beside(path);
    let written = write_files(&beside, files).and_then(|()| {
        // Not every system lets a folder take the name of an empty one.
        if path.is_dir() {
            fs::remove_dir(path)?;
        }
        fs::rename(&beside, path)
    });
    written.map_err(|source| {
        // It may never have come to exist; the first error is the one to report.
        let _ = fs::remove_dir_all(&beside);
        Error::Write { file: path.display().to_string(), source }
    })
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    files.iter().try_for_each(|(name, bytes)| write_durably(&folder.join(name), bytes))
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// `.NAME.PID.part` in the same folder, since a rename cannot cross file systems.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}
