//! Counter-based random numbers, and dropout, which draws from them.

pub mod dropout;
pub mod threefry;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [dropout::KERNELS, threefry::KERNELS].concat()
}
