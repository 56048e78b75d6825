// One product, or a batch of them, for GPUs:
//
//   out[row, column] = activation(sum_term a[row, term] b[term, column] + bias)
//
// A workgroup owns a tile of TILE_ROWS by TILE_COLUMNS elements and walks along the sum TILE_TERMS at a time: it copies
// that part of both matrices to workgroup memory, transposing on the way if their strides ask for it, and each invocation
// multiplies into a block of BLOCK_ROWS by BLOCK_COLUMNS sums held in registers (4 a side, or 8 as two halves half a tile
// apart), while the next part is on its way from global memory. Every global word is used TILE_ROWS or TILE_COLUMNS
// times, every word of workgroup memory BLOCK_ROWS or BLOCK_COLUMNS times.
//
// Takes `params`, `a`, `b`, `bias`, `out` and `part_of` from product.wgsl, all of register_block.wgsl, and `activate` from
// library/activation.wgsl.

// A vector of four that an invocation copies from global memory to a tile, in each block of terms anew.
struct Copy {
    term: u32,  // within the block
    at: u32,    // its first element, in the first block
    to: u32,    // its place in the tile
}

// Neighbouring invocations copy along the contiguous axis. Rows and columns past the last are copied from wherever in
// the matrix the strides lead, and not stored.
fn copy_of_a(i: u32, tile_row: u32, start: u32) -> Copy {
    let place = place_of(i, ROW_QUADS, params.a_term == 1u);
    let at = start + place.term * params.a_term + (tile_row + 4u * place.quad) * params.a_row;
    return Copy(place.term, at, place.term * A_PITCH + place.quad);
}

fn copy_of_b(i: u32, tile_column: u32, start: u32) -> Copy {
    let place = place_of(i, COLUMN_QUADS, params.b_term == 1u);
    let at = start + place.term * params.b_term + (tile_column + 4u * place.quad) * params.b_column;
    return Copy(place.term, at, place.term * B_PITCH + place.quad);
}

// The elements of a copy in the block that begins `passed` terms after the first, of which `left` are left. Terms past
// the last count as zero.
fn load_a(copy: Copy, passed: u32, left: u32) -> vec4<f32> {
    if copy.term >= left {
        return vec4<f32>();
    }
    let at = min(copy.at + passed * params.a_term + QUAD * params.a_row, vec4<u32>(arrayLength(&a) - 1u));
    return vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn load_b(copy: Copy, passed: u32, left: u32) -> vec4<f32> {
    if copy.term >= left {
        return vec4<f32>();
    }
    let at = min(copy.at + passed * params.b_term + QUAD * params.b_column, vec4<u32>(arrayLength(&b) - 1u));
    return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
}

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
    var sums = Sums();

    let a_start = part.a_start + part.first_term * params.a_term;
    let b_start = part.b_start + part.first_term * params.b_term;
    let terms = part.last_term - part.first_term;
    let a_first = copy_of_a(local, tile_row, a_start);
    let b_first = copy_of_b(local, tile_column, b_start);
    let a_second = copy_of_a(local + INVOCATIONS, tile_row, a_start);
    let b_second = copy_of_b(local + INVOCATIONS, tile_column, b_start);
    var a_loaded = vec4<f32>();
    var b_loaded = vec4<f32>();
    if copies_a(local) {
        a_loaded = load_a(a_first, 0u, terms);
    }
    if copies_b(local) {
        b_loaded = load_b(b_first, 0u, terms);
    }
    var a_more = vec4<f32>();
    var b_more = vec4<f32>();
    if A_COPIES == 2u {
        a_more = load_a(a_second, 0u, terms);
    }
    if B_COPIES == 2u {
        b_more = load_b(b_second, 0u, terms);
    }

    for (var passed = 0u; passed < terms; passed += TILE_TERMS) {
        if copies_a(local) {
            a_tile[a_first.to] = a_loaded;
        }
        if copies_b(local) {
            b_tile[b_first.to] = b_loaded;
        }
        if A_COPIES == 2u {
            a_tile[a_second.to] = a_more;
        }
        if B_COPIES == 2u {
            b_tile[b_second.to] = b_more;
        }
        workgroupBarrier();

        // The next block is on its way while this one is multiplied.
        let after = passed + TILE_TERMS;
        if after < terms {
            if copies_a(local) {
                a_loaded = load_a(a_first, after, terms - after);
            }
            if copies_b(local) {
                b_loaded = load_b(b_first, after, terms - after);
            }
            if A_COPIES == 2u {
                a_more = load_a(a_second, after, terms - after);
            }
            if B_COPIES == 2u {
                b_more = load_b(b_second, after, terms - after);
            }
        }

        multiply_tile(&sums, row_quad, column_quad);
        workgroupBarrier();
    }

    let start = product * params.m * params.n;
    let column = tile_column + 4u * column_quad;
    for (var i = 0u; i < BLOCK_ROWS; i++) {
        let row = tile_row + row_of_block(i, row_quad);
        store(start, row, column, sums.s0_0);
        if BLOCK_COLUMNS == 8u {
            store(start, row, column + TILE_COLUMNS / 2u, sums.s0_1);
        }
        move_up(&sums);
    }
}
