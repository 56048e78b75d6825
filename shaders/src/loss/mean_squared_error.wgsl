// Mean squared error of each row: loss and gradient in one kernel.
//     loss[r]           = sum_c (prediction[r, c] - goal[r, c])^2 / columns
//     dprediction[r, c] = 2 * (prediction[r, c] - goal[r, c]) / columns     (the gradient of the row's own loss)
//
// LANES neighbouring invocations share a row; with LANES = 1 no barrier is met.
//
// Takes WORKGROUP and LANES from library/rows.wgsl, and `sum_lanes` from library/sum_lanes.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> prediction: array<f32>;          // (rows, columns)
@group(0) @binding(1) var<storage, read> goal: array<f32>;                // (rows, columns)
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;        // (rows)
@group(0) @binding(3) var<storage, read_write> dprediction: array<f32>;   // (rows, columns)
@group(1) @binding(0) var<uniform> params: Uniform;

alias Sum = f32;

@compute @workgroup_size(WORKGROUP)
fn mean_squared_error(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES) + local / LANES;
    let factor = 1.0 / f32(params.columns);
    let start = row * params.columns;
    var total = 0.0;
    // Rows past the last add nothing; their invocations meet the barriers all the same.
    if row < params.rows {
        for (var c = lane; c < params.columns; c += LANES) {
            let error = prediction[start + c] - goal[start + c];
            total += error * error;
            dprediction[start + c] = 2.0 * factor * error;
        }
    }
    total = sum_lanes(total, local);
    if row < params.rows && lane == 0u {
        losses[row] = total * factor;
    }
}
