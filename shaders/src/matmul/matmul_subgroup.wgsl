// One product, or a batch of them, for software drivers with subgroups:
//
//   out[row, column] = activation(sum_term a[row, term] b[term, column] + bias)
//
// A software driver runs the 8 invocations of this workgroup as the lanes of one vector, and a load is a loop over
// them. So no element is loaded twice: lane l loads column l of a 16 by 8 block of `a`, one element of each row, and each
// of the 8 steps over that block takes its column from its lane by a shuffle. An invocation owns 4 neighbouring columns of
// 16 rows: 64 sums in registers, 6 loads for every 64 multiply-adds,
// and no barrier. If WIDE, it owns 4 more columns, 32 to the right: 10 loads for 128.
//
// Takes `params`, `a`, `b` and `part_of` from product.wgsl, and `store_element` from store_element.wgsl.

override WIDE: bool = false;
override COLUMNS: u32 = select(32u, 64u, WIDE);

const LANES = 8u;
const ROWS = 16u;

@compute @workgroup_size(8)
fn matmul_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Tiles in order of row, column, batch, slice: neighbours share columns of `b`, the larger part of the loads.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_rows = (params.m + ROWS - 1u) / ROWS;
    let tile_columns = (params.n + COLUMNS - 1u) / COLUMNS;
    let product = tile / (tile_rows * tile_columns);
    if product >= params.slices * params.batches {
        return;
    }
    let first_row = tile % tile_rows * ROWS;
    let first_column = tile / tile_rows % tile_columns * COLUMNS + 4u * local;
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
    let a8 = part.a_start + min(first_row + 8u, params.m - 1u) * params.a_row;
    let a9 = part.a_start + min(first_row + 9u, params.m - 1u) * params.a_row;
    let a10 = part.a_start + min(first_row + 10u, params.m - 1u) * params.a_row;
    let a11 = part.a_start + min(first_row + 11u, params.m - 1u) * params.a_row;
    let a12 = part.a_start + min(first_row + 12u, params.m - 1u) * params.a_row;
    let a13 = part.a_start + min(first_row + 13u, params.m - 1u) * params.a_row;
    let a14 = part.a_start + min(first_row + 14u, params.m - 1u) * params.a_row;
    let a15 = part.a_start + min(first_row + 15u, params.m - 1u) * params.a_row;
    let b0 = part.b_start + min(first_column + 0u, params.n - 1u) * params.b_column;
    let b1 = part.b_start + min(first_column + 1u, params.n - 1u) * params.b_column;
    let b2 = part.b_start + min(first_column + 2u, params.n - 1u) * params.b_column;
    let b3 = part.b_start + min(first_column + 3u, params.n - 1u) * params.b_column;
    let far_b0 = part.b_start + min(first_column + 32u, params.n - 1u) * params.b_column;
    let far_b1 = part.b_start + min(first_column + 33u, params.n - 1u) * params.b_column;
    let far_b2 = part.b_start + min(first_column + 34u, params.n - 1u) * params.b_column;
    let far_b3 = part.b_start + min(first_column + 35u, params.n - 1u) * params.b_column;
    var sum0 = vec4<f32>();
    var far0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var far1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var far2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var far3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var far4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var far5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var far6 = vec4<f32>();
    var sum7 = vec4<f32>();
    var far7 = vec4<f32>();
    var sum8 = vec4<f32>();
    var far8 = vec4<f32>();
    var sum9 = vec4<f32>();
    var far9 = vec4<f32>();
    var sum10 = vec4<f32>();
    var far10 = vec4<f32>();
    var sum11 = vec4<f32>();
    var far11 = vec4<f32>();
    var sum12 = vec4<f32>();
    var far12 = vec4<f32>();
    var sum13 = vec4<f32>();
    var far13 = vec4<f32>();
    var sum14 = vec4<f32>();
    var far14 = vec4<f32>();
    var sum15 = vec4<f32>();
    var far15 = vec4<f32>();
    for (var block = part.first_term; block < part.last_term; block += LANES) {
        let own = min(block + lane, part.last_term - 1u) * params.a_term;
        let own0 = a[a0 + own];
        let own1 = a[a1 + own];
        let own2 = a[a2 + own];
        let own3 = a[a3 + own];
        let own4 = a[a4 + own];
        let own5 = a[a5 + own];
        let own6 = a[a6 + own];
        let own7 = a[a7 + own];
        let own8 = a[a8 + own];
        let own9 = a[a9 + own];
        let own10 = a[a10 + own];
        let own11 = a[a11 + own];
        let own12 = a[a12 + own];
        let own13 = a[a13 + own];
        let own14 = a[a14 + own];
        let own15 = a[a15 + own];
        let steps = min(LANES, part.last_term - block);
        for (var step = 0u; step < steps; step++) {
            let at = (block + step) * params.b_term;
            let terms = vec4<f32>(b[b0 + at], b[b1 + at], b[b2 + at], b[b3 + at]);
            let x0 = subgroupShuffle(own0, step);
            let x1 = subgroupShuffle(own1, step);
            let x2 = subgroupShuffle(own2, step);
            let x3 = subgroupShuffle(own3, step);
            let x4 = subgroupShuffle(own4, step);
            let x5 = subgroupShuffle(own5, step);
            let x6 = subgroupShuffle(own6, step);
            let x7 = subgroupShuffle(own7, step);
            let x8 = subgroupShuffle(own8, step);
            let x9 = subgroupShuffle(own9, step);
            let x10 = subgroupShuffle(own10, step);
            let x11 = subgroupShuffle(own11, step);
            let x12 = subgroupShuffle(own12, step);
            let x13 = subgroupShuffle(own13, step);
            let x14 = subgroupShuffle(own14, step);
            let x15 = subgroupShuffle(own15, step);
            sum0 += x0 * terms;
            sum1 += x1 * terms;
            sum2 += x2 * terms;
            sum3 += x3 * terms;
            sum4 += x4 * terms;
            sum5 += x5 * terms;
            sum6 += x6 * terms;
            sum7 += x7 * terms;
            sum8 += x8 * terms;
            sum9 += x9 * terms;
            sum10 += x10 * terms;
            sum11 += x11 * terms;
            sum12 += x12 * terms;
            sum13 += x13 * terms;
            sum14 += x14 * terms;
            sum15 += x15 * terms;
            if WIDE {
                let far_terms = vec4<f32>(b[far_b0 + at], b[far_b1 + at], b[far_b2 + at], b[far_b3 + at]);
                far0 += x0 * far_terms;
                far1 += x1 * far_terms;
                far2 += x2 * far_terms;
                far3 += x3 * far_terms;
                far4 += x4 * far_terms;
                far5 += x5 * far_terms;
                far6 += x6 * far_terms;
                far7 += x7 * far_terms;
                far8 += x8 * far_terms;
                far9 += x9 * far_terms;
                far10 += x10 * far_terms;
                far11 += x11 * far_terms;
                far12 += x12 * far_terms;
                far13 += x13 * far_terms;
                far14 += x14 * far_terms;
                far15 += x15 * far_terms;
            }
        }
    }

    // The rows move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver four times as long to compile as all the rest.
    let rows = min(ROWS, params.m - first_row);
    for (var i = 0u; i < rows; i++) {
        for (var j = 0u; j < 4u; j++) {
            let row = first_row + i;
            let column = first_column + j;
            if column < params.n {
                store_element(product, row, column, sum0[j]);
            }
            if WIDE && column + 32u < params.n {
                store_element(product, row, column + 32u, far0[j]);
            }
        }
        sum0 = sum1;
        sum1 = sum2;
        sum2 = sum3;
        sum3 = sum4;
        sum4 = sum5;
        sum5 = sum6;
        sum6 = sum7;
        sum7 = sum8;
        sum8 = sum9;
        sum9 = sum10;
        sum10 = sum11;
        sum11 = sum12;
        sum12 = sum13;
        sum13 = sum14;
        sum14 = sum15;
        if WIDE {
            far0 = far1;
            far1 = far2;
            far2 = far3;
            far3 = far4;
            far4 = far5;
            far5 = far6;
            far6 = far7;
            far7 = far8;
            far8 = far9;
            far9 = far10;
            far10 = far11;
            far11 = far12;
            far12 = far13;
            far13 = far14;
            far14 = far15;
        }
    }
}
