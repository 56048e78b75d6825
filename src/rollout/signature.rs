//! Signatures of the functions that a user's WGSL file must define: what is wrong is named by file, line and function.

#[cfg(feature = "wgsl-checks")]
mod parsed;

#[cfg(feature = "wgsl-checks")]
pub(crate) use parsed::{check_file, check_kernel};

use super::Error;

/// Checks that no size of a description is 0.
pub(crate) fn check_sizes(file: &str, sizes: impl IntoIterator<Item = (&'static str, usize)>) -> Result<(), Error> {
    match sizes.into_iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => {
            let message = format!("its description says {name} = 0: there must be at least one");
            Err(Error::File { file: file.into(), line: None, message })
        }
        None => Ok(()),
    }
}

/// Leaves a whole kernel to the driver.
#[cfg(not(feature = "wgsl-checks"))]
pub(crate) fn check_kernel(_: &str, _: &str) -> Result<(), Error> {
    Ok(())
}

/// Leaves a file to the driver.
#[cfg(not(feature = "wgsl-checks"))]
pub(crate) fn check_file(_: &str, _: &str, _: &str, _: (&[&str], &str), _: &[String]) -> Result<(), Error> {
    Ok(())
}
