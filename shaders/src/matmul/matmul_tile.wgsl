// One product, or a batch of them, for GPUs:
//
//   out[row, column] = activation(sum_term a[row, term] b[term, column] + bias)
//
// A workgroup owns a tile of TILE_ROWS by TILE_COLUMNS elements and walks along the sum TILE_TERMS at a time: it copies
// that part of both matrices to workgroup memory, transposing on the way if their strides ask for it, and each invocation
// multiplies into a block of BLOCK by BLOCK sums held in registers (4 by 4, or 8 by 8 as four quarters half a tile
// apart), while the next part is on its way from global memory. Every global word is used TILE_ROWS or TILE_COLUMNS
// times, every word of workgroup memory BLOCK times.
//
// Takes `params`, `a`, `b`, `bias`, `out` and `part_of` from product.wgsl, and `activate` from library/activation.wgsl.

override TILE_ROWS: u32 = 64u;
override TILE_COLUMNS: u32 = 64u;
override TILE_TERMS: u32 = 8u;
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
// Vectors of each tile that an invocation copies: 1 or 2, and no rest.
override A_COPIES: u32 = TILE_TERMS * ROW_QUADS / INVOCATIONS;
override B_COPIES: u32 = TILE_TERMS * COLUMN_QUADS / INVOCATIONS;

var<workgroup> a_tile: array<vec4<f32>, A_TILE>;  // (terms, rows / 4)
var<workgroup> b_tile: array<vec4<f32>, B_TILE>;  // (terms, columns / 4)

// The block of one invocation: rows 0 to 3 and, half a tile below, 4 to 7; each over four columns, and over four more
// half a tile to the right.
struct Sums {
    s0_0: vec4<f32>,
    s0_1: vec4<f32>,
    s1_0: vec4<f32>,
    s1_1: vec4<f32>,
    s2_0: vec4<f32>,
    s2_1: vec4<f32>,
    s3_0: vec4<f32>,
    s3_1: vec4<f32>,
    s4_0: vec4<f32>,
    s4_1: vec4<f32>,
    s5_0: vec4<f32>,
    s5_1: vec4<f32>,
    s6_0: vec4<f32>,
    s6_1: vec4<f32>,
    s7_0: vec4<f32>,
    s7_1: vec4<f32>,
}

// What one term of the sum multiplies in the block of one invocation.
struct Term {
    rows_0: vec4<f32>,
    rows_1: vec4<f32>,
    columns_0: vec4<f32>,
    columns_1: vec4<f32>,
}

// The term at `a_at` and `b_at` of the tiles; only halves 0 of a block of 4 by 4.
fn load_term(a_at: u32, b_at: u32) -> Term {
    var term: Term;
    term.rows_0 = a_tile[a_at];
    term.columns_0 = b_tile[b_at];
    if BLOCK == 8u {
        term.rows_1 = a_tile[a_at + ROW_QUADS / 2u];
        term.columns_1 = b_tile[b_at + COLUMN_QUADS / 2u];
    }
    return term;
}

fn multiply(sums: ptr<function, Sums>, term: Term) {
    (*sums).s0_0 += term.rows_0.x * term.columns_0;
    (*sums).s1_0 += term.rows_0.y * term.columns_0;
    (*sums).s2_0 += term.rows_0.z * term.columns_0;
    (*sums).s3_0 += term.rows_0.w * term.columns_0;
    if BLOCK == 8u {
        (*sums).s0_1 += term.rows_0.x * term.columns_1;
        (*sums).s1_1 += term.rows_0.y * term.columns_1;
        (*sums).s2_1 += term.rows_0.z * term.columns_1;
        (*sums).s3_1 += term.rows_0.w * term.columns_1;
        (*sums).s4_0 += term.rows_1.x * term.columns_0;
        (*sums).s5_0 += term.rows_1.y * term.columns_0;
        (*sums).s6_0 += term.rows_1.z * term.columns_0;
        (*sums).s7_0 += term.rows_1.w * term.columns_0;
        (*sums).s4_1 += term.rows_1.x * term.columns_1;
        (*sums).s5_1 += term.rows_1.y * term.columns_1;
        (*sums).s6_1 += term.rows_1.z * term.columns_1;
        (*sums).s7_1 += term.rows_1.w * term.columns_1;
    }
}

