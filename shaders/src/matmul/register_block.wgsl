// A tile of a matrix product in workgroup memory and the block of sums that each invocation keeps of it in registers. Takes
// no names from others.

override TILE_ROWS: u32 = 64u;
override TILE_COLUMNS: u32 = 64u;
override TILE_TERMS: u32 = 8u;
override BLOCK_ROWS: u32 = 8u;     // 4 or 8
override BLOCK_COLUMNS: u32 = 8u;  // 4 or 8

// In vectors of four. One vector of padding keeps writes along the sum off one bank.
override ROW_QUADS: u32 = TILE_ROWS / 4u;
override COLUMN_QUADS: u32 = TILE_COLUMNS / 4u;
override A_PITCH: u32 = ROW_QUADS + 1u;
override B_PITCH: u32 = COLUMN_QUADS + 1u;
override BLOCKS_ACROSS: u32 = TILE_COLUMNS / BLOCK_COLUMNS;
override INVOCATIONS: u32 = TILE_ROWS / BLOCK_ROWS * BLOCKS_ACROSS;
override A_TILE: u32 = TILE_TERMS * A_PITCH;
override B_TILE: u32 = TILE_TERMS * B_PITCH;
// Vectors of each tile that an invocation copies: 1 or 2, and no rest; 0 where only the first invocations copy one.
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

// The term at `a_at` and `b_at` of the tiles; only half 0 of the rows or columns of which a block has four.
fn load_term(a_at: u32, b_at: u32) -> Term {
    var term: Term;
    term.rows_0 = a_tile[a_at];
    term.columns_0 = b_tile[b_at];
    if BLOCK_ROWS == 8u {
        term.rows_1 = a_tile[a_at + ROW_QUADS / 2u];
    }
    if BLOCK_COLUMNS == 8u {
        term.columns_1 = b_tile[b_at + COLUMN_QUADS / 2u];
    }
    return term;
}

fn multiply(sums: ptr<function, Sums>, term: Term) {
    (*sums).s0_0 += term.rows_0.x * term.columns_0;
    (*sums).s1_0 += term.rows_0.y * term.columns_0;
    (*sums).s2_0 += term.rows_0.z * term.columns_0;
    (*sums).s3_0 += term.rows_0.w * term.columns_0;
    if BLOCK_COLUMNS == 8u {
        (*sums).s0_1 += term.rows_0.x * term.columns_1;
        (*sums).s1_1 += term.rows_0.y * term.columns_1;
        (*sums).s2_1 += term.rows_0.z * term.columns_1;
        (*sums).s3_1 += term.rows_0.w * term.columns_1;
    }
    if BLOCK_ROWS == 8u {
        (*sums).s4_0 += term.rows_1.x * term.columns_0;
        (*sums).s5_0 += term.rows_1.y * term.columns_0;
        (*sums).s6_0 += term.rows_1.z * term.columns_0;
        (*sums).s7_0 += term.rows_1.w * term.columns_0;
    }
    if BLOCK_ROWS == 8u && BLOCK_COLUMNS == 8u {
        (*sums).s4_1 += term.rows_1.x * term.columns_1;
        (*sums).s5_1 += term.rows_1.y * term.columns_1;
        (*sums).s6_1 += term.rows_1.z * term.columns_1;
        (*sums).s7_1 += term.rows_1.w * term.columns_1;
    }
}

// Multiplies the terms that lie in the tiles, four a pass, each loaded while the one before it is multiplied.
fn multiply_tile(sums: ptr<function, Sums>, row_quad: u32, column_quad: u32) {
    for (var term = 0u; term < TILE_TERMS; term += 4u) {
        let a_at = term * A_PITCH + row_quad;
        let b_at = term * B_PITCH + column_quad;
        let first = load_term(a_at, b_at);
        let second = load_term(a_at + A_PITCH, b_at + B_PITCH);
        multiply(sums, first);
        let third = load_term(a_at + 2u * A_PITCH, b_at + 2u * B_PITCH);
        multiply(sums, second);
        let fourth = load_term(a_at + 3u * A_PITCH, b_at + 3u * B_PITCH);
        multiply(sums, third);
        multiply(sums, fourth);
    }
}

// The row of the tile that row `i` of an invocation's block is.
fn row_of_block(i: u32, row_quad: u32) -> u32 {
    return i / 4u * (TILE_ROWS / 2u) + 4u * row_quad + i % 4u;
}

// Moves the rows up by one as they are stored: the driver has one store to compile, or to unroll as it likes.
fn move_up(sums: ptr<function, Sums>) {
    (*sums).s0_0 = (*sums).s1_0;
    (*sums).s0_1 = (*sums).s1_1;
    (*sums).s1_0 = (*sums).s2_0;
    (*sums).s1_1 = (*sums).s2_1;
    (*sums).s2_0 = (*sums).s3_0;
    (*sums).s2_1 = (*sums).s3_1;
    (*sums).s3_0 = (*sums).s4_0;
    (*sums).s3_1 = (*sums).s4_1;
    (*sums).s4_0 = (*sums).s5_0;
    (*sums).s4_1 = (*sums).s5_1;
    (*sums).s5_0 = (*sums).s6_0;
    (*sums).s5_1 = (*sums).s6_1;
    (*sums).s6_0 = (*sums).s7_0;
    (*sums).s6_1 = (*sums).s7_1;
}

// Whether an invocation copies to the tiles at all.
fn copies_a(local: u32) -> bool {
    return A_COPIES != 0u || local < TILE_TERMS * ROW_QUADS;
}

fn copies_b(local: u32) -> bool {
    return B_COPIES != 0u || local < TILE_TERMS * COLUMN_QUADS;
}

const QUAD: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// The vector of four that an invocation copies to a tile of `quads` vectors a term.
struct CopyPlace {
    term: u32,  // within the block
    quad: u32,
}

// Neighbouring invocations copy along the terms or across them.
fn place_of(i: u32, quads: u32, along_terms: bool) -> CopyPlace {
    return CopyPlace(select(i / quads, i % TILE_TERMS, along_terms), select(i % quads, i / TILE_TERMS, along_terms));
}
