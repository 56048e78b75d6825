//! The outcome of a case that a device was asked to run.

use fourfold_shaders::{Case, Kernel};

use super::{Examination, examine_async, numbered};
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

/// Draws a kernel's case of a number, as [`numbered`] does, runs it and waits for it: the loop over kernels and numbers is
/// all that is left to whoever verifies a device.
pub async fn judge_numbered_async(gpu: &Gpu, kernel: &Kernel, seed: u64, number: u32, size: u32) -> (Case, Outcome) {
    let case = numbered(kernel, seed, number, size, gpu.target());
    let outcome = judge_async(gpu, kernel, &case).await;
    (case, outcome)
}

/// Blocks, as [`judge_numbered_async`].
#[cfg(not(target_arch = "wasm32"))]
pub fn judge_numbered(gpu: &Gpu, kernel: &Kernel, seed: u64, number: u32, size: u32) -> (Case, Outcome) {
    gpu.block_on(judge_numbered_async(gpu, kernel, seed, number, size))
}
