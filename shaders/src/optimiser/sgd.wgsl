// Stochastic gradient descent with momentum and weight decay (PyTorch's SGD, dampening 0):
//
//   d = gradient + weight_decay * weights                      weight decay only in the first `decayed` elements
//   velocity = momentum * velocity + d                         from 0, so that the first velocity is d
//   weights = weights - rate * velocity                        or, Nesterov, rate * (d + momentum * velocity)
//
// `sgd` takes four elements at a time, `sgd_ragged` one. Without momentum: sgd_plain.wgsl.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    count: u32,
    decayed: u32,
    weight_decay: f32,
    momentum: f32,
    nesterov: u32,
}

@group(0) @binding(0) var<storage, read_write> weights4: array<vec4<f32>>;   // (count), four at a time
@group(0) @binding(1) var<storage, read_write> velocity4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(2) var<storage, read> gradient4: array<vec4<f32>>;        // (count), four at a time
@group(0) @binding(3) var<storage, read> rate: array<f32>;                   // (1)

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;          // (count)
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>;         // (count)
@group(0) @binding(2) var<storage, read> gradient: array<f32>;               // (count)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

// The gradient with weight decay of the elements from `first` on.
fn descent(first: u32, w: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return g + select(vec4<f32>(0.0), params.weight_decay * w, element < vec4<u32>(params.decayed));
}

// The direction of the step, from the gradient with weight decay and the new velocity.
fn direction(d: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return select(v, d + params.momentum * v, params.nesterov == 1u);
}

@compute @workgroup_size(WORKGROUP)
fn sgd(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        let w = weights4[i];
        let d = descent(4u * i, w, gradient4[i]);
        let v = params.momentum * velocity4[i] + d;
        velocity4[i] = v;
        weights4[i] = w - rate[0] * direction(d, v);
    }
}

@compute @workgroup_size(WORKGROUP)
fn sgd_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let w = weights[i];
        let d = descent(i, vec4<f32>(w), vec4<f32>(gradient[i]));
        let v = params.momentum * vec4<f32>(velocity[i]) + d;
        velocity[i] = v.x;
        weights[i] = w - rate[0] * direction(d, v).x;
    }
}
