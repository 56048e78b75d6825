//! WGSL functions that several kernels share, joined to them as plain text, with kernels that judge them by themselves.

mod functions;

pub(crate) use functions::KERNELS;
