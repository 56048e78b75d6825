// A convolution or its input gradient for GPUs, as a matrix product whose first matrix is never made: rows are the pixels of
// a phase, columns the output channels of a group, terms the channels of x under each tap in turn.
//
// The tile, its copies and its block of sums are those of matmul_tile.wgsl. A block of terms lies under one tap, so that
// which pixels are outside is known before its loads.
//
// Takes all of windows.wgsl and of matmul/register_block.wgsl.

// The four pixels whose term an invocation copies, under the first tap.
struct Rows {
    pixel0: Pixel,
    pixel1: Pixel,
    pixel2: Pixel,
    pixel3: Pixel,
}

fn rows_of(phase: Phase, first: u32, pixels: u32) -> Rows {
    // Pixels past the last repeat it; they are not stored.
    return Rows(
        pixel_of(phase, min(first, pixels - 1u)),
        pixel_of(phase, min(first + 1u, pixels - 1u)),
        pixel_of(phase, min(first + 2u, pixels - 1u)),
        pixel_of(phase, min(first + 3u, pixels - 1u)),
    );
}

// A block of terms: the tap over it and its first channel.
struct Block {
    tap_y: u32,
    tap_x: u32,
    channel: u32,
}

fn load_pixel(pixel: Pixel, down: i32, right: i32, channel: u32) -> f32 {
    let y = pixel.y + down;
    let x_column = pixel.x + right;
    if channel >= params.terms || !inside(y, x_column) {
        return 0.0;
    }
    return x[x_at(pixel, y, x_column) + channel * params.x_channel];
}

// Term `term` of a block for four pixels.
fn load_rows(rows: Rows, block: Block, term: u32) -> vec4<f32> {
    let down = params.direction * i32(block.tap_y);
    let right = params.direction * i32(block.tap_x);
    let channel = block.channel + term;
    return vec4<f32>(
        load_pixel(rows.pixel0, down, right, channel),
        load_pixel(rows.pixel1, down, right, channel),
        load_pixel(rows.pixel2, down, right, channel),
        load_pixel(rows.pixel3, down, right, channel),
    );
}

// Term `term` of a block for four outputs.
fn load_columns(phase: Phase, first_output: u32, block: Block, term: u32) -> vec4<f32> {
    let channel = block.channel + term;
    if channel >= params.terms {
        return vec4<f32>();
    }
    let tap = tap_at(phase, block.tap_y, block.tap_x) + channel * params.w_term;
    let output = min(first_output + QUAD, vec4<u32>(params.outputs - 1u));
    let at = tap + output * params.w_output;
    return vec4<f32>(w[at.x], w[at.y], w[at.z], w[at.w]);
}

@compute @workgroup_size(INVOCATIONS)
fn convolution_tile(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Tiles in order of column, row, group, phase.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_columns = (params.outputs + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    let tile_rows = (most_pixels() + TILE_ROWS - 1u) / TILE_ROWS;
    let index = tile / tile_columns / tile_rows;
    if index >= phases() {
        return;
    }
    let phase = phase_of(index);
    let pixels = params.images * phase.rows * phase.columns;
    let tile_column = tile % tile_columns * TILE_COLUMNS;
    let tile_row = tile / tile_columns % tile_rows * TILE_ROWS;
    if tile_row >= pixels {
        return;
    }

    // Neighbouring invocations copy along the channels of x and along the outputs of the weights, if these are contiguous.
    let along_channels = params.x_channel == 1u;
    let a_first = place_of(local, ROW_QUADS, along_channels);
    let a_second = place_of(local + INVOCATIONS, ROW_QUADS, along_channels);
    let along_terms = params.w_term == 1u;
    let b_first = place_of(local, COLUMN_QUADS, along_terms);
    let b_second = place_of(local + INVOCATIONS, COLUMN_QUADS, along_terms);
    let rows = rows_of(phase, tile_row + 4u * a_first.quad, pixels);
    var more_rows = rows;
    if A_COPIES == 2u {
        more_rows = rows_of(phase, tile_row + 4u * a_second.quad, pixels);
    }
    let column = tile_column + 4u * b_first.quad;
    let more_column = tile_column + 4u * b_second.quad;

    let row_quad = local / BLOCKS_ACROSS;
    let column_quad = local % BLOCKS_ACROSS;
    var sums = Sums();
    let blocks = (params.terms + TILE_TERMS - 1u) / TILE_TERMS * phase.taps_y * phase.taps_x;
    var block = Block();
    for (var i = 0u; i < blocks; i++) {
        // The loads stand before the barrier: they are on their way while the block before is multiplied.
        var a_loaded = vec4<f32>();
        var b_loaded = vec4<f32>();
        if copies_a(local) {
            a_loaded = load_rows(rows, block, a_first.term);
        }
        if copies_b(local) {
            b_loaded = load_columns(phase, column, block, b_first.term);
        }
        var a_more = vec4<f32>();
        var b_more = vec4<f32>();
        if A_COPIES == 2u {
            a_more = load_rows(more_rows, block, a_second.term);
        }
        if B_COPIES == 2u {
            b_more = load_columns(phase, more_column, block, b_second.term);
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
        block.channel += TILE_TERMS;
        if block.channel >= params.terms {
            block.channel = 0u;
            block.tap_x += 1u;
            if block.tap_x == phase.taps_x {
                block.tap_x = 0u;
                block.tap_y += 1u;
            }
        }
    }

    for (var i = 0u; i < BLOCK_ROWS; i++) {
        let row = tile_row + row_of_block(i, row_quad);
        if row < pixels {
            let out_at = pixel_of(phase, row).out_at;
            store_four(phase, out_at, tile_column + 4u * column_quad, sums.s0_0);
            if BLOCK_COLUMNS == 8u {
                store_four(phase, out_at, tile_column + 4u * column_quad + TILE_COLUMNS / 2u, sums.s0_1);
            }
        }
        move_up(&sums);
    }
}

fn store_four(phase: Phase, out_at: u32, first_output: u32, sums: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        if first_output + i < params.outputs {
            store(phase, out_at, first_output + i, sums[i]);
        }
    }
}
