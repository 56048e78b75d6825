//! Several processes by MPI: the tests that need its library, which is installed where it is missing.

use std::ffi::OsString;

use crate::apt::{self, Privilege, privilege, says};
use crate::driver::{self, on_path};
use crate::{Failure, Result, cargo};

/// An MPI library with its launcher, and the library that reads its headers for Rust.
const PACKAGES: [&str; 3] = ["libopenmpi-dev", "openmpi-bin", "libclang-dev"];

pub const USAGE: &str = "\
cargo xtask mpi-test [FLAGS]

Builds the command with the feature `mpi` and compares runs of 2 and 4 processes with those of one. Installs Open MPI with apt
where it may. Other flags go to `cargo test`.

  --if-possible   say in a sentence that there is no MPI library, and succeed";

/// Builds the command with the feature `mpi` and compares runs of several processes with those of one.
pub fn test(arguments: &[OsString]) -> Result {
    let (own, others): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--if-possible");
    driver::ensure()?;
    match ensure() {
        Err(failure) if !own.is_empty() => {
            eprintln!("skipped: runs of several processes by MPI. {}", failure.message.trim_end());
            Ok(())
        }
        Err(failure) => Err(failure),
        Ok(()) => cargo(&["test", "--workspace", "--features", "fourfold-demos/mpi", "--test", "mpi"], &others),
    }
}

/// Ensures that there is an MPI library to build with.
fn ensure() -> Result {
    // Who may not ask the linker's cache is told by the build what it lacks.
    let has_clang = says("ldconfig", &["-p"]).is_none_or(|libraries| libraries.contains("libclang"));
    if on_path("mpirun") && on_path("mpicc") && has_clang {
        return Ok(());
    }
    match privilege() {
        Privilege::None => {}
        may if on_path("apt-get") => {
            eprintln!("No MPI library here: installing {}", PACKAGES.join(", "));
            return apt::install(may == Privilege::Sudo, &PACKAGES);
        }
        _ => {}
    }
    Err(Failure::new(format!(
        "expected an MPI library with `mpirun` and `mpicc` on the PATH, and libclang, got none; on Debian and its kin:\n\n    {}\n",
        apt::typed(&PACKAGES)
    )))
}
