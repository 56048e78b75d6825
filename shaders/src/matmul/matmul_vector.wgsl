// Products of a row by a matrix, or a batch of them, for GPUs (a matrix by a column is the transpose of one):
//
//   out[column] = activation(sum_term a[term] b[term, column] + bias)
//
// A workgroup owns COLUMNS columns, and SHARERS invocations share the sum of each: every one takes each SHARERS-th term,
// then one adds their sums in order. Whichever axis of `b` is contiguous, neighbouring invocations load along it.
//
// Takes `params`, `a`, `b`, `bias`, `out` and `part_of` from product.wgsl, and `activate` from library/activation.wgsl.

override COLUMNS: u32 = 32u;
override SHARERS: u32 = 8u;
override INVOCATIONS: u32 = COLUMNS * SHARERS;

var<workgroup> shared_sums: array<f32, INVOCATIONS>;  // (columns, sharers) or (sharers, columns)

@compute @workgroup_size(INVOCATIONS)
fn matmul_vector(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = workgroup.x + workgroup.y * workgroups.x;
    let column_groups = (params.n + COLUMNS - 1u) / COLUMNS;
    let product = group / column_groups;
    if product >= params.slices * params.batches {
        return;
    }
    let along_terms = params.b_term == 1u;
    let sharer = select(local / COLUMNS, local % SHARERS, along_terms);
    let sharer_stride = select(COLUMNS, 1u, along_terms);
    let column = group % column_groups * COLUMNS + select(local % COLUMNS, local / SHARERS, along_terms);

    let part = part_of(product);
    let b_start = part.b_start + min(column, params.n - 1u) * params.b_column;

    var sum = 0.0;
    for (var term = part.first_term + sharer; term < part.last_term; term += SHARERS) {
        sum += a[part.a_start + term * params.a_term] * b[b_start + term * params.b_term];
    }
    shared_sums[local] = sum;
    workgroupBarrier();

    if sharer == 0u && column < params.n {
        var y = 0.0;
        for (var i = 0u; i < SHARERS; i++) {
            y += shared_sums[local + i * sharer_stride];
        }
        if params.bias != 0u {
            y += bias[select(0u, column, params.bias == 1u)];
        }
        out[product * params.n + column * params.out_column] = activate(y);
    }
}
