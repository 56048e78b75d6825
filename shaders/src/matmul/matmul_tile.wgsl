// One product, or a batch of them, for GPUs:
//
//   out[row, column] = activation(sum_term a[row, term] b[term, column] + bias)
//
// A workgroup owns a tile of TILE_ROWS by TILE_COLUMNS elements and walks along the sum TILE_TERMS at a time: it copies
// that part of both matrices to workgroup memory, transposing on the way if their strides ask for it, and each invocation
// multiplies into a block of BLOCK by BLOCK sums held in registers (4 by 4, or 8 by 8 as four quarters half a tile
// apart). Every global word is used TILE_ROWS or TILE_COLUMNS times, every word of workgroup memory BLOCK times.
//
// Takes `params`, `a`, `b`, `bias`, `out` and `part_of` from product.wgsl, and `activate` from library/activation.wgsl.

override TILE_ROWS: u32 = 64u;
override TILE_COLUMNS: u32 = 64u;
override TILE_TERMS: u32 = 16u;
override BLOCK: u32 = 8u;

// In vectors of four. One vector of padding keeps writes along the sum off one bank.
override ROW_QUADS: u32 = TILE_ROWS / 4u;
override COLUMN_QUADS: u32 = TILE_COLUMNS / 4u;
override A_PITCH: u32 = ROW_QUADS + 1u;
override B_PITCH: u32 = COLUMN_QUADS + 1u;
override BLOCKS_ACROSS: u32 = TILE_COLUMNS / BLOCK;
override INVOCATIONS: u32 = TILE_ROWS / BLOCK * BLOCKS_ACROSS;
override A_TILE: u32 = TILE_TERMS * A_PITCH;
override B_TILE: u32 = TILE_TERMS * B_PITCH;

var<workgroup> a_tile: array<vec4<f32>, A_TILE>;  // (terms, rows / 4)
var<workgroup> b_tile: array<vec4<f32>, B_TILE>;  // (terms, columns / 4)

