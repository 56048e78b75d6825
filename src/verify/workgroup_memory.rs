//! NaN in the workgroup memory of the device, so that a kernel which reads what it never wrote shows it.

use std::sync::{Arc, OnceLock};

use fourfold_shaders::{Binding, Call, Data, Element, Kernel};

use super::guard::SENTINEL;
use super::probe;
use crate::gpu::{Error, Gpu, Launch, Recording};

const WGSL: &str = "\
@group(0) @binding(0) var<storage, read_write> words: array<u32>;

override WORDS: u32 = 4096u;
const LANES = 64u;
var<workgroup> memory: array<u32, WORDS>;

@compute @workgroup_size(LANES)
fn fill(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    // The value comes from a buffer and one word goes back there, so that no compiler drops the stores.
    let value = words[lane];
    for (var word = lane; word < WORDS; word += LANES) {
        memory[word] = value;
    }
    workgroupBarrier();
    words[LANES * (group.x + 1u) + lane] = memory[(lane * 61u + group.x) % WORDS];
}
";

const LANES: usize = 64;

fn kernel() -> Arc<Kernel> {
    static KERNEL: OnceLock<Arc<Kernel>> = OnceLock::new();
    const BINDINGS: &[Binding] = &[Binding::update("words", "(1 + workgroups, 64)").u32()];
    KERNEL.get_or_init(|| probe::kernel("workgroup_memory.fill", WGSL, "fill", BINDINGS)).clone()
}

/// Prepares the dispatch that fills all workgroup memory with NaN; nothing if `kernel` uses none, or on OpenGL.
///
/// Drivers need not keep it until the next dispatch: some clear it, which this cannot see.
pub(super) fn fill(gpu: &Gpu, kernel: &Kernel) -> Result<Recording, Error> {
    // Mesa's OpenGL spends minutes on compiling an array of all workgroup memory.
    if !kernel.source.contains("var<workgroup>") || gpu.info().backend == wgpu::Backend::Gl {
        return Ok(Recording::default());
    }
    let target = gpu.target();
    // A software driver has the memory once for each of its threads; a GPU several times for each of its processors.
    let workgroups = if target.software { 16 } else { 2048 };
    let words = (workgroups + 1) * LANES;
    let call = Call::checked(self::kernel(), &[0u32; 0], workgroups, [words]);
    let call = call.changed(|call| call.constants.push(("WORDS", f64::from(target.workgroup_memory / 4))));
    let value = gpu.upload("words", &Data::U32(vec![SENTINEL; words]))?;
    debug_assert_eq!(Element::BYTES, 4);
    gpu.prepare(&[Launch::new(&call, &[value])])
}
