// The gradient of a convolution's weights for software drivers with subgroups, any kernel and strides.
//
// As in matmul_subgroup.wgsl no element is loaded twice: lane l loads pixel l of a block of 8 along a row of dy, 16 outputs of
// it, and each of the 8 steps over that block takes its pixel from its lane by a shuffle. An invocation owns 4 weights, each
// a tap and a channel of x, for 16 outputs: 64 sums in registers, 6 loads for every 64 multiply-adds.
//
// Takes all of weight_windows.wgsl.

const LANES = 8u;
const OUTPUTS = 16u;
const WEIGHTS = 32u;

@compute @workgroup_size(8)
fn weight_gradient_gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Tiles in order of output, weight, group, slice.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let weights = params.kernel_rows * params.kernel_columns * params.channels;
    let tile_outputs = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let tile_weights = (weights + WEIGHTS - 1u) / WEIGHTS;
    let group = tile / tile_outputs / tile_weights % params.groups;
    let slice = tile / tile_outputs / tile_weights / params.groups;
    if slice >= params.slices {
        return;
    }
    let first_output = tile % tile_outputs * OUTPUTS;
    let first_weight = tile / tile_outputs % tile_weights * WEIGHTS + 4u * local;

    // Weights and outputs past the last repeat it, so that every load is in bounds; they are not stored.
    let weight = min(first_weight + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(weights - 1u));
    let channel = (group * params.channels + weight % params.channels) * params.x_channel;
    let tap = weight / params.channels;
    let down = vec4<i32>(tap / params.kernel_columns);
    let right = vec4<i32>(tap % params.kernel_columns) - i32(params.left);
    let last = params.outputs - 1u;
    let o0 = min(first_output + 0u, last) * params.y_channel;
    let o1 = min(first_output + 1u, last) * params.y_channel;
    let o2 = min(first_output + 2u, last) * params.y_channel;
    let o3 = min(first_output + 3u, last) * params.y_channel;
    let o4 = min(first_output + 4u, last) * params.y_channel;
    let o5 = min(first_output + 5u, last) * params.y_channel;
    let o6 = min(first_output + 6u, last) * params.y_channel;
    let o7 = min(first_output + 7u, last) * params.y_channel;
    let o8 = min(first_output + 8u, last) * params.y_channel;
    let o9 = min(first_output + 9u, last) * params.y_channel;
    let o10 = min(first_output + 10u, last) * params.y_channel;
    let o11 = min(first_output + 11u, last) * params.y_channel;
    let o12 = min(first_output + 12u, last) * params.y_channel;
    let o13 = min(first_output + 13u, last) * params.y_channel;
    let o14 = min(first_output + 14u, last) * params.y_channel;
    let o15 = min(first_output + 15u, last) * params.y_channel;
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
    let columns = params.y_columns + workgroup.z;
    for (var row = slice * params.slice_rows; row < last_row(slice); row++) {
        let line = line_of(row);
        let y = line.y + down;
        let dy_start = line.dy_at + group * params.outputs * params.y_channel;
        for (var block = 0u; block < columns; block += LANES) {
            let own = dy_start + min(block + lane, columns - 1u) * params.y_column;
            let own0 = dy[own + o0];
            let own1 = dy[own + o1];
            let own2 = dy[own + o2];
            let own3 = dy[own + o3];
            let own4 = dy[own + o4];
            let own5 = dy[own + o5];
            let own6 = dy[own + o6];
            let own7 = dy[own + o7];
            let own8 = dy[own + o8];
            let own9 = dy[own + o9];
            let own10 = dy[own + o10];
            let own11 = dy[own + o11];
            let own12 = dy[own + o12];
            let own13 = dy[own + o13];
            let own14 = dy[own + o14];
            let own15 = dy[own + o15];
            let steps = min(LANES, columns - block);
            for (var step = 0u; step < steps; step++) {
                let x_column = i32((block + step) * params.step_x) + right;
                // Not a product with a mask: what lies at the address may be infinite.
                let pixels = vec4<f32>(
                    select(0.0, x[x_at(line, y.x, x_column.x) + channel.x], inside(y.x, x_column.x)),
                    select(0.0, x[x_at(line, y.y, x_column.y) + channel.y], inside(y.y, x_column.y)),
                    select(0.0, x[x_at(line, y.z, x_column.z) + channel.z], inside(y.z, x_column.z)),
                    select(0.0, x[x_at(line, y.w, x_column.w) + channel.w], inside(y.w, x_column.w)),
                );
                sum0 += subgroupShuffle(own0, step) * pixels;
                sum1 += subgroupShuffle(own1, step) * pixels;
                sum2 += subgroupShuffle(own2, step) * pixels;
                sum3 += subgroupShuffle(own3, step) * pixels;
                sum4 += subgroupShuffle(own4, step) * pixels;
                sum5 += subgroupShuffle(own5, step) * pixels;
                sum6 += subgroupShuffle(own6, step) * pixels;
                sum7 += subgroupShuffle(own7, step) * pixels;
                sum8 += subgroupShuffle(own8, step) * pixels;
                sum9 += subgroupShuffle(own9, step) * pixels;
                sum10 += subgroupShuffle(own10, step) * pixels;
                sum11 += subgroupShuffle(own11, step) * pixels;
                sum12 += subgroupShuffle(own12, step) * pixels;
                sum13 += subgroupShuffle(own13, step) * pixels;
                sum14 += subgroupShuffle(own14, step) * pixels;
                sum15 += subgroupShuffle(own15, step) * pixels;
            }
        }
    }

    // The outputs move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver four times as long to compile as all the rest.
    let outputs = min(OUTPUTS, params.outputs - first_output);
    for (var i = 0u; i < outputs; i++) {
        for (var j = 0u; j < 4u; j++) {
            if first_weight + j < weights {
                partials[weight_at(slice, group, first_weight + j) + first_output + i] = sum0[j];
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
