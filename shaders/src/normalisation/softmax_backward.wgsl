// Gradients of softmax and log-softmax along the last axis, from the output y and its gradient dy:
//     softmax      dx[r, c] = factor * y[r, c] * (dy[r, c] - sum_c dy[r, c] * y[r, c])
//     log-softmax  dx[r, c] = factor * (dy[r, c] - exp(y[r, c]) * sum_c dy[r, c])
// The factor is 1, or the factor of the scores where the softmax was taken of scaled scores.
//
// LANES neighbouring invocations share a row; with LANES = 1 no barrier is met. The entry point
// softmax_backward_vec4 takes rows of a multiple of four columns.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, and `sum_lanes` from library/sum_lanes.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>;                // (rows, columns)
@group(0) @binding(1) var<storage, read> dy: array<f32>;               // (rows, columns)
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;         // (rows, columns)
@group(0) @binding(0) var<storage, read> y4: array<vec4<f32>>;         // (rows, columns / 4)
@group(0) @binding(1) var<storage, read> dy4: array<vec4<f32>>;        // (rows, columns / 4)
@group(0) @binding(2) var<storage, read_write> dx4: array<vec4<f32>>;  // (rows, columns / 4)
@group(1) @binding(0) var<uniform> params: Uniform;

override LOG: bool = false;

alias Sum = f32;

@compute @workgroup_size(WORKGROUP)
fn softmax_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(workgroup, workgroups, local);
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let start = min(row, params.rows - 1u) * params.columns;
    var total = 0.0;
    for (var c = local % LANES; c < params.columns; c += LANES) {
        if LOG {
            total += dy[start + c];
        } else {
            total += dy[start + c] * y[start + c];
        }
    }
    total = sum_lanes(total, local);
    if row < params.rows {
        for (var c = local % LANES; c < params.columns; c += LANES) {
            if LOG {
                dx[start + c] = params.factor * (dy[start + c] - exp(y[start + c]) * total);
            } else {
                dx[start + c] = params.factor * y[start + c] * (dy[start + c] - total);
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn softmax_backward_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = row_of(workgroup, workgroups, local);
    let columns = params.columns / 4u;
    let start = min(row, params.rows - 1u) * columns;
    var total = 0.0;
    for (var c = local % LANES; c < columns; c += LANES) {
        if LOG {
            total += dot(dy4[start + c], vec4(1.0));
        } else {
            total += dot(dy4[start + c], y4[start + c]);
        }
    }
    total = sum_lanes(total, local);
    if row < params.rows {
        for (var c = local % LANES; c < columns; c += LANES) {
            if LOG {
                dx4[start + c] = params.factor * (dy4[start + c] - exp(y4[start + c]) * total);
            } else {
                dx4[start + c] = params.factor * y4[start + c] * (dy4[start + c] - total);
            }
        }
    }
}
