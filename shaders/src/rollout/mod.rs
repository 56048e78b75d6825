//! Kernels that advance environments: whole episodes with a policy, or a step with actions from outside.

pub mod environments;
pub mod policies;
mod registry;
pub mod step;
pub mod unroll;

pub(crate) use registry::kernels;
pub use registry::{ENVIRONMENTS, POLICIES};