fn store(start: u32, row: u32, first_column: u32, sums: vec4<f32>) {
    if row >= params.m {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        let column = first_column + i;
        if column < params.n {
            var y = sums[i];
            if params.bias != 0u {
                y += bias[select(row, column, params.bias == 1u)];
            }
            out[start + row * params.out_row + column * params.out_column] = activate(y);
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn matmul_tile(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Tiles in order of column, row, batch, slice.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_rows = (params.m + TILE_ROWS - 1u) / TILE_ROWS;
    let tile_columns = (params.n + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    let product = tile / (tile_rows * tile_columns);
    if product >= params.slices * params.batches {
        return;
    }
    let tile_column = tile % tile_columns * TILE_COLUMNS;
    let tile_row = tile / tile_columns % tile_rows * TILE_ROWS;
    let part = part_of(product);

    let row_quad = local / BLOCKS_ACROSS;
    let column_quad = local % BLOCKS_ACROSS;
    var sum0_0 = vec4<f32>();
    var sum0_1 = vec4<f32>();
    var sum1_0 = vec4<f32>();
    var sum1_1 = vec4<f32>();
    var sum2_0 = vec4<f32>();
    var sum2_1 = vec4<f32>();
    var sum3_0 = vec4<f32>();
    var sum3_1 = vec4<f32>();
    var sum4_0 = vec4<f32>();
    var sum4_1 = vec4<f32>();
    var sum5_0 = vec4<f32>();
    var sum5_1 = vec4<f32>();
    var sum6_0 = vec4<f32>();
    var sum6_1 = vec4<f32>();
    var sum7_0 = vec4<f32>();
    var sum7_1 = vec4<f32>();

    for (var block = part.first_term; block < part.last_term; block += TILE_TERMS) {
        // Neighbouring invocations load along the contiguous axis. Rows and columns past the last repeat it and are not
        // stored; terms past the last count as zero.
        for (var i = local; i < TILE_TERMS * ROW_QUADS; i += INVOCATIONS) {
            let along_terms = params.a_term == 1u;
            let term = select(i / ROW_QUADS, i % TILE_TERMS, along_terms);
            let quad = select(i % ROW_QUADS, i / TILE_TERMS, along_terms);
            var loaded = vec4<f32>();
            if block + term < part.last_term {
                let at = part.a_start + (block + term) * params.a_term;
                let row = tile_row + 4u * quad;
                loaded = vec4<f32>(
                    a[at + min(row, params.m - 1u) * params.a_row],
                    a[at + min(row + 1u, params.m - 1u) * params.a_row],
                    a[at + min(row + 2u, params.m - 1u) * params.a_row],
                    a[at + min(row + 3u, params.m - 1u) * params.a_row],
                );
            }
            a_tile[term * A_PITCH + quad] = loaded;
        }
        for (var i = local; i < TILE_TERMS * COLUMN_QUADS; i += INVOCATIONS) {
            let along_terms = params.b_term == 1u;
            let term = select(i / COLUMN_QUADS, i % TILE_TERMS, along_terms);
            let quad = select(i % COLUMN_QUADS, i / TILE_TERMS, along_terms);
            var loaded = vec4<f32>();
            if block + term < part.last_term {
                let at = part.b_start + (block + term) * params.b_term;
                let column = tile_column + 4u * quad;
                loaded = vec4<f32>(
                    b[at + min(column, params.n - 1u) * params.b_column],
                    b[at + min(column + 1u, params.n - 1u) * params.b_column],
                    b[at + min(column + 2u, params.n - 1u) * params.b_column],
                    b[at + min(column + 3u, params.n - 1u) * params.b_column],
                );
            }
            b_tile[term * B_PITCH + quad] = loaded;
        }
        workgroupBarrier();

        for (var term = 0u; term < TILE_TERMS; term++) {
            let rows_0 = a_tile[term * A_PITCH + row_quad];
            let columns_0 = b_tile[term * B_PITCH + column_quad];
            sum0_0 += rows_0.x * columns_0;
            sum1_0 += rows_0.y * columns_0;
            sum2_0 += rows_0.z * columns_0;
            sum3_0 += rows_0.w * columns_0;
            if BLOCK == 8u {
                let rows_1 = a_tile[term * A_PITCH + row_quad + ROW_QUADS / 2u];
                let columns_1 = b_tile[term * B_PITCH + column_quad + COLUMN_QUADS / 2u];
                sum0_1 += rows_0.x * columns_1;
                sum1_1 += rows_0.y * columns_1;
                sum2_1 += rows_0.z * columns_1;
                sum3_1 += rows_0.w * columns_1;
                sum4_0 += rows_1.x * columns_0;
                sum5_0 += rows_1.y * columns_0;
                sum6_0 += rows_1.z * columns_0;
                sum7_0 += rows_1.w * columns_0;
                sum4_1 += rows_1.x * columns_1;
                sum5_1 += rows_1.y * columns_1;
                sum6_1 += rows_1.z * columns_1;
                sum7_1 += rows_1.w * columns_1;
            }
        }
        workgroupBarrier();
    }

    let start = product * params.m * params.n;
    let column = tile_column + 4u * column_quad;
    // The rows move up by one as they are stored: the driver has one store to compile, or to unroll as it likes.
    for (var i = 0u; i < BLOCK; i++) {
        let row = tile_row + i / 4u * (TILE_ROWS / 2u) + 4u * row_quad + i % 4u;
        store(start, row, column, sum0_0);
        if BLOCK == 8u {
            store(start, row, column + TILE_COLUMNS / 2u, sum0_1);
        }
        sum0_0 = sum1_0;
        sum0_1 = sum1_1;
        sum1_0 = sum2_0;
        sum1_1 = sum2_1;
        sum2_0 = sum3_0;
        sum2_1 = sum3_1;
        sum3_0 = sum4_0;
        sum3_1 = sum4_1;
        sum4_0 = sum5_0;
        sum4_1 = sum5_1;
        sum5_0 = sum6_0;
        sum5_1 = sum6_1;
        sum6_0 = sum7_0;
        sum6_1 = sum7_1;
    }
}
