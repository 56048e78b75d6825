// Keeps the values of the last `length` steps:  ring[step % length, c] = value[c].
//
// Many steps go into one submission, and the host reads the losses of all of them afterwards from one buffer.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    length: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read_write> ring: array<f32>;  // (length, columns)
@group(0) @binding(1) var<storage, read> value: array<f32>;       // (columns)
@group(0) @binding(2) var<storage, read> step: array<u32>;        // (1)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn record(at: Place) {
    let c = index_of(at);
    if c < params.columns {
        ring[(step[0] % params.length) * params.columns + c] = value[c];
    }
}
