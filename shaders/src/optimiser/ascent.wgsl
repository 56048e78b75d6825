// What the ascent steps of sharpness-aware minimisation share for all norms. Takes no names from others.

struct Uniform {
    count: u32,
    adaptive: u32,
    eta: f32,
}

@group(0) @binding(0) var<storage, read> weights4: array<vec4<f32>>;       // (count), four at a time
@group(0) @binding(1) var<storage, read> gradient4: array<vec4<f32>>;      // (count), four at a time
@group(0) @binding(0) var<storage, read> weights: array<f32>;              // (count), of the `_ragged` forms
@group(0) @binding(1) var<storage, read> gradient: array<f32>;             // (count), of the `_ragged` forms
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

const SMALLEST = 1.17549435e-38;

// T of the elements from `first` on.
fn scale(first: u32, w: vec4<f32>) -> vec4<f32> {
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(1.0), abs(w) + params.eta, element < vec4<u32>(params.adaptive));
}

fn raised(w: vec4<f32>, step: vec4<f32>) -> vec4<f32> {
    return select(w + step, w, step == vec4<f32>(0.0));
}
