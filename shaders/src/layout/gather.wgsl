// Rows of a table by index (an embedding):  y[i, c] = table[indices[i], c], or 0 where the index is past the table.
//
// Neighbouring invocations copy neighbouring words of a row. Columns count in loads. Takes `Load` from
// library/loads_of_one.wgsl or library/loads_of_four.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> table: array<Load>;           // (rows, columns)
@group(0) @binding(1) var<storage, read> indices: array<u32>;          // (count)
@group(0) @binding(2) var<storage, read_write> y: array<Load>;         // (count, columns)
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
    y[flat] = select(Load(), table[element], row < params.rows);
}
