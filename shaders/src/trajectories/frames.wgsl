// Stacked frames of recorded steps, from bytes to numbers from 0 to 1:
//
//     y[i, p, k] = frames[wanted[i] - (stack - 1 - k), p] / 255
//
// and 0 where the episode had not begun (times[i] counts its steps), or where the row is not one of this table's own: rows
// before `lead` belong to the table before, and are here for the stacks of the first ones. Four pixels share a word, the first
// in its lowest byte.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    rows: u32,   // frames of the table
    words: u32,  // of a frame
    count: u32,  // stacks
    stack: u32,  // frames of a stack
    lead: u32,   // frames before the table's own
}

@group(0) @binding(0) var<storage, read> frames: array<u32>;     // (rows, words)
@group(0) @binding(1) var<storage, read> wanted: array<u32>;     // (count)
@group(0) @binding(2) var<storage, read> times: array<u32>;      // (count)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // (count, 4 words, stack)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn stacked(at: Place) {
    let own = index_of(at);
    let i = own / params.words;
    let word = own % params.words;
    if i >= params.count {
        return;
    }
    let row = wanted[i];
    let time = times[i];
    let is_own = row >= params.lead && row < params.rows;
    // The grid is flat, so z is 0; without it the bound of the loop would be of the uniform block alone.
    let stack = params.stack + at.workgroup.z;
    for (var k = 0u; k < stack; k++) {
        let before = stack - 1u - k;
        let exists = is_own && before <= time && before <= row;
        // A frame that does not exist reads the table's first and stores zeros.
        let pixels = select(0u, frames[select(0u, row - before, exists) * params.words + word], exists);
        let first = own * 4u * stack + k;
        y[first] = f32(pixels & 255u) / 255.0;
        y[first + stack] = f32((pixels >> 8u) & 255u) / 255.0;
        y[first + 2u * stack] = f32((pixels >> 16u) & 255u) / 255.0;
        y[first + 3u * stack] = f32(pixels >> 24u) / 255.0;
    }
}
