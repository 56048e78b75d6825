//! Kernels over recorded episodes.

pub mod returns_to_go;
pub mod windows;
