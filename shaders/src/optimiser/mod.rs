//! Steps of optimisers, SAM's ascent, and the bookkeeping beside them.

pub mod adamw;
pub mod advance_step;
mod ascent;
pub mod clip;
pub mod ring;
pub mod sam_ascent;
pub mod sgd;
pub mod sgd_plain;
pub mod sign_ascent;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [
        adamw::KERNELS,
        advance_step::KERNELS,
        clip::KERNELS,
        ring::KERNELS,
        sam_ascent::KERNELS,
        sgd::KERNELS,
        sgd_plain::KERNELS,
        sign_ascent::KERNELS,
    ]
    .concat()
}
