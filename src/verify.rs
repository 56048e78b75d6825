//! Kernels against their CPU twins.

use fourfold_shaders::{Case, Data, Element, Tolerance};

use crate::gpu::{BufferView, Error, Extent, Gpu, Launch};

/// Words of sentinel before and after every operand: 256 bytes each, the widest offset alignment there is.
const GUARD: usize = 64;

/// The sentinel: as an `f32` a tiny negative number that no kernel writes by chance.
const SENTINEL: u32 = 0xA5C3_96E7;

/// The outcome of one case.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The kernel's name.
    pub kernel: String,
    /// The problem in words.
    pub label: String,
    /// The largest error over all written bindings, in units of the bound: at most 1 where the kernel is right.
    pub worst: f64,
    /// The absolute bound at the element of the largest error; 0 where the bits must be equal.
    pub bound: f64,
    /// The binding with the largest error.
    pub binding: &'static str,
    /// The element with the largest error.
    pub index: usize,
    /// The twin's value there.
    pub expected: f64,
    /// The kernel's value there.
    pub got: f64,
    /// The first word outside a binding that the kernel changed.
    pub stray: Option<Stray>,
}

/// A store outside a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// The binding that the store was meant for.
    pub binding: &'static str,
    /// The element that was written, counted from the tensor's first: negative before it, past its length after it.
    pub index: isize,
}

impl Verdict {
    /// Returns true if every element is within its bound and nothing outside the bindings was written.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0 && self.stray.is_none()
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, label, worst, bound, binding, index, expected, got, stray } = self;
        let verdict = if self.passed() { "ok" } else { "WRONG" };
        write!(f, "{kernel}: {verdict}: {binding}[{index}] is {got:e}, its twin {expected:e}, ")?;
        write!(f, "{worst:.3} of the bound {bound:.3e}")?;
        if let Some(Stray { binding, index }) = stray {
            write!(f, "; wrote outside its binding, at {binding}[{index}]")?;
        }
        write!(f, "; {label}")
    }
}

/// Runs one case on the GPU and judges it. Blocks.
///
/// # Errors
/// Those of [`Gpu::prepare`], and the loss of the device. A kernel that computes the wrong numbers is no error but a
/// [`Verdict`].
pub fn run(gpu: &Gpu, case: &Case) -> Result<Verdict, Error> {
    let views = upload(gpu, case)?;
    let launch = Launch { call: &case.call, views: &views, label: &case.label };
    // The guard behind each operand is bound too: drivers drop stores past a binding, and they are to be seen.
    let recording = gpu.prepare_with(&[launch], Extent::View)?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("verify") });
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        recording.record(&mut pass);
    }
    let written: Vec<_> = case.call.kernel.outputs().collect();
    let whole = |&index: &usize| (BufferView::from(&views[index].buffer), Element::U32);
    let ticket = gpu.readback(&mut encoder, &written.iter().map(whole).collect::<Vec<_>>())?;
    gpu.queue().submit([encoder.finish()]);
    let expected = case.expected();
    let got = ticket.wait()?;
    Ok(judge(case, &written, &expected, &got))
}

/// Each operand in a buffer of its own, between two guard regions.
fn upload(gpu: &Gpu, case: &Case) -> Result<Vec<BufferView>, Error> {
    let mut views = Vec::with_capacity(case.operands.len());
    for (operand, binding) in case.operands.iter().zip(case.call.kernel.bindings.iter()) {
        let mut words = vec![SENTINEL; GUARD];
        words.extend_from_slice(bytemuck::cast_slice(operand.bytes()));
        words.resize((words.len() + GUARD).next_multiple_of(4), SENTINEL);
        let buffer = gpu.upload(binding.name, &Data::U32(words))?.buffer;
        let offset = (GUARD * Element::BYTES) as u64;
        views.push(BufferView::new(&buffer, offset, buffer.size() - offset));
    }
    Ok(views)
}

/// Compares the words read back, guards included, with the twin's.
fn judge(case: &Case, written: &[usize], expected: &[Data], got: &[Data]) -> Verdict {
    let kernel = &*case.call.kernel;
    let mut verdict = Verdict {
        kernel: kernel.name.to_string(),
        label: case.label.clone(),
        worst: 0.0,
        bound: 0.0,
        binding: "",
        index: 0,
        expected: 0.0,
        got: 0.0,
        stray: None,
    };
    for (&index, words) in written.iter().zip(got) {
        let (binding, expected) = (&kernel.bindings[index], &expected[index]);
        let words = words.u32();
        let tensor = GUARD..GUARD + expected.len();
        let stray = words.iter().enumerate().find(|&(at, &word)| !tensor.contains(&at) && word != SENTINEL);
        if let Some((at, _)) = stray {
            let stray = Stray { binding: binding.name, index: at as isize - GUARD as isize };
            verdict.stray.get_or_insert(stray);
        }
        let tolerance: Tolerance = (kernel.tolerance)(&case.call, &case.operands, index);
        let got = Data::from_bytes(expected.element(), bytemuck::cast_slice(&words[tensor]));
        let comparison = tolerance.compare(expected, &got);
        if comparison.worst > verdict.worst || verdict.binding.is_empty() {
            verdict = Verdict {
                worst: comparison.worst,
                bound: tolerance.bound(comparison.index, comparison.expected),
                binding: binding.name,
                index: comparison.index,
                expected: comparison.expected,
                got: comparison.got,
                ..verdict
            };
        }
    }
    verdict
}
