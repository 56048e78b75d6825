//! Sums, maxima and norms.

pub mod argmax;
pub mod global_norm;
pub mod reduce;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [argmax::KERNELS, global_norm::KERNELS, reduce::KERNELS].concat()
}
