// The ascent step of sharpness-aware minimisation for p = infinity (Foret et al., 2021) and its scale-invariant form
// (Kwon et al., 2021):
//
//   ascent = weights + rho * T sign(gradient)
//
//   T = |weights| + eta in the first `adaptive` elements, 1 in the others; adaptive = 0 is plain SAM.
//
// Where the step is 0 the weights keep every bit. A gradient below the smallest normal number counts as 0, since some
// GPUs flush such numbers. `sign_ascent` takes four elements at a time, `sign_ascent_ragged` one.
//
// Takes `Uniform`, `params`, the weights and gradients, WORKGROUP, SMALLEST, `scale` and `raised` from ascent.wgsl, and
// `or_nan` from library/not_a_number.wgsl; `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(2) var<storage, read> rho: array<f32>;                  // (1)
@group(0) @binding(3) var<storage, read_write> ascent4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(3) var<storage, read_write> ascent: array<f32>;         // (count)

fn step_of(first: u32, w: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    let signs = select(vec4<f32>(0.0), sign(g), abs(g) >= vec4<f32>(SMALLEST));
    return rho[0] * scale(first, w) * or_nan(g, signs);
}

@compute @workgroup_size(WORKGROUP)
fn sign_ascent(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        ascent4[i] = raised(weights4[i], step_of(4u * i, weights4[i], gradient4[i]));
    }
}

@compute @workgroup_size(WORKGROUP)
fn sign_ascent_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        let w = vec4<f32>(weights[i]);
        ascent[i] = raised(w, step_of(i, w, vec4<f32>(gradient[i]))).x;
    }
}
