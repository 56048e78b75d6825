//! Attention over (batch, heads, length, head size), forward and backward, and the masked softmax of its decomposition.

#[expect(clippy::module_inception, reason = "a kernel's files are named after the kernel")]
mod attention;
pub mod attention_backward;
pub mod masked_softmax;

pub use attention::*;

use crate::Kernel;

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<&'static Kernel> {
    [attention::KERNELS, attention_backward::KERNELS, masked_softmax::KERNELS].concat()
}