// A vector of four that an invocation copies from global memory to a tile, in each block of terms anew.
struct Copy {
    term: u32,  // within the block
    at: u32,    // its first element, in the first block
    to: u32,    // its place in the tile
}

// Neighbouring invocations copy along the contiguous axis. Rows and columns past the last are copied from wherever in
// the matrix the strides lead, and not stored.
fn copy_of_a(i: u32, tile_row: u32, start: u32) -> Copy {
    let along_terms = params.a_term == 1u;
    let term = select(i / ROW_QUADS, i % TILE_TERMS, along_terms);
    let quad = select(i % ROW_QUADS, i / TILE_TERMS, along_terms);
    return Copy(term, start + term * params.a_term + (tile_row + 4u * quad) * params.a_row, term * A_PITCH + quad);
}

fn copy_of_b(i: u32, tile_column: u32, start: u32) -> Copy {
    let along_terms = params.b_term == 1u;
    let term = select(i / COLUMN_QUADS, i % TILE_TERMS, along_terms);
    let quad = select(i % COLUMN_QUADS, i / TILE_TERMS, along_terms);
    let column = tile_column + 4u * quad;
    return Copy(term, start + term * params.b_term + column * params.b_column, term * B_PITCH + quad);
}

const QUAD: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

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
    var a_loaded = load_a(a_first, 0u, terms);
    var b_loaded = load_b(b_first, 0u, terms);
    var a_more = vec4<f32>();
    var b_more = vec4<f32>();
    if A_COPIES == 2u {
        a_more = load_a(a_second, 0u, terms);
    }
    if B_COPIES == 2u {
        b_more = load_b(b_second, 0u, terms);
    }

    for (var passed = 0u; passed < terms; passed += TILE_TERMS) {
        a_tile[a_first.to] = a_loaded;
        b_tile[b_first.to] = b_loaded;
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
            a_loaded = load_a(a_first, after, terms - after);
            b_loaded = load_b(b_first, after, terms - after);
            if A_COPIES == 2u {
                a_more = load_a(a_second, after, terms - after);
            }
            if B_COPIES == 2u {
                b_more = load_b(b_second, after, terms - after);
            }
        }

        // Four terms a pass, each loaded while the one before it is multiplied.
        for (var term = 0u; term < TILE_TERMS; term += 4u) {
            let a_at = term * A_PITCH + row_quad;
            let b_at = term * B_PITCH + column_quad;
            let first = load_term(a_at, b_at);
            let second = load_term(a_at + A_PITCH, b_at + B_PITCH);
            multiply(&sums, first);
            let third = load_term(a_at + 2u * A_PITCH, b_at + 2u * B_PITCH);
            multiply(&sums, second);
            let fourth = load_term(a_at + 3u * A_PITCH, b_at + 3u * B_PITCH);
            multiply(&sums, third);
            multiply(&sums, fourth);
        }
        workgroupBarrier();
    }

    let start = product * params.m * params.n;
    let column = tile_column + 4u * column_quad;
    // The rows move up by one as they are stored: the driver has one store to compile, or to unroll as it likes.
    for (var i = 0u; i < BLOCK; i++) {
        let row = tile_row + i / 4u * (TILE_ROWS / 2u) + 4u * row_quad + i % 4u;
        store(start, row, column, sums.s0_0);
        if BLOCK == 8u {
            store(start, row, column + TILE_COLUMNS / 2u, sums.s0_1);
        }
        sums.s0_0 = sums.s1_0;
        sums.s0_1 = sums.s1_1;
        sums.s1_0 = sums.s2_0;
        sums.s1_1 = sums.s2_1;
        sums.s2_0 = sums.s3_0;
        sums.s2_1 = sums.s3_1;
        sums.s3_0 = sums.s4_0;
        sums.s3_1 = sums.s4_1;
        sums.s4_0 = sums.s5_0;
        sums.s4_1 = sums.s5_1;
        sums.s5_0 = sums.s6_0;
        sums.s5_1 = sums.s6_1;
        sums.s6_0 = sums.s7_0;
        sums.s6_1 = sums.s7_1;
    }
}
