//! A lock on the folder of a run: no two processes write into one folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use fourfold::data::Error;

use crate::failure::Failure;

/// The file that is locked. The system frees it when its process ends, however that ends.
pub const LOCK: &str = ".lock";

/// The folder belongs to this process until this is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Locks a folder.
    ///
    /// # Errors
    /// Another process has locked it, or it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(LOCK);
        let unwritten = |source| Error::Write { file: path.display().to_string(), source };
        let file = File::create(&path).map_err(unwritten)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let place = folder.display();
                return Err(Failure::Input(format!(
                    "{place}: expected a folder that no run writes to, got one in use by another process"
                )));
            }
            // Some network file systems have no locks; a run is worth more than its lock.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(unwritten(source).into()),
        }
        Ok(Self { path, file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file first: who opens it meanwhile locks a file without a name, which harms nobody.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_is_refused_until_its_lock_is_dropped() {
        let folder = std::env::temp_dir().join(format!("fourfold-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lock = Lock::take(&folder).unwrap();
        let refused = Lock::take(&folder).unwrap_err();
        assert!(refused.to_string().ends_with("got one in use by another process"), "{refused}");
        drop(lock);
        drop(Lock::take(&folder).unwrap());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
    }
}
