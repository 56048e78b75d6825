// Products of a row by a matrix, or a batch of them, for GPUs (a matrix by a column is the transpose of one):
//
//   out[column] = activation(sum_term a[term] b[term, column] + bias)
//
// A workgroup owns COLUMNS columns, and SHARERS invocations share the sum of each: every one takes each SHARERS-th term,
// then one adds their sums in order. Whichever axis of `b` is contiguous, neighbouring invocations load along it.

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

@group(0) @binding(0) var<storage, read> a: array<f32>;          // (batches, 1, k), by its strides
@group(0) @binding(1) var<storage, read> b: array<f32>;          // (batches, k, n), by its strides
@group(0) @binding(2) var<storage, read> bias: array<f32>;       // (n) or (m); not read where there is none
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (slices, batches, 1, n), by its strides
@group(1) @binding(0) var<uniform> size: Uniform;

override COLUMNS: u32 = 32u;
override SHARERS: u32 = 8u;
override INVOCATIONS: u32 = COLUMNS * SHARERS;

var<workgroup> shared_sums: array<f32, INVOCATIONS>;  // (columns, sharers) or (sharers, columns)

// gelu and tanh are compiled in; none and relu always are.
override SMOOTH: bool = true;

// Beyond 10 the functions are constant or the identity to f32 accuracy, and huge arguments would overflow inside.
fn activate(y: f32) -> f32 {
    if SMOOTH && size.activation >= 2u {
        let t = clamp(y, -10.0, 10.0);
        if size.activation == 4u {
            return tanh(t);
        }
        var mass: f32;
        if size.activation == 2u {
            mass = 0.5 + 0.5 * tanh(0.7978845608 * (t + 0.044715 * t * t * t));
        } else {
            // Abramowitz and Stegun 7.1.26 for erf(|t| / sqrt(2)), to 1.5e-7.
            let s = 1.0 / (1.0 + 0.3275911 * 0.7071067812 * abs(t));
            let series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741 + s * (-1.453152027 + s * 1.061405429))));
            let upper = 0.5 * series * exp(-0.5 * t * t);
            mass = select(upper, 1.0 - upper, t > 0.0);
        }
        return select(y * mass, select(0.0, y, y > 0.0), abs(y) > 10.0);
    }
    return select(y, 0.0, size.activation == 1u && y < 0.0);
}

@compute @workgroup_size(INVOCATIONS)
fn matmul_vector(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = workgroup.x + workgroup.y * workgroups.x;
    let column_groups = (size.n + COLUMNS - 1u) / COLUMNS;
    let product = group / column_groups;
    if product >= size.slices * size.batches {
        return;
    }
    let along_terms = size.b_term == 1u;
    let sharer = select(local / COLUMNS, local % SHARERS, along_terms);
    let sharer_stride = select(COLUMNS, 1u, along_terms);
    let column = group % column_groups * COLUMNS + select(local % COLUMNS, local / SHARERS, along_terms);

    let batch = product % size.batches;
    let a_start = batch / size.inner * size.a_outer + batch % size.inner * size.a_inner;
    let b_start = batch / size.inner * size.b_outer + batch % size.inner * size.b_inner
        + min(column, size.n - 1u) * size.b_column;
    let first_term = product / size.batches * size.slice_terms;
    let last_term = min(size.k, first_term + size.slice_terms);

    var sum = 0.0;
    for (var term = first_term + sharer; term < last_term; term += SHARERS) {
        sum += a[a_start + term * size.a_term] * b[b_start + term * size.b_term];
    }
    shared_sums[local] = sum;
    workgroupBarrier();

    if sharer == 0u && column < size.n {
        var y = 0.0;
        for (var i = 0u; i < SHARERS; i++) {
            y += shared_sums[local + i * sharer_stride];
        }
        if size.bias != 0u {
            y += bias[select(0u, column, size.bias == 1u)];
        }
        out[product * size.n + column * size.out_column] = activate(y);
    }
}
