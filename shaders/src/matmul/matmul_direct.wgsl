// One product, or a batch of them, for software drivers without subgroups:
//
//   out[row, column] = activation(sum_term a[row, term] b[term, column] + bias)
//
// An invocation owns 8 rows by 8 columns, in registers: 16 loads for 64 multiply-adds. On a processor's cache a barrier
// costs far more than the loads that workgroup memory would save.
//
// Takes `params`, `a`, `b` and `part_of` from product.wgsl, and `store_element` from store_element.wgsl.

const ROWS = 32u;     // of a workgroup: 4 invocations of 8 rows
const COLUMNS = 64u;  // 8 invocations of 8 columns

@compute @workgroup_size(8, 4)
fn matmul_direct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    // Tiles in order of row, column, batch, slice.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_rows = (params.m + ROWS - 1u) / ROWS;
    let tile_columns = (params.n + COLUMNS - 1u) / COLUMNS;
    let product = tile / (tile_rows * tile_columns);
    let first_row = tile % tile_rows * ROWS + 8u * local.y;
    let first_column = tile / tile_rows % tile_columns * COLUMNS + 8u * local.x;
    if product >= params.slices * params.batches || first_row >= params.m || first_column >= params.n {
        return;
    }
    let part = part_of(product);

    // Rows and columns past the last repeat it, so that every load is in bounds; they are not stored.
    let a0 = part.a_start + min(first_row + 0u, params.m - 1u) * params.a_row;
    let a1 = part.a_start + min(first_row + 1u, params.m - 1u) * params.a_row;
    let a2 = part.a_start + min(first_row + 2u, params.m - 1u) * params.a_row;
    let a3 = part.a_start + min(first_row + 3u, params.m - 1u) * params.a_row;
    let a4 = part.a_start + min(first_row + 4u, params.m - 1u) * params.a_row;
    let a5 = part.a_start + min(first_row + 5u, params.m - 1u) * params.a_row;
    let a6 = part.a_start + min(first_row + 6u, params.m - 1u) * params.a_row;
    let a7 = part.a_start + min(first_row + 7u, params.m - 1u) * params.a_row;
    let b0 = part.b_start + min(first_column + 0u, params.n - 1u) * params.b_column;
    let b1 = part.b_start + min(first_column + 1u, params.n - 1u) * params.b_column;
    let b2 = part.b_start + min(first_column + 2u, params.n - 1u) * params.b_column;
    let b3 = part.b_start + min(first_column + 3u, params.n - 1u) * params.b_column;
    let b4 = part.b_start + min(first_column + 4u, params.n - 1u) * params.b_column;
    let b5 = part.b_start + min(first_column + 5u, params.n - 1u) * params.b_column;
    let b6 = part.b_start + min(first_column + 6u, params.n - 1u) * params.b_column;
    let b7 = part.b_start + min(first_column + 7u, params.n - 1u) * params.b_column;
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
    for (var term = part.first_term; term < part.last_term; term++) {
        let a_at = term * params.a_term;
        let b_at = term * params.b_term;
        let near = vec4<f32>(b[b0 + b_at], b[b1 + b_at], b[b2 + b_at], b[b3 + b_at]);
        let far = vec4<f32>(b[b4 + b_at], b[b5 + b_at], b[b6 + b_at], b[b7 + b_at]);
        let row0 = a[a0 + a_at];
        let row1 = a[a1 + a_at];
        let row2 = a[a2 + a_at];
        let row3 = a[a3 + a_at];
        let row4 = a[a4 + a_at];
        let row5 = a[a5 + a_at];
        let row6 = a[a6 + a_at];
        let row7 = a[a7 + a_at];
        sum0_0 += row0 * near;
        sum0_1 += row0 * far;
        sum1_0 += row1 * near;
        sum1_1 += row1 * far;
        sum2_0 += row2 * near;
        sum2_1 += row2 * far;
        sum3_0 += row3 * near;
        sum3_1 += row3 * far;
        sum4_0 += row4 * near;
        sum4_1 += row4 * far;
        sum5_0 += row5 * near;
        sum5_1 += row5 * far;
        sum6_0 += row6 * near;
        sum6_1 += row6 * far;
        sum7_0 += row7 * near;
        sum7_1 += row7 * far;
    }

    // The rows move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver several times as long to compile.
    let rows = min(8u, params.m - first_row);
    for (var i = 0u; i < rows; i++) {
        for (var j = 0u; j < 8u; j++) {
            let row = first_row + i;
            let column = first_column + j;
            if column < params.n {
                store_element(product, row, column, select(sum0_0[j % 4u], sum0_1[j % 4u], j > 3u));
            }
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
