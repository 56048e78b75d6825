// The gradient of a convolution's weights for GPUs, as a matrix product whose first matrix is never made: rows are the
// weights of a group, each a tap and a channel of x, columns its outputs, terms the pixels of dy along one row after another.
//
// The tile, its copies and its block of sums are those of matmul_tile.wgsl. A block of terms lies in one row of dy.
//
// Takes all of weight_windows.wgsl and of matmul/register_block.wgsl.

// The four weights whose term an invocation copies.
struct Rows {
    channel: vec4<u32>,  // the channel of x, in elements
    down: vec4<i32>,     // rows and columns of the tap
    right: vec4<i32>,
}

fn rows_of(first: u32, group: u32) -> Rows {
    // Weights past the last repeat it; they are not stored.
    let weights = params.kernel_rows * params.kernel_columns * params.channels;
    let weight = min(first + QUAD, vec4<u32>(weights - 1u));
    let tap = weight / params.channels;
    return Rows(
        (group * params.channels + weight % params.channels) * params.x_channel,
        vec4<i32>(tap / params.kernel_columns),
        vec4<i32>(tap % params.kernel_columns) - i32(params.left),
    );
}

fn load_pixel(line: Line, y: i32, x_column: i32, channel: u32) -> f32 {
    if !inside(y, x_column) {
        return 0.0;
    }
    return x[x_at(line, y, x_column) + channel];
}

// The pixel in this column of dy, for four weights.
fn load_rows(rows: Rows, line: Line, column: u32) -> vec4<f32> {
    if column >= params.y_columns {
        return vec4<f32>();
    }
    let y = line.y + rows.down;
    let x_column = i32(column * params.step_x) + rows.right;
    return vec4<f32>(
        load_pixel(line, y.x, x_column.x, rows.channel.x),
        load_pixel(line, y.y, x_column.y, rows.channel.y),
        load_pixel(line, y.z, x_column.z, rows.channel.z),
        load_pixel(line, y.w, x_column.w, rows.channel.w),
    );
}

// Four outputs of the pixel in this column of dy.
fn load_columns(group: u32, first_output: u32, line: Line, column: u32) -> vec4<f32> {
    if column >= params.y_columns {
        return vec4<f32>();
    }
    let output = group * params.outputs + min(first_output + QUAD, vec4<u32>(params.outputs - 1u));
    let at = line.dy_at + column * params.y_column + output * params.y_channel;
    return vec4<f32>(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
}

@compute @workgroup_size(INVOCATIONS)
fn weight_gradient_tile(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Tiles in order of column, row, group, slice.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let weights = params.kernel_rows * params.kernel_columns * params.channels;
    let tile_columns = (params.outputs + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    let tile_rows = (weights + TILE_ROWS - 1u) / TILE_ROWS;
    let group = tile / tile_columns / tile_rows % params.groups;
    let slice = tile / tile_columns / tile_rows / params.groups;
    if slice >= params.slices {
        return;
    }
    let tile_column = tile % tile_columns * TILE_COLUMNS;
    let tile_row = tile / tile_columns % tile_rows * TILE_ROWS;

    // Neighbouring invocations copy along the pixels of a row if these are contiguous, else along channels and outputs.
    let x_along_pixels = params.x_column == 1u;
    let a_first = place_of(local, ROW_QUADS, x_along_pixels);
    let a_second = place_of(local + INVOCATIONS, ROW_QUADS, x_along_pixels);
    let y_along_pixels = params.y_column == 1u;
    let b_first = place_of(local, COLUMN_QUADS, y_along_pixels);
    let b_second = place_of(local + INVOCATIONS, COLUMN_QUADS, y_along_pixels);
    let rows = rows_of(tile_row + 4u * a_first.quad, group);
    var more_rows = rows;
    if A_COPIES == 2u {
        more_rows = rows_of(tile_row + 4u * a_second.quad, group);
    }
    let output = tile_column + 4u * b_first.quad;
    let more_output = tile_column + 4u * b_second.quad;

    let row_quad = local / BLOCKS_ACROSS;
    let column_quad = local % BLOCKS_ACROSS;
    var sums = Sums();
    var row = slice * params.slice_rows;
    var block = 0u;
    while row < last_row(slice) {
        // The loads stand before the barrier: they are on their way while the block before is multiplied.
        let line = line_of(row);
        var a_loaded = vec4<f32>();
        var b_loaded = vec4<f32>();
        if copies_a(local) {
            a_loaded = load_rows(rows, line, block + a_first.term);
        }
        if copies_b(local) {
            b_loaded = load_columns(group, output, line, block + b_first.term);
        }
        var a_more = vec4<f32>();
        var b_more = vec4<f32>();
        if A_COPIES == 2u {
            a_more = load_rows(more_rows, line, block + a_second.term);
        }
        if B_COPIES == 2u {
            b_more = load_columns(group, more_output, line, block + b_second.term);
        }
        workgroupBarrier();
        if copies_a(local) {
            a_tile[a_first.term * A_PITCH + a_first.quad] = a_loaded;
        }
        if copies_b(local) {
            b_tile[b_first.term * B_PITCH + b_first.quad] = b_loaded;
        }
        if A_COPIES == 2u {
            a_tile[a_second.term * A_PITCH + a_second.quad] = a_more;
        }
        if B_COPIES == 2u {
            b_tile[b_second.term * B_PITCH + b_second.quad] = b_more;
        }
        workgroupBarrier();
        multiply_tile(&sums, row_quad, column_quad);
        block += TILE_TERMS;
        if block >= params.y_columns {
            block = 0u;
            row += 1u;
        }
    }

    for (var i = 0u; i < BLOCK_ROWS; i++) {
        let weight = tile_row + row_of_block(i, row_quad);
        if weight < weights {
            let at = weight_at(slice, group, weight);
            store_four(at, tile_column + 4u * column_quad, sums.s0_0);
            if BLOCK_COLUMNS == 8u {
                store_four(at, tile_column + 4u * column_quad + TILE_COLUMNS / 2u, sums.s0_1);
            }
        }
        move_up(&sums);
    }
}

fn store_four(at: u32, first_output: u32, sums: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        if first_output + i < params.outputs {
            partials[at + first_output + i] = sums[i];
        }
    }
}
