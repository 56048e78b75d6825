// The gradient of a convolution's weights for software drivers with subgroups, for kernels of at most 3 by 3 and strides of 1.
//
// An invocation owns one channel of x, all 9 taps and 16 outputs: 144 sums in registers. The window under a pixel of dy slides
// along the row, so that each step loads one column of three pixels of x, and two of the 16 outputs of dy, which the lanes
// pass by shuffles: 29 multiply-adds a load.
//
// Takes all of weight_windows.wgsl.

const LANES = 8u;
const OUTPUTS = 16u;

@compute @workgroup_size(8)
fn weight_gradient_sliding(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Tiles in order of output, channel, group, slice.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_outputs = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let tile_channels = (params.channels + LANES - 1u) / LANES;
    let group = tile / tile_outputs / tile_channels % params.groups;
    let slice = tile / tile_outputs / tile_channels / params.groups;
    if slice >= params.slices {
        return;
    }
    let first_output = tile % tile_outputs * OUTPUTS;
    let own_channel = tile / tile_outputs % tile_channels * LANES + local;

    // Channels and outputs past the last repeat it, so that every load is in bounds; they are not stored.
    let channel = (group * params.channels + min(own_channel, params.channels - 1u)) * params.x_channel;
    let output = group * params.outputs;
    let low_at = (output + min(first_output + lane % LANES, params.outputs - 1u)) * params.y_channel;
    let high_at = (output + min(first_output + LANES + lane % LANES, params.outputs - 1u)) * params.y_channel;
    var top0 = vec3<f32>();
    var middle0 = vec3<f32>();
    var bottom0 = vec3<f32>();
    var top1 = vec3<f32>();
    var middle1 = vec3<f32>();
    var bottom1 = vec3<f32>();
    var top2 = vec3<f32>();
    var middle2 = vec3<f32>();
    var bottom2 = vec3<f32>();
    var top3 = vec3<f32>();
    var middle3 = vec3<f32>();
    var bottom3 = vec3<f32>();
    var top4 = vec3<f32>();
    var middle4 = vec3<f32>();
    var bottom4 = vec3<f32>();
    var top5 = vec3<f32>();
    var middle5 = vec3<f32>();
    var bottom5 = vec3<f32>();
    var top6 = vec3<f32>();
    var middle6 = vec3<f32>();
    var bottom6 = vec3<f32>();
    var top7 = vec3<f32>();
    var middle7 = vec3<f32>();
    var bottom7 = vec3<f32>();
    var top8 = vec3<f32>();
    var middle8 = vec3<f32>();
    var bottom8 = vec3<f32>();
    var top9 = vec3<f32>();
    var middle9 = vec3<f32>();
    var bottom9 = vec3<f32>();
    var top10 = vec3<f32>();
    var middle10 = vec3<f32>();
    var bottom10 = vec3<f32>();
    var top11 = vec3<f32>();
    var middle11 = vec3<f32>();
    var bottom11 = vec3<f32>();
    var top12 = vec3<f32>();
    var middle12 = vec3<f32>();
    var bottom12 = vec3<f32>();
    var top13 = vec3<f32>();
    var middle13 = vec3<f32>();
    var bottom13 = vec3<f32>();
    var top14 = vec3<f32>();
    var middle14 = vec3<f32>();
    var bottom14 = vec3<f32>();
    var top15 = vec3<f32>();
    var middle15 = vec3<f32>();
    var bottom15 = vec3<f32>();
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let columns = params.y_columns + workgroup.z;
    for (var row = slice * params.slice_rows; row < last_row(slice); row++) {
        let line = line_of(row);
        let left = -i32(params.left);
        let top = row_of(line, 0, channel);
        let middle = row_of(line, 1, channel);
        let bottom = row_of(line, 2, channel);
        // Three columns of x under the first pixel, of which the last is loaded in the loop.
        let first = load_column(top, middle, bottom, left);
        let second = load_column(top, middle, bottom, left + 1);
        var window_top = vec3<f32>(0.0, first.x, second.x);
        var window_middle = vec3<f32>(0.0, first.y, second.y);
        var window_bottom = vec3<f32>(0.0, first.z, second.z);
        for (var column = 0u; column < columns; column++) {
            let next = load_column(top, middle, bottom, left + i32(column) + 2);
            window_top = vec3<f32>(window_top.yz, next.x);
            window_middle = vec3<f32>(window_middle.yz, next.y);
            window_bottom = vec3<f32>(window_bottom.yz, next.z);
            let at = line.dy_at + column * params.y_column;
            let low = dy[at + low_at];
            let high = dy[at + high_at];
            let dy0 = subgroupShuffle(low, 0u);
            top0 += dy0 * window_top;
            middle0 += dy0 * window_middle;
            bottom0 += dy0 * window_bottom;
            let dy1 = subgroupShuffle(low, 1u);
            top1 += dy1 * window_top;
            middle1 += dy1 * window_middle;
            bottom1 += dy1 * window_bottom;
            let dy2 = subgroupShuffle(low, 2u);
            top2 += dy2 * window_top;
            middle2 += dy2 * window_middle;
            bottom2 += dy2 * window_bottom;
            let dy3 = subgroupShuffle(low, 3u);
            top3 += dy3 * window_top;
            middle3 += dy3 * window_middle;
            bottom3 += dy3 * window_bottom;
            let dy4 = subgroupShuffle(low, 4u);
            top4 += dy4 * window_top;
            middle4 += dy4 * window_middle;
            bottom4 += dy4 * window_bottom;
            let dy5 = subgroupShuffle(low, 5u);
            top5 += dy5 * window_top;
            middle5 += dy5 * window_middle;
            bottom5 += dy5 * window_bottom;
            let dy6 = subgroupShuffle(low, 6u);
            top6 += dy6 * window_top;
            middle6 += dy6 * window_middle;
            bottom6 += dy6 * window_bottom;
            let dy7 = subgroupShuffle(low, 7u);
            top7 += dy7 * window_top;
            middle7 += dy7 * window_middle;
            bottom7 += dy7 * window_bottom;
            let dy8 = subgroupShuffle(high, 0u);
            top8 += dy8 * window_top;
            middle8 += dy8 * window_middle;
            bottom8 += dy8 * window_bottom;
            let dy9 = subgroupShuffle(high, 1u);
            top9 += dy9 * window_top;
            middle9 += dy9 * window_middle;
            bottom9 += dy9 * window_bottom;
            let dy10 = subgroupShuffle(high, 2u);
            top10 += dy10 * window_top;
            middle10 += dy10 * window_middle;
            bottom10 += dy10 * window_bottom;
            let dy11 = subgroupShuffle(high, 3u);
            top11 += dy11 * window_top;
            middle11 += dy11 * window_middle;
            bottom11 += dy11 * window_bottom;
            let dy12 = subgroupShuffle(high, 4u);
            top12 += dy12 * window_top;
            middle12 += dy12 * window_middle;
            bottom12 += dy12 * window_bottom;
            let dy13 = subgroupShuffle(high, 5u);
            top13 += dy13 * window_top;
            middle13 += dy13 * window_middle;
            bottom13 += dy13 * window_bottom;
            let dy14 = subgroupShuffle(high, 6u);
            top14 += dy14 * window_top;
            middle14 += dy14 * window_middle;
            bottom14 += dy14 * window_bottom;
            let dy15 = subgroupShuffle(high, 7u);
            top15 += dy15 * window_top;
            middle15 += dy15 * window_middle;
            bottom15 += dy15 * window_bottom;
        }
    }

    // The outputs move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver four times as long to compile as all the rest.
    let outputs = select(0u, min(OUTPUTS, params.outputs - first_output), own_channel < params.channels);
    for (var i = 0u; i < outputs; i++) {
        for (var tap_y = 0u; tap_y < params.kernel_rows; tap_y++) {
            let sums = select(select(bottom0, middle0, tap_y == 1u), top0, tap_y == 0u);
            for (var tap_x = 0u; tap_x < params.kernel_columns; tap_x++) {
                let weight = (tap_y * params.kernel_columns + tap_x) * params.channels + own_channel;
                partials[weight_at(slice, group, weight) + first_output + i] = sums[tap_x];
            }
        }
        top0 = top1;
        middle0 = middle1;
        bottom0 = bottom1;
        top1 = top2;
        middle1 = middle2;
        bottom1 = bottom2;
        top2 = top3;
        middle2 = middle3;
        bottom2 = bottom3;
        top3 = top4;
        middle3 = middle4;
        bottom3 = bottom4;
        top4 = top5;
        middle4 = middle5;
        bottom4 = bottom5;
        top5 = top6;
        middle5 = middle6;
        bottom5 = bottom6;
        top6 = top7;
        middle6 = middle7;
        bottom6 = bottom7;
        top7 = top8;
        middle7 = middle8;
        bottom7 = bottom8;
        top8 = top9;
        middle8 = middle9;
        bottom8 = bottom9;
        top9 = top10;
        middle9 = middle10;
        bottom9 = bottom10;
        top10 = top11;
        middle10 = middle11;
        bottom10 = bottom11;
        top11 = top12;
        middle11 = middle12;
        bottom11 = bottom12;
        top12 = top13;
        middle12 = middle13;
        bottom12 = bottom13;
        top13 = top14;
        middle13 = middle14;
        bottom13 = bottom14;
        top14 = top15;
        middle14 = middle15;
        bottom14 = bottom15;
    }
}

// A channel of a row of x under a row of taps.
struct Row {
    at: u32,          // its first element, in the nearest row inside
    is_inside: bool,
}

fn row_of(line: Line, tap_y: i32, channel: u32) -> Row {
    let y = line.y + tap_y;
    let nearest = u32(clamp(y, 0, i32(params.rows) - 1));
    return Row(line.x_start + nearest * params.x_row + channel, y >= 0 && y < i32(params.rows));
}

// Three pixels of x in one column, under the three rows of taps.
fn load_column(top: Row, middle: Row, bottom: Row, column: i32) -> vec3<f32> {
    let nearest = u32(clamp(column, 0, i32(params.columns) - 1)) * params.x_column;
    let loaded = vec3<f32>(x[top.at + nearest], x[middle.at + nearest], x[bottom.at + nearest]);
    let is_inside = vec3<bool>(top.is_inside, middle.is_inside, bottom.is_inside);
    // Not a product with a mask: what lies at the address may be infinite.
    return select(vec3<f32>(), loaded, is_inside & vec3<bool>(column >= 0 && column < i32(params.columns)));
}
