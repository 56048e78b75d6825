//! Kernels that advance environments: whole episodes with a policy, or a step with actions from outside.

pub mod environments;
pub mod policies;
pub mod step;
pub mod unroll;
