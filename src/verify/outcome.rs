//! The outcome of a case that a device was asked to run.

use fourfold_shaders::{Case, Kernel};

use super::{Examination, examine_async};
use crate::gpu::{Error, Gpu};

/// The outcome of one case on one device. A crash or a hang of the driver leaves no outcome: it ends the process.
#[derive(Debug, Clone)]
#[must_use]
pub enum Outcome {
    /// The kernel ran and was judged.
    Judged(Box<Examination>),
    /// The driver, or our own checks, refused the kernel or its buffers.
    Refused(Error),
    /// The device was lost: open another one.
    Lost(Error),
    /// The device lacks what the kernel declares: it is never chosen there.
    Skipped(String),
}

/// Blocks, as [`judge_async`].
#[cfg(not(target_arch = "wasm32"))]
pub fn judge(gpu: &Gpu, kernel: &Kernel, case: &Case) -> Outcome {
    gpu.block_on(judge_async(gpu, kernel, case))
}

/// Runs one case of a kernel and waits for it, if the device can run it.
pub async fn judge_async(gpu: &Gpu, kernel: &Kernel, case: &Case) -> Outcome {
    if let Some(reason) = kernel.lacks_subgroups(gpu.target().subgroups) {
        return Outcome::Skipped(reason);
    }
    match examine_async(gpu, case).await {
        Ok(examination) => Outcome::Judged(Box::new(examination)),
        Err(error @ Error::DeviceLost { .. }) => Outcome::Lost(error),
        Err(error) => Outcome::Refused(error),
    }
}
