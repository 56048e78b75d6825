//! Fitness, ranks and gradients of evolution strategies.

pub mod centred_ranks;
pub mod evolution_gradient;
pub mod fitness;
pub mod mirrored;
pub mod pair_shares;
pub mod persistent_gradient;
pub mod perturb;
pub mod pgpe_deviation;
pub mod pgpe_gradient;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [
        centred_ranks::KERNELS,
        evolution_gradient::KERNELS,
        fitness::KERNELS,
        mirrored::KERNELS,
        pair_shares::KERNELS,
        persistent_gradient::KERNELS,
        perturb::KERNELS,
        pgpe_deviation::KERNELS,
        pgpe_gradient::KERNELS,
    ]
    .concat()
}
