// Layer normalisation over the last axis:
//     mean[r]       = sum_c x[r, c] / columns
//     reciprocal[r] = 1 / sqrt(sum_c (x[r, c] - mean[r])^2 / columns + epsilon)
//     y[r, c]       = (x[r, c] - mean[r]) * reciprocal[r] * scale[c] + shift[c]
// For the gradients the reciprocal is stored, and the mean as offset[r] = mean[r] - x[r, 0]: all differences are taken
// from the row's first element, which loses nothing where the mean is large against the deviation.
//
// The mean and then the variance take a pass over the row each. Where squares of deviations might overflow, the variance
// is that of the row times 2^-96. LANES neighbouring invocations share a row; with LANES = 1 no barrier is met. The entry
// point layer_norm_vec4 takes rows of a multiple of four columns.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, `join_lanes` from library/join_lanes.wgsl, `sum_lanes` from
// library/sum_lanes.wgsl and `is_nan` from library/not_a_number.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                   // (rows, columns)
@group(0) @binding(1) var<storage, read> scale: array<f32>;               // (columns)
@group(0) @binding(2) var<storage, read> shift: array<f32>;               // (columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;             // (rows, columns)
@group(0) @binding(4) var<storage, read_write> offset: array<f32>;        // (rows)
@group(0) @binding(5) var<storage, read_write> reciprocal: array<f32>;    // (rows)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;            // (rows, columns / 4)
@group(0) @binding(1) var<storage, read> scale4: array<vec4<f32>>;        // (columns / 4)
@group(0) @binding(2) var<storage, read> shift4: array<vec4<f32>>;        // (columns / 4)
@group(0) @binding(3) var<storage, read_write> y4: array<vec4<f32>>;      // (rows, columns / 4)
@group(1) @binding(0) var<uniform> params: Uniform;

alias Part = vec3<f32>;
alias Sum = f32;

const SMALL: f32 = 1.2621775e-29;  // 2^-96
const LARGE: f32 = 7.9228163e28;   // 2^96
const WIDE: f32 = 2.8147498e14;    // 2^48

// A part of a row is (sum of the differences to its first element, the same times 2^-96, the largest of their magnitudes).
fn join(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    return vec3(a.xy + b.xy, max(a.z, b.z));
}

// (unit, mean difference to the first element in this unit): the row is normalised times the unit.
fn centre_of(row: vec3<f32>) -> vec2<f32> {
    let wide = row.z > WIDE;
    return vec2(select(1.0, SMALL, wide), select(row.x, row.y, wide) / f32(params.columns));
}

// The reciprocal of the deviation in the unit, from the sum of the squares in it.
fn reciprocal_of(squares: f32, unit: f32) -> f32 {
    // Against the variance of a wide row epsilon is nothing.
    let variance = squares / f32(params.columns) + select(0.0, params.epsilon, unit == 1.0);
    return select(1.0 / sqrt(variance), variance, is_nan(variance));
}

@compute @workgroup_size(WORKGROUP)
fn layer_norm(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = row_of(workgroup, workgroups, local);
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let start = min(row, params.rows - 1u) * params.columns;
    let first = x[start];
    var part = vec3<f32>();
    for (var c = lane; c < params.columns; c += LANES) {
        let difference = x[start + c] - first;
        part = join(part, vec3(difference, difference * SMALL, abs(difference)));
    }
    let centre = centre_of(join_lanes(part, local));
    var squares = 0.0;
    for (var c = lane; c < params.columns; c += LANES) {
        let deviation = (x[start + c] - first) * centre.x - centre.y;
        squares += deviation * deviation;
    }
    let factor = reciprocal_of(sum_lanes(squares, local), centre.x);
    if row < params.rows {
        for (var c = lane; c < params.columns; c += LANES) {
            let deviation = (x[start + c] - first) * centre.x - centre.y;
            y[start + c] = deviation * factor * scale[c] + shift[c];
        }
        if lane == 0u {
            offset[row] = centre.y * select(1.0, LARGE, centre.x == SMALL);
            reciprocal[row] = factor * centre.x;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn layer_norm_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = row_of(workgroup, workgroups, local);
    let columns = params.columns / 4u;
    let start = min(row, params.rows - 1u) * columns;
    let first = x4[start].x;
    var sums = vec4<f32>();
    var small_sums = vec4<f32>();
    var largest = vec4<f32>();
    for (var c = lane; c < columns; c += LANES) {
        let differences = x4[start + c] - first;
        sums += differences;
        small_sums += differences * SMALL;
        largest = max(largest, abs(differences));
    }
    let pairs = max(largest.xy, largest.zw);
    let part = vec3(dot(sums, vec4(1.0)), dot(small_sums, vec4(1.0)), max(pairs.x, pairs.y));
    let centre = centre_of(join_lanes(part, local));
    var squares = vec4<f32>();
    for (var c = lane; c < columns; c += LANES) {
        let deviations = (x4[start + c] - first) * centre.x - centre.y;
        squares += deviations * deviations;
    }
    let factor = reciprocal_of(sum_lanes(dot(squares, vec4(1.0)), local), centre.x);
    if row < params.rows {
        for (var c = lane; c < columns; c += LANES) {
            let deviations = (x4[start + c] - first) * centre.x - centre.y;
            y4[start + c] = deviations * factor * scale4[c] + shift4[c];
        }
        if lane == 0u {
            offset[row] = centre.y * select(1.0, LARGE, centre.x == SMALL);
            reciprocal[row] = factor * centre.x;
        }
    }
}
