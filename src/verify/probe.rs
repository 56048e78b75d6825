//! Kernels that probe the device: they have no twin, and their results are judged by whoever runs them.

use std::borrow::Cow;
use std::sync::Arc;

use fourfold_shaders::{Binding, Cases, Kernel, Tolerance};
#[cfg(not(target_arch = "wasm32"))]
use fourfold_shaders::{Data, Element};

#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::{BufferView, Error, Gpu, Recording};

/// Describes a kernel without a uniform block whose loops make fewer passes than any driver cuts off.
pub(super) fn kernel(
    name: impl Into<Cow<'static, str>>,
    source: impl Into<Cow<'static, str>>,
    entry_point: &'static str,
    bindings: impl Into<Cow<'static, [Binding]>>,
) -> Arc<Kernel> {
    Arc::new(Kernel {
        name: name.into(),
        source: source.into(),
        entry_point,
        bindings: bindings.into(),
        uniform_bytes: 0,
        subgroup_sizes: None,
        passes: |_| 0,
        twin: |_, _| {},
        tolerance: |_, _, _| Tolerance::Exact,
        case: Cases::Drawn(|_| unreachable!("this kernel draws no cases")),
        flops: |_| 0.0,
    })
}

/// Runs the recording and reads the views. Blocks.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn run(gpu: &Gpu, recording: &Recording, views: &[(BufferView, Element)]) -> Result<Vec<Data>, Error> {
    let ticket = gpu.submit("probe", |encoder| {
        recording.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        gpu.encode_readback(encoder, views)
    });
    ticket?.wait()
}
