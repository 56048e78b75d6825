// Rows of a table by index (an embedding):  y[i, c] = table[indices[i], c], or 0 where the index is past the table.
//
// Neighbouring invocations copy neighbouring words of a row. In gather_vec4 columns counts groups of four.

struct Uniform {
    rows: u32,
    columns: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> table: array<f32>;            // (rows, columns)
@group(0) @binding(1) var<storage, read> indices: array<u32>;          // (count)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;          // (count, columns)
@group(0) @binding(0) var<storage, read> table4: array<vec4<f32>>;     // (rows, columns)
@group(0) @binding(2) var<storage, read_write> y4: array<vec4<f32>>;   // (count, columns)
@group(1) @binding(0) var<uniform> params: Uniform;

@compute @workgroup_size(256)
fn gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat >= params.count * params.columns {
        return;
    }
    let i = flat / params.columns;
    let row = indices[i];
    // A row past the table reads its first one and stores zero.
    let element = select(0u, row, row < params.rows) * params.columns + (flat - i * params.columns);
    y[flat] = select(0.0, table[element], row < params.rows);
}

@compute @workgroup_size(256)
fn gather_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat >= params.count * params.columns {
        return;
    }
    let i = flat / params.columns;
    let row = indices[i];
    let element = select(0u, row, row < params.rows) * params.columns + (flat - i * params.columns);
    y4[flat] = select(vec4(0.0), table4[element], row < params.rows);
}
