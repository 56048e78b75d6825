// The directions of a mirrored population, cut into slices, and a dispatch's part of each. Takes no names from others.

struct Uniform {
    parameters: u32,
    pairs: u32,       // (parameters + 1) / 2
    directions: u32,
    slices: u32,
    slice: u32,       // directions of each slice but the last
    first: u32,       // the first direction, within its slice, of this dispatch
    end: u32,         // the end of its directions, within their slice
    stream: u32,
    scale: f32,
}

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;
