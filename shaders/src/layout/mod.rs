//! Kernels that move elements: copies, padding, rows of tables.

pub mod concatenate;
pub mod copy;
pub mod gather;
pub mod pad;
pub mod scatter_add;
pub mod scatter_order;
mod view;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [copy::KERNELS, gather::KERNELS, pad::KERNELS, scatter_add::KERNELS, scatter_order::KERNELS].concat()
}
