// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; PyTorch's AdamW), for step t = 1, 2, ...
//
//   first_moment  = first_moment + (1 - beta1) * (gradient - first_moment)
//   second_moment = beta2 * second_moment + (1 - beta2) * gradient^2
//   weights = weights * (1 - rate * weight_decay)              weight decay only in the first `decayed` elements
//           - rate * (first_moment / (1 - beta1^t)) / (sqrt(second_moment / (1 - beta2^t)) + epsilon)
//
// 1 - beta and ln(beta) come rounded from f64: 1 - 0.999 in f32 would be wrong in its fifth digit.
// `adamw` takes four elements at a time, `adamw_ragged` one.
//
// Takes `Place` and `index_of` from library/place.wgsl, `one_minus_exp` from bias_correction.wgsl.

struct Uniform {
    count: u32,
    decayed: u32,
    weight_decay: f32,
    epsilon: f32,
    beta2: f32,
    complement1: f32,  // 1 - beta1
    complement2: f32,  // 1 - beta2
    log_beta1: f32,    // ln(beta1)
    log_beta2: f32,    // ln(beta2)
}

@group(0) @binding(0) var<storage, read_write> weights4: array<vec4<f32>>;        // (count), four at a time
@group(0) @binding(1) var<storage, read_write> first_moment4: array<vec4<f32>>;   // (count), four at a time
@group(0) @binding(2) var<storage, read_write> second_moment4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(3) var<storage, read> gradient4: array<vec4<f32>>;             // (count), four at a time
@group(0) @binding(4) var<storage, read> rate: array<f32>;                        // (1)
@group(0) @binding(5) var<storage, read> step: array<u32>;                        // (1): t

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;               // (count)
@group(0) @binding(1) var<storage, read_write> first_moment: array<f32>;          // (count)
@group(0) @binding(2) var<storage, read_write> second_moment: array<f32>;         // (count)
@group(0) @binding(3) var<storage, read> gradient: array<f32>;                    // (count)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

fn mean_of_gradient(m: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return m + params.complement1 * (g - m);
}

fn mean_of_square(v: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    return params.beta2 * v + params.complement2 * g * g;
}

// The new weights of the elements from `first` on, with the new moments m and v.
fn moved(first: u32, w: vec4<f32>, m: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    let t = f32(max(step[0], 1u));
    let bias1 = one_minus_exp(t * params.log_beta1);
    let bias2 = one_minus_exp(t * params.log_beta2);
    // v / bias2 could overflow where this cannot.
    let update = (m / bias1) / (sqrt(v) / sqrt(bias2) + params.epsilon);
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let decay = select(vec4<f32>(0.0), params.weight_decay * w, element < vec4<u32>(params.decayed));
    return w - rate[0] * (decay + update);
}

@compute @workgroup_size(WORKGROUP)
fn adamw(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        let g = gradient4[i];
        let m = mean_of_gradient(first_moment4[i], g);
        let v = mean_of_square(second_moment4[i], g);
        first_moment4[i] = m;
        second_moment4[i] = v;
        weights4[i] = moved(4u * i, weights4[i], m, v);
    }
}

@compute @workgroup_size(WORKGROUP)
fn adamw_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let g = vec4<f32>(gradient[i]);
        let m = mean_of_gradient(vec4<f32>(first_moment[i]), g);
        let v = mean_of_square(vec4<f32>(second_moment[i]), g);
        first_moment[i] = m.x;
        second_moment[i] = v.x;
        weights[i] = moved(i, vec4<f32>(weights[i]), m, v).x;
    }
}
