// Stochastic gradient descent with momentum and weight decay (PyTorch's SGD, dampening 0):
//
//   d = gradient + weight_decay * weights                      weight decay only in the first `decayed` elements
//   velocity = momentum * velocity + d                         from 0, so that the first velocity is d
//   weights = weights - rate * velocity                        or, Nesterov, rate * (d + momentum * velocity)
//
// `plain` has no velocity: momentum = 0. Each form takes four elements at a time, its `_ragged` form one.

struct Uniform {
    count: u32,
    decayed: u32,
    weight_decay: f32,
    momentum: f32,
    nesterov: u32,
}

@group(0) @binding(0) var<storage, read_write> weights: array<vec4<f32>>;          // (count), four at a time
@group(0) @binding(1) var<storage, read_write> velocity: array<vec4<f32>>;         // (count), four at a time
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;               // (count), four at a time
@group(0) @binding(3) var<storage, read> rate: array<f32>;                         // (1)

@group(0) @binding(0) var<storage, read_write> weights_ragged: array<f32>;         // (count)
@group(0) @binding(1) var<storage, read_write> velocity_ragged: array<f32>;        // (count)
@group(0) @binding(2) var<storage, read> gradient_ragged: array<f32>;              // (count)

// The bindings of `plain`.
@group(0) @binding(1) var<storage, read> plain_gradient: array<vec4<f32>>;         // (count), four at a time
@group(0) @binding(1) var<storage, read> plain_gradient_ragged: array<f32>;        // (count)
@group(0) @binding(2) var<storage, read> plain_rate: array<f32>;                   // (1)

@group(1) @binding(0) var<uniform> size: Uniform;

override WORKGROUP: u32 = 256u;

// The gradient with weight decay of the elements from `first` on.
fn descent(first: u32, w: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return g + select(vec4<f32>(0.0), size.weight_decay * w, element < vec4<u32>(size.decayed));
}

// The direction of the step, from the gradient with weight decay and the new velocity.
fn direction(d: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return select(v, d + size.momentum * v, size.nesterov == 1u);
}

@compute @workgroup_size(WORKGROUP)
fn momentum(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if i < size.count / 4u {
        let w = weights[i];
        let d = descent(4u * i, w, gradient[i]);
        let v = size.momentum * velocity[i] + d;
        velocity[i] = v;
        weights[i] = w - rate[0] * direction(d, v);
    }
}

@compute @workgroup_size(WORKGROUP)
fn momentum_ragged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if i < size.count {
        let w = weights_ragged[i];
        let d = descent(i, vec4<f32>(w), vec4<f32>(gradient_ragged[i]));
        let v = size.momentum * vec4<f32>(velocity_ragged[i]) + d;
        velocity_ragged[i] = v.x;
        weights_ragged[i] = w - rate[0] * direction(d, v).x;
    }
}

@compute @workgroup_size(WORKGROUP)
fn plain(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if i < size.count / 4u {
        let w = weights[i];
        weights[i] = w - plain_rate[0] * descent(4u * i, w, plain_gradient[i]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn plain_ragged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if i < size.count {
        let w = weights_ragged[i];
        weights_ragged[i] = w - plain_rate[0] * descent(i, vec4<f32>(w), vec4<f32>(plain_gradient_ragged[i])).x;
    }
}
