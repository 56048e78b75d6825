// A convolution or its input gradient for software drivers with subgroups, any kernel and strides.
//
// As in matmul_subgroup.wgsl no element is loaded twice: lane l loads the weights of term l of a block of 8, one for each
// of 16 outputs, and each of the 8 steps over that block takes its weights from their lane by a shuffle. An invocation owns
// 4 pixels of 16 outputs: 64 sums in registers, 6 loads for every 64 multiply-adds. The addresses of the pixels change
// with the tap alone.
//
// Takes all of windows.wgsl.

const LANES = 8u;
const OUTPUTS = 16u;
const PIXELS = 32u;

@compute @workgroup_size(8)
fn convolution_gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Tiles in order of output, pixel, group, phase.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_outputs = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let tile_pixels = (most_pixels() + PIXELS - 1u) / PIXELS;
    let index = tile / tile_outputs / tile_pixels;
    if index >= phases() {
        return;
    }
    let phase = phase_of(index);
    let pixels = params.images * phase.rows * phase.columns;
    let first_of_tile = tile / tile_outputs % tile_pixels * PIXELS;
    if first_of_tile >= pixels {
        return;
    }
    let first_pixel = first_of_tile + 4u * local;
    let first_output = tile % tile_outputs * OUTPUTS;

    // Pixels and outputs past the last repeat it, so that every load is in bounds; they are not stored.
    let pixel0 = pixel_of(phase, min(first_pixel + 0u, pixels - 1u));
    let pixel1 = pixel_of(phase, min(first_pixel + 1u, pixels - 1u));
    let pixel2 = pixel_of(phase, min(first_pixel + 2u, pixels - 1u));
    let pixel3 = pixel_of(phase, min(first_pixel + 3u, pixels - 1u));
    let last = params.outputs - 1u;
    let w0 = min(first_output + 0u, last) * params.w_output;
    let w1 = min(first_output + 1u, last) * params.w_output;
    let w2 = min(first_output + 2u, last) * params.w_output;
    let w3 = min(first_output + 3u, last) * params.w_output;
    let w4 = min(first_output + 4u, last) * params.w_output;
    let w5 = min(first_output + 5u, last) * params.w_output;
    let w6 = min(first_output + 6u, last) * params.w_output;
    let w7 = min(first_output + 7u, last) * params.w_output;
    let w8 = min(first_output + 8u, last) * params.w_output;
    let w9 = min(first_output + 9u, last) * params.w_output;
    let w10 = min(first_output + 10u, last) * params.w_output;
    let w11 = min(first_output + 11u, last) * params.w_output;
    let w12 = min(first_output + 12u, last) * params.w_output;
    let w13 = min(first_output + 13u, last) * params.w_output;
    let w14 = min(first_output + 14u, last) * params.w_output;
    let w15 = min(first_output + 15u, last) * params.w_output;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var sum7 = vec4<f32>();
    var sum8 = vec4<f32>();
    var sum9 = vec4<f32>();
    var sum10 = vec4<f32>();
    var sum11 = vec4<f32>();
    var sum12 = vec4<f32>();
    var sum13 = vec4<f32>();
    var sum14 = vec4<f32>();
    var sum15 = vec4<f32>();
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let terms = params.terms + workgroup.z;
    for (var tap_y = 0u; tap_y < phase.taps_y; tap_y++) {
        for (var tap_x = 0u; tap_x < phase.taps_x; tap_x++) {
            let down = params.direction * i32(tap_y);
            let right = params.direction * i32(tap_x);
            let is_inside = vec4<bool>(
                inside(pixel0.y + down, pixel0.x + right),
                inside(pixel1.y + down, pixel1.x + right),
                inside(pixel2.y + down, pixel2.x + right),
                inside(pixel3.y + down, pixel3.x + right),
            );
            let x0 = x_at(pixel0, pixel0.y + down, pixel0.x + right);
            let x1 = x_at(pixel1, pixel1.y + down, pixel1.x + right);
            let x2 = x_at(pixel2, pixel2.y + down, pixel2.x + right);
            let x3 = x_at(pixel3, pixel3.y + down, pixel3.x + right);
            let tap = tap_at(phase, tap_y, tap_x);
            for (var block = 0u; block < terms; block += LANES) {
                let own = tap + min(block + lane, terms - 1u) * params.w_term;
                let own0 = w[own + w0];
                let own1 = w[own + w1];
                let own2 = w[own + w2];
                let own3 = w[own + w3];
                let own4 = w[own + w4];
                let own5 = w[own + w5];
                let own6 = w[own + w6];
                let own7 = w[own + w7];
                let own8 = w[own + w8];
                let own9 = w[own + w9];
                let own10 = w[own + w10];
                let own11 = w[own + w11];
                let own12 = w[own + w12];
                let own13 = w[own + w13];
                let own14 = w[own + w14];
                let own15 = w[own + w15];
                let steps = min(LANES, terms - block);
                for (var step = 0u; step < steps; step++) {
                    let at = (block + step) * params.x_channel;
                    let loaded = vec4<f32>(x[x0 + at], x[x1 + at], x[x2 + at], x[x3 + at]);
                    // Not a product with a mask: what lies at the address may be infinite.
                    let pixel = select(vec4<f32>(), loaded, is_inside);
                    sum0 += subgroupShuffle(own0, step) * pixel;
                    sum1 += subgroupShuffle(own1, step) * pixel;
                    sum2 += subgroupShuffle(own2, step) * pixel;
                    sum3 += subgroupShuffle(own3, step) * pixel;
                    sum4 += subgroupShuffle(own4, step) * pixel;
                    sum5 += subgroupShuffle(own5, step) * pixel;
                    sum6 += subgroupShuffle(own6, step) * pixel;
                    sum7 += subgroupShuffle(own7, step) * pixel;
                    sum8 += subgroupShuffle(own8, step) * pixel;
                    sum9 += subgroupShuffle(own9, step) * pixel;
                    sum10 += subgroupShuffle(own10, step) * pixel;
                    sum11 += subgroupShuffle(own11, step) * pixel;
                    sum12 += subgroupShuffle(own12, step) * pixel;
                    sum13 += subgroupShuffle(own13, step) * pixel;
                    sum14 += subgroupShuffle(own14, step) * pixel;
                    sum15 += subgroupShuffle(own15, step) * pixel;
                }
            }
        }
    }

    // The outputs move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver four times as long to compile as all the rest.
    let out_at = vec4<u32>(pixel0.out_at, pixel1.out_at, pixel2.out_at, pixel3.out_at);
    let outputs = min(OUTPUTS, params.outputs - first_output);
    for (var i = 0u; i < outputs; i++) {
        for (var j = 0u; j < 4u; j++) {
            if first_pixel + j < pixels {
                store(phase, out_at[j], first_output + i, sum0[j]);
            }
        }
        sum0 = sum1;
        sum1 = sum2;
        sum2 = sum3;
        sum3 = sum4;
        sum4 = sum5;
        sum5 = sum6;
        sum6 = sum7;
        sum7 = sum8;
        sum8 = sum9;
        sum9 = sum10;
        sum10 = sum11;
        sum11 = sum12;
        sum12 = sum13;
        sum13 = sum14;
        sum14 = sum15;
    }
}
