//! Losses with their gradients.

pub mod cross_entropy;
pub mod mean_squared_error;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [cross_entropy::KERNELS, mean_squared_error::KERNELS].concat()
}
