// The ascent step of sharpness-aware minimisation for p = 2 (Foret et al., 2021) and its scale-invariant form (Kwon et
// al., 2021):
//
//   l2               ascent = weights + rho * T (T gradient / norm)         norm = |T gradient|_2 over all elements
//   scaled_gradient  scaled = T gradient                                    whose norm `l2` needs
//
//   T = |weights| + eta in the first `adaptive` elements, 1 in the others; adaptive = 0 is plain SAM.
//
// Where the step is 0 the weights keep every bit. A norm below the smallest normal number counts as 0, since some
// GPUs flush such numbers: a zero gradient gives a zero step. Each form takes four elements at a time, its `_ragged`
// form one. For p = infinity: sign_ascent.wgsl.
//
// Takes `Uniform`, `params`, the weights and gradients, WORKGROUP, SMALLEST, `scale` and `raised` from ascent.wgsl.
// Takes `Place` and `index_of` from library/place.wgsl.

// Of `l2`:
@group(0) @binding(2) var<storage, read> norm: array<f32>;                 // (1)
@group(0) @binding(3) var<storage, read> rho: array<f32>;                  // (1)
@group(0) @binding(4) var<storage, read_write> ascent4: array<vec4<f32>>;  // (count), four at a time

// Of `scaled_gradient`:
@group(0) @binding(2) var<storage, read_write> scaled4: array<vec4<f32>>;  // (count), four at a time

// Of the `_ragged` forms:
@group(0) @binding(4) var<storage, read_write> ascent: array<f32>;         // (count)
@group(0) @binding(2) var<storage, read_write> scaled: array<f32>;         // (count)

fn l2_step(first: u32, w: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    if norm[0] < SMALLEST {
        return vec4<f32>(0.0);
    }
    // The quotient is at most 1: neither it nor the step overflows, however small the norm.
    let t = scale(first, w);
    return rho[0] * t * (t * g / norm[0]);
}

@compute @workgroup_size(WORKGROUP)
fn l2(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        ascent4[i] = raised(weights4[i], l2_step(4u * i, weights4[i], gradient4[i]));
    }
}

@compute @workgroup_size(WORKGROUP)
fn l2_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let w = vec4<f32>(weights[i]);
        ascent[i] = raised(w, l2_step(i, w, vec4<f32>(gradient[i]))).x;
    }
}

@compute @workgroup_size(WORKGROUP)
fn scaled_gradient(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        scaled4[i] = scale(4u * i, weights4[i]) * gradient4[i];
    }
}

@compute @workgroup_size(WORKGROUP)
fn scaled_gradient_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        scaled[i] = (scale(i, vec4<f32>(weights[i])) * gradient[i]).x;
    }
}
