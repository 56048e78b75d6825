// The functions of the library by themselves, element by element: so they are judged over all numbers that they take, and
// not only over those that a kernel meets. Takes them from mathematics.wgsl, random.wgsl, activation.wgsl and
// not_a_number.wgsl, and where they are from place.wgsl.

struct Uniform {
    count: u32,
    activation: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                          // (count)
@group(0) @binding(0) var<storage, read> pairs: array<vec2<f32>>;                // (count, 2)
@group(0) @binding(0) var<storage, read> words: array<vec2<u32>>;                // (count, 2)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;                    // (count)
@group(0) @binding(1) var<storage, read_write> both: array<vec2<f32>>;           // (count, 2)
@group(0) @binding(1) var<storage, read_write> integers: array<vec2<u32>>;       // (count, 2)
@group(0) @binding(1) var<storage, read_write> four: array<vec4<f32>>;           // (count, 4)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// both = cosine and sine of x
@compute @workgroup_size(WORKGROUP)
fn turn(at: Place) {
    let i = index_of(at);
    if i < params.count {
        both[i] = cosine_and_sine_of(x[i]);
    }
}

// y = tanh x
@compute @workgroup_size(WORKGROUP)
fn tangent(at: Place) {
    let i = index_of(at);
    if i < params.count {
        y[i] = hyperbolic_tangent(x[i]);
    }
}

// y = 1 / (1 + exp(-x))
@compute @workgroup_size(WORKGROUP)
fn logistic(at: Place) {
    let i = index_of(at);
    if i < params.count {
        y[i] = logistics(vec4(x[i])).x;
    }
}

// y = activation(x)
@compute @workgroup_size(WORKGROUP)
fn activation(at: Place) {
    let i = index_of(at);
    if i < params.count {
        y[i] = activate(x[i]);
    }
}

// both = two normal deviates from two words
@compute @workgroup_size(WORKGROUP)
fn normal(at: Place) {
    let i = index_of(at);
    if i < params.count {
        both[i] = box_muller(words[i]);
    }
}

// both = the uniform deviates of two words
@compute @workgroup_size(WORKGROUP)
fn uniform_pair(at: Place) {
    let i = index_of(at);
    if i < params.count {
        both[i] = vec2(uniform_deviate(words[i].x), uniform_deviate(words[i].y));
    }
}

// integers = what x is, a bit for each question, and its place in the order of the numbers
@compute @workgroup_size(WORKGROUP)
fn kind(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let one = vec2(is_nan(x[i]), is_above_all(x[i]));
        let four = vec4(are_nan(vec4(x[i])).x, are_not_finite(vec4(x[i])).y, are_above_all(vec4(x[i])).z, false);
        let bits = dot(vec2<u32>(one), vec2(1u, 2u)) + dot(vec4<u32>(four), vec4(4u, 8u, 16u, 0u));
        integers[i] = vec2(bits, order_of(x[i]));
    }
}

// four = the larger and the smaller of a pair, the second or the first where that is NaN, NaN
@compute @workgroup_size(WORKGROUP)
fn extremes(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let a = vec4(pairs[i].x);
        let b = vec4(pairs[i].y);
        four[i] = vec4(larger(a, b).x, smaller(a, b).y, or_nan(a, b).z, nan_of(a).w + nan_from(pairs[i].y));
    }
}
