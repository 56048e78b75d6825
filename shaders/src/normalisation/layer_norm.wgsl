// Layer normalisation over the last axis:
//     mean[r]       = sum_c x[r, c] / columns
//     reciprocal[r] = 1 / sqrt(sum_c (x[r, c] - mean[r])^2 / columns + epsilon)
//     y[r, c]       = (x[r, c] - mean[r]) * reciprocal[r] * scale[c] + shift[c]
// Mean and reciprocal deviation are stored for the gradients.
//
// Both moments come from one pass over the row by Welford's and Chan's rule, which loses nothing where the mean is
// large against the deviation. LANES neighbouring invocations share a row; with LANES = 1 no barrier is met. The
// entry point layer_norm_vec4 takes rows of a multiple of four columns.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, and `join_lanes` from library/join_lanes.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                   // (rows, columns)
@group(0) @binding(1) var<storage, read> scale: array<f32>;               // (columns)
@group(0) @binding(2) var<storage, read> shift: array<f32>;               // (columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;             // (rows, columns)
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;          // (rows)
@group(0) @binding(5) var<storage, read_write> reciprocal: array<f32>;    // (rows)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;            // (rows, columns / 4)
@group(0) @binding(1) var<storage, read> scale4: array<vec4<f32>>;        // (columns / 4)
@group(0) @binding(2) var<storage, read> shift4: array<vec4<f32>>;        // (columns / 4)
@group(0) @binding(3) var<storage, read_write> y4: array<vec4<f32>>;      // (rows, columns / 4)
@group(1) @binding(0) var<uniform> size: Uniform;

alias Part = vec3<f32>;

// A part of a row is (n, mean, sum of squared deviations from that mean) of its n elements. Two parts make one.
fn join(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let count = a.x + b.x;
    let weight = b.x / max(count, 1.0);
    let delta = b.y - a.y;
    return vec3(count, a.y + delta * weight, a.z + b.z + delta * delta * a.x * weight);
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
    let start = min(row, size.rows - 1u) * size.columns;
    var part = vec3<f32>();
    for (var c = lane; c < size.columns; c += LANES) {
        part = join(part, vec3(1.0, x[start + c], 0.0));
    }
    part = join_lanes(part, local);
    if row < size.rows {
        let factor = 1.0 / sqrt(part.z / f32(size.columns) + size.epsilon);
        for (var c = lane; c < size.columns; c += LANES) {
            y[start + c] = (x[start + c] - part.y) * factor * scale[c] + shift[c];
        }
        if lane == 0u {
            mean[row] = part.y;
            reciprocal[row] = factor;
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
    let columns = size.columns / 4u;
    let start = min(row, size.rows - 1u) * columns;
    var part = vec3<f32>();
    for (var c = lane; c < columns; c += LANES) {
        let values = x4[start + c];
        // Halves and sums of two keep the mean of equal values exact.
        let pairs = 0.5 * (values.xy + values.zw);
        let centre = 0.5 * (pairs.x + pairs.y);
        let deviations = values - centre;
        part = join(part, vec3(4.0, centre, dot(deviations, deviations)));
    }
    part = join_lanes(part, local);
    if row < size.rows {
        let factor = 1.0 / sqrt(part.z / f32(size.columns) + size.epsilon);
        for (var c = lane; c < columns; c += LANES) {
            y4[start + c] = (x4[start + c] - part.y) * factor * scale4[c] + shift4[c];
        }
        if lane == 0u {
            mean[row] = part.y;
            reciprocal[row] = factor;
        }
    }
}
