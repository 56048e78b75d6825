//! Fitness, ranks and gradients of evolution strategies.

pub mod centred_ranks;
pub mod evolution_gradient;
pub mod fitness;
pub mod pair_shares;
pub mod persistent_gradient;
pub mod perturb;
pub mod pgpe_deviation;
pub mod pgpe_gradient;
