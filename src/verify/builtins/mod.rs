//! The accuracy of a device's builtin functions beside WGSL's bounds, and their answers to NaN, infinities and
//! subnormal numbers.
//!
//! [`measure`] evaluates each builtin on the GPU over the whole range of `f32`, some numbers from every binade, and
//! compares with the result in `f64`. WGSL lets a device treat subnormal numbers as 0 and assume that there are no NaN
//! and no infinities: the answers to those are listed, not judged.

mod interval;
mod list;
mod measurement;
mod samples;
mod ulp;

use fourfold_shaders::{Binding, Call, Data, Element};

use super::probe;
use crate::gpu::{BufferView, Error, Gpu, Launch};
use list::Builtin;

pub use measurement::{Measurement, Worst};
pub use samples::SPECIAL;
pub use ulp::ulp;

/// Measures all builtins. Blocks.
///
/// # Errors
/// As [`Gpu::prepare`], and the loss of the device.
pub fn measure(gpu: &Gpu) -> Result<Vec<Measurement>, Error> {
    list::ALL.iter().map(|builtin| measure_one(gpu, builtin)).collect()
}

fn measure_one(gpu: &Gpu, builtin: &Builtin) -> Result<Measurement, Error> {
    let mut pairs = samples::pairs(builtin);
    let samples = pairs.len();
    pairs.extend(SPECIAL.iter().map(|&(_, x)| (x, builtin.beside.unwrap_or(x))));
    let got = evaluate(gpu, builtin, &pairs)?;
    let mut measurement = Measurement::new(builtin, got[samples..].to_vec());
    for (&(x, y), &got) in pairs[..samples].iter().zip(&got) {
        measurement.judge(builtin, (x, y), got);
    }
    Ok(measurement)
}

/// The result of the builtin for each pair, by the GPU.
fn evaluate(gpu: &Gpu, builtin: &Builtin, pairs: &[(f32, f32)]) -> Result<Vec<f32>, Error> {
    const LANES: usize = 64;
    const BINDINGS: &[Binding] =
        &[Binding::read("xs", "(samples)"), Binding::read("ys", "(samples)"), Binding::write("results", "(samples)")];
    let source = format!(
        "@group(0) @binding(0) var<storage, read> xs: array<f32>;
@group(0) @binding(1) var<storage, read> ys: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

@compute @workgroup_size({LANES})
fn evaluate(@builtin(global_invocation_id) id: vec3<u32>) {{
    if id.x < arrayLength(&results) {{
        let x = xs[id.x];
        let y = ys[id.x];
        results[id.x] = {};
    }}
}}
",
        builtin.expression
    );
    let count = pairs.len();
    let kernel = probe::kernel(format!("builtins({})", builtin.name), source, "evaluate", BINDINGS);
    let call = Call::checked(kernel, &[0u32; 0], count.div_ceil(LANES), [count, count, count]);
    let (xs, ys) = pairs.iter().copied().unzip();
    let results = gpu.upload("results", &Data::poison(Element::F32, count))?;
    let views = [gpu.upload("xs", &Data::F32(xs))?, gpu.upload("ys", &Data::F32(ys))?, results];
    let recording = gpu.prepare(&[Launch::new(&call, &views)])?;
    let results = BufferView::from(&views[2].buffer);
    Ok(probe::run(gpu, &recording, &[(results, Element::F32)])?[0].f32()[..count].to_vec())
}
