//! Kernels that advance environments and policies: whole episodes of both, or a step of either with the other outside.

pub mod act;
pub mod environments;
pub mod picture;
pub mod policies;
pub mod pong_teacher;
mod registry;
pub mod step;
pub mod unroll;

pub(crate) use registry::kernels;
pub use registry::{ENVIRONMENTS, POLICIES};
