// The uniform block, the operands and the parts of a matrix product, the same for every variant. Takes no names from others.

struct Uniform {
    m: u32,
    n: u32,
    k: u32,
    slices: u32,       // of the sum: each makes a product of its own
    slice_terms: u32,  // terms of one slice
    batches: u32,      // outer batch axis * inner
    inner: u32,        // inner batch axis
    a_row: u32,        // strides in elements, of which either may be the 1 that says how the matrix is stored
    a_term: u32,
    a_outer: u32,
    a_inner: u32,
    b_term: u32,
    b_column: u32,
    b_outer: u32,
    b_inner: u32,
    out_row: u32,
    out_column: u32,
    bias: u32,         // 0: none, 1: an element for each column, 2: one for each row
    activation: u32,   // 0: none, 1: relu, 2: gelu (tanh form), 3: gelu (erf form), 4: tanh
}

@group(0) @binding(0) var<storage, read> a: array<f32>;          // (batches, m, k), by its strides
@group(0) @binding(1) var<storage, read> b: array<f32>;          // (batches, k, n), by its strides
@group(0) @binding(2) var<storage, read> bias: array<f32>;       // (n) or (m); not read where there is none
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (slices, batches, m, n), by its strides
@group(1) @binding(0) var<uniform> params: Uniform;

// The first elements of the operands of a product, and the terms of its slice.
struct Part {
    a_start: u32,
    b_start: u32,
    first_term: u32,
    last_term: u32,
}

fn part_of(product: u32) -> Part {
    let batch = product % params.batches;
    let a_start = batch / params.inner * params.a_outer + batch % params.inner * params.a_inner;
    let b_start = batch / params.inner * params.b_outer + batch % params.inner * params.b_inner;
    let first_term = product / params.batches * params.slice_terms;
    let last_term = min(params.k, first_term + params.slice_terms);
    return Part(a_start, b_start, first_term, last_term);
}

