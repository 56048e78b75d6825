// A step of the deviations of PGPE along their gradient, each change limited to a share of the deviation itself:
//
//   limit[p]     = fraction * deviation[p]
//   deviation[p] = max(deviation[p] + clamp(rate * gradient[p], -limit[p], limit[p]), floor)
//
// `pgpe_deviation` takes four elements at a time, `pgpe_deviation_ragged` one.
//
// Takes `Place` and `index_of` from library/place.wgsl, `larger` and `or_nan` from library/not_a_number.wgsl.

struct Uniform {
    count: u32,
    fraction: f32,
    floor: f32,
}

@group(0) @binding(0) var<storage, read_write> deviation4: array<vec4<f32>>;  // (count), four at a time
@group(0) @binding(0) var<storage, read_write> deviation: array<f32>;         // (count)
@group(0) @binding(1) var<storage, read> gradient4: array<vec4<f32>>;         // (count), four at a time
@group(0) @binding(1) var<storage, read> gradient: array<f32>;                // (count)
@group(0) @binding(2) var<storage, read> rate: array<f32>;                    // (1)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

fn moved(deviation: vec4<f32>, gradient: vec4<f32>) -> vec4<f32> {
    let limit = params.fraction * deviation;
    let change = rate[0] * gradient;
    return larger(deviation + or_nan(change, clamp(change, -limit, limit)), vec4<f32>(params.floor));
}

@compute @workgroup_size(WORKGROUP)
fn pgpe_deviation(at: Place) {
    let i = index_of(at);
    if i < params.count / 4u {
        deviation4[i] = moved(deviation4[i], gradient4[i]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn pgpe_deviation_ragged(at: Place) {
    let i = index_of(at);
    if i < params.count {
        deviation[i] = moved(vec4<f32>(deviation[i]), vec4<f32>(gradient[i])).x;
    }
}
