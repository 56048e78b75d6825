//! Kernels over recorded episodes.

pub mod frames;
pub mod returns_to_go;
pub mod windows;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [frames::KERNELS, returns_to_go::KERNELS, windows::KERNELS].concat()
}
