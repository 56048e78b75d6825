// A convolution or its input gradient for groups of few channels, depthwise ones first of all, and for whatever has no
// better kernel.
//
// An invocation owns 4 pixels of one channel; neighbours own neighbouring channels, which lie side by side in memory.
//
// Takes all of windows.wgsl and `Place` and `index_of` from library/place.wgsl.

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn convolution_channel(at: Place) {
    // In order of channel, pixels, phase.
    let channels = params.groups * params.outputs;
    let quads = (most_pixels() + 3u) / 4u;
    let index = index_of(at);
    let channel = index % channels;
    let first_pixel = index / channels % quads * 4u;
    let of_phase = index / channels / quads;
    if of_phase >= params.phases_y * params.phases_x {
        return;
    }
    let group = channel / params.outputs;
    let output = channel % params.outputs;
    let phase = phase_of(of_phase * params.groups + group);
    let pixels = params.images * phase.rows * phase.columns;
    if first_pixel >= pixels {
        return;
    }
    // Pixels past the last repeat it, so that every load is in bounds; they are not stored.
    let pixel0 = pixel_of(phase, min(first_pixel + 0u, pixels - 1u));
    let pixel1 = pixel_of(phase, min(first_pixel + 1u, pixels - 1u));
    let pixel2 = pixel_of(phase, min(first_pixel + 2u, pixels - 1u));
    let pixel3 = pixel_of(phase, min(first_pixel + 3u, pixels - 1u));
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let terms = params.terms + at.workgroup.z;
    var sum = vec4<f32>();
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
            let tap = tap_at(phase, tap_y, tap_x) + output * params.w_output;
            for (var term = 0u; term < terms; term++) {
                let channel_at = term * params.x_channel;
                let loaded =
                    vec4<f32>(x[x0 + channel_at], x[x1 + channel_at], x[x2 + channel_at], x[x3 + channel_at]);
                // Not a product with a mask: what lies at the address may be infinite.
                sum += w[tap + term * params.w_term] * select(vec4<f32>(), loaded, is_inside);
            }
        }
    }
    let out_at = vec4<u32>(pixel0.out_at, pixel1.out_at, pixel2.out_at, pixel3.out_at);
    for (var j = 0u; j < 4u; j++) {
        if first_pixel + j < pixels {
            store(phase, out_at[j], output, sum[j]);
        }
    }
}
