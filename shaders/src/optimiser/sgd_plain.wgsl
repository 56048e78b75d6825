// Stochastic gradient descent without momentum, with weight decay:
//
//   weights = weights - rate * (gradient + weight_decay * weights)    weight decay only in the first `decayed` elements
//
// `sgd_plain` takes four elements at a time, `sgd_plain_ragged` one. With momentum: sgd.wgsl.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    count: u32,
    decayed: u32,
    weight_decay: f32,
}

@group(0) @binding(0) var<storage, read_write> weights4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(1) var<storage, read> gradient4: array<vec4<f32>>;       // (count), four at a time
@group(0) @binding(2) var<storage, read> rate: array<f32>;                  // (1)

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;         // (count)
@group(0) @binding(1) var<storage, read> gradient: array<f32>;              // (count)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

// The new weights of the elements from `first` on.
fn moved(first: u32, w: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let decay = select(vec4<f32>(0.0), params.weight_decay * w, element < vec4<u32>(params.decayed));
    return w - rate[0] * (g + decay);
}

@compute @workgroup_size(WORKGROUP)
fn sgd_plain(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        weights4[i] = moved(4u * i, weights4[i], gradient4[i]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn sgd_plain_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        weights[i] = moved(i, vec4<f32>(weights[i]), vec4<f32>(gradient[i])).x;
    }
}
