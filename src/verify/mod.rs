//! Kernels against their CPU twins.
//!
//! [`run`] uploads the operands of a case, each in a buffer of its own between guard words, fills the workgroup memory of
//! the device with NaN, dispatches the kernel twice and compares every element with the twin's, once, within the kernel's
//! tolerance. A kernel passes if all elements are within their bounds, no guard word changed, and both runs gave the
//! same bits. Guards and unwritten outputs are NaN: a kernel that reads one element too many shows it in its sums.

// These two still block.
#[cfg(not(target_arch = "wasm32"))]
pub mod builtins;
mod guard;
#[cfg(not(target_arch = "wasm32"))]
pub mod litmus;
mod numbered;
mod outcome;
mod pattern;
mod probe;
mod verdict;
mod workgroup_memory;

use fourfold_shaders::{Access, Case, Data, Element, Tolerance};

use crate::gpu::{BufferView, Error, Extent, Gpu, Launch, Recording};

pub use numbered::numbered;
pub use outcome::{Outcome, judge_async, judge_numbered_async};
#[cfg(not(target_arch = "wasm32"))]
pub use outcome::{judge, judge_numbered};
pub use pattern::WrongElements;
pub use verdict::{Stray, Unstable, Verdict};

use guard::Guarded;

/// A judged case with all that the judgement rests on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Examination {
    /// The judgement.
    pub verdict: Verdict,
    /// The operands by the twin, one for each binding.
    pub expected: Vec<Data>,
    /// The operands by the kernel, one for each binding; those that are only read are as they were given.
    pub got: Vec<Data>,
}

/// Runs one case on the GPU, waits for it and judges it.
///
/// # Errors
/// As [`Gpu::prepare`], and the loss of the device. A kernel that computes the wrong numbers is not an error but a
/// [`Verdict`].
pub async fn run_async(gpu: &Gpu, case: &Case) -> Result<Verdict, Error> {
    Ok(examine_async(gpu, case).await?.verdict)
}

/// Blocks, as [`run_async`].
///
/// # Errors
/// As [`run_async`].
#[cfg(not(target_arch = "wasm32"))]
pub fn run(gpu: &Gpu, case: &Case) -> Result<Verdict, Error> {
    gpu.block_on(run_async(gpu, case))
}

/// Blocks, as [`examine_async`].
///
/// # Errors
/// As [`run_async`].
#[cfg(not(target_arch = "wasm32"))]
pub fn examine(gpu: &Gpu, case: &Case) -> Result<Examination, Error> {
    gpu.block_on(examine_async(gpu, case))
}

/// Runs one case on the GPU as [`run_async`] does, and returns the numbers too.
///
/// # Errors
/// As [`run_async`].
pub async fn examine_async(gpu: &Gpu, case: &Case) -> Result<Examination, Error> {
    let limit = gpu.limits().max_storage_buffer_binding_size / Element::BYTES as u64;
    let guarded: Vec<Guarded> = case.operands.iter().map(|operand| Guarded::new(operand, limit as usize)).collect();
    let first = upload(gpu, case, &guarded, None)?;
    let second = upload(gpu, case, &guarded, Some(&first))?;
    let fill = workgroup_memory::fill(gpu, &case.call.kernel)?;
    let recordings = [prepare(gpu, case, &first)?, prepare(gpu, case, &second)?];
    let written: Vec<usize> = case.call.kernel.outputs().collect();
    let whole = |views: &[BufferView], index: usize| (BufferView::from(&views[index].buffer), Element::U32);
    let views: Vec<_> =
        [&first, &second].iter().flat_map(|views| written.iter().map(|&index| whole(views, index))).collect();
    let ticket = gpu.submit("verify", |encoder| {
        for recording in &recordings {
            for part in [&fill, recording] {
                part.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            }
        }
        gpu.encode_readback(encoder, &views)
    })?;
    let expected = case.expected();
    let words = ticket.await?;
    let (once, again) = words.split_at(written.len());
    Ok(compare(case, &guarded, &written, expected, once, again))
}

/// Uploads each operand between its guards; those that are only read are shared with `other`.
fn upload(gpu: &Gpu, case: &Case, guarded: &[Guarded], other: Option<&[BufferView]>) -> Result<Vec<BufferView>, Error> {
    let bindings = case.call.kernel.bindings.iter().zip(guarded).zip(&case.operands).enumerate();
    let view = |(index, ((binding, guarded), operand)): (usize, ((&fourfold_shaders::Binding, &Guarded), &Data))| {
        match other {
            Some(other) if binding.access == Access::Read => Ok(other[index].clone()),
            _ => guarded.upload(gpu, binding.name, operand),
        }
    };
    bindings.map(view).collect()
}

fn prepare(gpu: &Gpu, case: &Case, views: &[BufferView]) -> Result<Recording, Error> {
    let launch = Launch { label: &case.label, ..Launch::new(&case.call, views) };
    // The guard behind each operand is bound too: drivers drop stores past a binding, and they are to be seen.
    gpu.prepare_with(&[launch], Extent::View)
}

/// Compares the words read back, guards included, with the twin's and with those of the second run.
fn compare(
    case: &Case,
    guarded: &[Guarded],
    written: &[usize],
    expected: Vec<Data>,
    once: &[Data],
    again: &[Data],
) -> Examination {
    let kernel = &*case.call.kernel;
    let mut verdict = Verdict::new(&kernel.name, &case.label);
    let mut got = case.operands.clone();
    for ((&index, words), repeated) in written.iter().zip(once).zip(again) {
        let (binding, guarded, words) = (&kernel.bindings[index], &guarded[index], words.u32());
        for words in [words, repeated.u32()] {
            verdict.stray = verdict.stray.or(guarded.stray(words).map(|index| Stray { binding: binding.name, index }));
        }
        let (tensor, repeated) = (&words[guarded.tensor()], &repeated.u32()[guarded.tensor()]);
        let differing = tensor.iter().zip(repeated).position(|(once, again)| once != again);
        verdict.unstable = verdict.unstable.or(differing.map(|index| Unstable {
            binding: binding.name,
            index,
            bits: [tensor[index], repeated[index]],
        }));
        let tolerance: Tolerance = (kernel.tolerance)(&case.call, &case.operands, index);
        got[index] = Data::from_bytes(expected[index].element(), bytemuck::cast_slice(tensor));
        let comparison = tolerance.compare(&expected[index], &got[index]);
        if comparison.worst > verdict.worst || verdict.binding.is_empty() {
            verdict.worst = comparison.worst;
            verdict.bound = tolerance.bound(comparison.index, comparison.expected);
            verdict.binding = binding.name;
            verdict.index = comparison.index;
            verdict.expected = comparison.expected;
            verdict.got = comparison.got;
            verdict.wrong = match comparison.passed() {
                true => WrongElements::default(),
                false => WrongElements::find(&tolerance, &expected[index], &got[index], binding.shape, &case.label),
            };
        }
    }
    Examination { verdict, expected, got }
}
