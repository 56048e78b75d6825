// Softmax and log-softmax along the last axis, with m[r] = max_c x[r, c] and s[r] = sum_c exp(x[r, c] - m[r]):
//     softmax      y[r, c] = exp(x[r, c] - m[r]) / s[r]
//     log-softmax  y[r, c] = x[r, c] - m[r] - log s[r]
//
// LANES neighbouring invocations share a row and WORKGROUP / LANES rows share a workgroup. With LANES = 1 an
// invocation owns its row and no barrier is met. Maximum and sum are found in one pass over the row ("online"), so a
// row is read twice and not three times. The entry point softmax_vec4 takes rows of a multiple of four columns.
//
// Minus infinity has probability 0; a row of nothing else, or with a NaN or infinity, is NaN throughout.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, `join_lanes` from library/join_lanes.wgsl, and what a NaN
// is from library/not_a_number.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                // (rows, columns)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;          // (rows, columns)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;         // (rows, columns / 4)
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<f32>>;   // (rows, columns / 4)
@group(1) @binding(0) var<uniform> params: Uniform;

override LOG: bool = false;

const LOWEST: f32 = -3.4028234e38;

alias Part = vec2<f32>;

// A part of a row is (m, s): its largest element m, no lower than LOWEST, and the sum s of exp(x - m) over it, NaN where
// there is none. Two parts make one.
fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let ratio = exp(-abs(a.x - b.x));
    return select(vec2(b.x, a.y * ratio + b.y), vec2(a.x, a.y + b.y * ratio), a.x >= b.x);
}

// The sum of the exponentials of a row; NaN where all vanish, which those of numbers never do.
fn total_of(part: vec2<f32>) -> f32 {
    return select(part.y, nan_from(part.y), part.y == 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(workgroup, workgroups, local);
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let start = min(row, params.rows - 1u) * params.columns;
    var part = vec2(max(x[start], LOWEST), 0.0);
    for (var c = local % LANES; c < params.columns; c += LANES) {
        let value = x[start + c];
        part = join(part, vec2(value, select(1.0, nan_from(value), is_above_all(value))));
    }
    part = join_lanes(part, local);
    if row < params.rows {
        let total = total_of(part);
        let factor = 1.0 / total;
        let offset = select(log(total), total, is_nan(total));
        for (var c = local % LANES; c < params.columns; c += LANES) {
            let t = x[start + c] - part.x;
            if LOG {
                y[start + c] = t - offset;
            } else {
                y[start + c] = exp(t) * factor;
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn softmax_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(workgroup, workgroups, local);
    let columns = params.columns / 4u;
    let start = min(row, params.rows - 1u) * columns;
    var part = vec2(max(x4[start].x, LOWEST), 0.0);
    for (var c = local % LANES; c < columns; c += LANES) {
        let values = x4[start + c];
        let largest = max(max(max(values.x, values.y), max(values.z, values.w)), LOWEST);
        let masses = select(exp(values - largest), nan_of(values), are_above_all(values));
        part = join(part, vec2(largest, dot(masses, vec4(1.0))));
    }
    part = join_lanes(part, local);
    if row < params.rows {
        let total = total_of(part);
        let factor = 1.0 / total;
        let offset = select(log(total), total, is_nan(total));
        for (var c = local % LANES; c < columns; c += LANES) {
            let t = x4[start + c] - part.x;
            if LOG {
                y4[start + c] = t - offset;
            } else {
                y4[start + c] = exp(t) * factor;
            }
        }
    }
}
