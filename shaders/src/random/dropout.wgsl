// Inverted dropout:  y = x * scale where an element is kept, 0 elsewhere,  scale = 1 / (1 - p).
//
// Element e is kept where its random word is at least threshold = p * 2^32. The word is word e % 2 of
// threefry(key = (seed[0], stream), counter = (e / 2, seed[1])), by random.wgsl: the mask is made again wherever
// it is needed instead of being stored, and the gradient is this same kernel on dy.
//
// `dropout` takes four elements at a time, `dropout_ragged` one.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    count: u32,
    stream: u32,
    threshold: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;        // (count), four at a time
@group(0) @binding(0) var<storage, read> x: array<f32>;               // (count)
@group(0) @binding(1) var<storage, read> seed: array<u32>;            // (2): key, step
@group(0) @binding(2) var<storage, read_write> y4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(2) var<storage, read_write> y: array<f32>;         // (count)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

fn dropped(value: vec4<f32>, word: vec4<u32>) -> vec4<f32> {
    if params.threshold == 0u {
        // p = 0 keeps every bit, those of subnormal numbers too.
        return value;
    }
    // What is not finite is a NaN where it is dropped, as its product with 0 is.
    let nothing = select(vec4<f32>(0.0), nan_of(value), are_not_finite(value));
    return select(nothing, value * params.scale, word >= vec4<u32>(params.threshold));
}

@compute @workgroup_size(WORKGROUP)
fn dropout(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        let key = vec2<u32>(seed[0], params.stream);
        let first = threefry(key, vec2<u32>(2u * i, seed[1]));
        let second = threefry(key, vec2<u32>(2u * i + 1u, seed[1]));
        y4[i] = dropped(x4[i], vec4<u32>(first, second));
    }
}

@compute @workgroup_size(WORKGROUP)
fn dropout_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let words = threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(i / 2u, seed[1]));
        let word = select(words.x, words.y, i % 2u == 1u);
        y[i] = dropped(vec4<f32>(x[i]), vec4<u32>(word)).x;
    }
}
