// Clipping by the global norm:  clipped = gradient * min(1, max_norm / norm).
//
// A gradient whose norm is within the bound keeps every bit. `clip` takes four elements at a time, `clip_ragged` one.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    count: u32,
    max_norm: f32,
}

@group(0) @binding(0) var<storage, read> gradient4: array<vec4<f32>>;       // (count), four at a time
@group(0) @binding(0) var<storage, read> gradient: array<f32>;              // (count)
@group(0) @binding(1) var<storage, read> norm: array<f32>;                  // (1)
@group(0) @binding(2) var<storage, read_write> clipped4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(2) var<storage, read_write> clipped: array<f32>;         // (count)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

fn scaled(g: vec4<f32>) -> vec4<f32> {
    if norm[0] <= params.max_norm {
        return g;
    }
    return g * (params.max_norm / norm[0]);
}

@compute @workgroup_size(WORKGROUP)
fn clip(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        clipped4[i] = scaled(gradient4[i]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn clip_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        clipped[i] = scaled(vec4<f32>(gradient[i])).x;
    }
}
