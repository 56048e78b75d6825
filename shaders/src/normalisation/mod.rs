//! Softmax and layer normalisation of rows, batch normalisation of columns, forward and backward.

pub mod batch_norm;
pub mod batch_norm_backward;
pub mod layer_norm;
pub mod layer_norm_backward;
pub mod layer_norm_parameters;
pub mod softmax;
pub mod softmax_backward;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [
        batch_norm::KERNELS,
        batch_norm_backward::KERNELS,
        layer_norm::KERNELS,
        layer_norm_backward::KERNELS,
        layer_norm_parameters::KERNELS,
        softmax::KERNELS,
        softmax_backward::KERNELS,
    ]
    .concat()
}
