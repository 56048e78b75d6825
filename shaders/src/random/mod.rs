//! Counter-based random numbers, and dropout and the augmentation of images, which draw from them.

pub mod augment;
pub mod dropout;
pub mod threefry;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [augment::KERNELS, dropout::KERNELS, threefry::KERNELS].concat()
}
