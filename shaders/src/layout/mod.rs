//! Kernels that move elements: copies, padding, rows of tables.

pub mod copy;
pub mod gather;
pub mod pad;
pub mod scatter_add;
