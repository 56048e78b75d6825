// Softmax along the last axis:  y[r, c] = exp(x[r, c] - m[r]) / sum_c exp(x[r, c] - m[r]),  m[r] = max_c x[r, c].
//
// LANES neighbouring invocations share a row and WORKGROUP / LANES rows share a workgroup. With LANES = 1 an
// invocation owns its row and no barrier is met: the fastest form on software drivers and for short rows.

struct Uniform {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;        // (rows, columns)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // (rows, columns)
@group(1) @binding(0) var<uniform> size: Uniform;

override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;

var<workgroup> shared_values: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let flat = workgroup.x + workgroup.y * workgroups.x;
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let asked = flat * (WORKGROUP / LANES) + local / LANES;
    let row = min(asked, size.rows - 1u);
    let start = row * size.columns;

    var largest = -3.4e38;
    for (var c = lane; c < size.columns; c += LANES) {
        largest = max(largest, x[start + c]);
    }
    if LANES > 1u {
        shared_values[local] = largest;
        for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if lane < stride {
                shared_values[local] = max(shared_values[local], shared_values[local + stride]);
            }
        }
        workgroupBarrier();
        largest = shared_values[local - lane];
        workgroupBarrier();
    }

    var total = 0.0;
    for (var c = lane; c < size.columns; c += LANES) {
        total += exp(x[start + c] - largest);
    }
    if LANES > 1u {
        shared_values[local] = total;
        for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if lane < stride {
                shared_values[local] += shared_values[local + stride];
            }
        }
        workgroupBarrier();
        total = shared_values[local - lane];
    }

    if asked < size.rows {
        for (var c = lane; c < size.columns; c += LANES) {
            y[start + c] = exp(x[start + c] - largest) / total;
        }
    }
}
