// The gradient of a convolution's weights for groups of few channels, depthwise ones first of all, and for whatever has no
// better kernel.
//
// An invocation owns four neighbouring taps of a row of the kernel for one channel of x and one output; neighbours own
// neighbouring outputs, which lie side by side in memory.
//
// Takes all of weight_windows.wgsl and `Place` and `index_of` from library/place.wgsl.

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn weight_gradient_channel(at: Place) {
    // In order of output, group, channel, taps, row of the kernel, slice.
    let index = index_of(at);
    let quads = (params.kernel_columns + 3u) / 4u;
    let output = index % params.outputs;
    let group = index / params.outputs % params.groups;
    let of_group = index / params.outputs / params.groups;
    let channel = of_group % params.channels;
    let first_tap = of_group / params.channels % quads * 4u;
    let tap_y = of_group / params.channels / quads % params.kernel_rows;
    let slice = of_group / params.channels / quads / params.kernel_rows;
    if slice >= params.slices {
        return;
    }
    let x_channel = (group * params.channels + channel) * params.x_channel;
    let y_channel = (group * params.outputs + output) * params.y_channel;
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let columns = params.y_columns + at.workgroup.z;
    var sum = vec4<f32>();
    for (var row = slice * params.slice_rows; row < last_row(slice); row++) {
        let line = line_of(row);
        let y = line.y + i32(tap_y);
        for (var column = 0u; column < columns; column++) {
            let x0 = i32(column * params.step_x + first_tap) - i32(params.left);
            // Not a product with a mask: what lies at the address may be infinite.
            let pixels = vec4<f32>(
                select(0.0, x[x_at(line, y, x0) + x_channel], inside(y, x0)),
                select(0.0, x[x_at(line, y, x0 + 1) + x_channel], inside(y, x0 + 1)),
                select(0.0, x[x_at(line, y, x0 + 2) + x_channel], inside(y, x0 + 2)),
                select(0.0, x[x_at(line, y, x0 + 3) + x_channel], inside(y, x0 + 3)),
            );
            sum += dy[line.dy_at + column * params.y_column + y_channel] * pixels;
        }
    }
    for (var j = 0u; j < min(4u, params.kernel_columns - first_tap); j++) {
        let tap = tap_y * params.kernel_columns + first_tap + j;
        partials[weight_at(slice, group, tap * params.channels + channel) + output] = sum[j];
    }
}
