// Gradients of layer normalisation for its scale and shift, with n[r, c] = (x[r, c] - x[r, 0] - offset[r]) * reciprocal[r]:
//     dscale[c] = sum_r dy[r, c] * n[r, c]
//     dshift[c] = sum_r dy[r, c]
// Two stages in a fixed order, without atomics: layer_norm_slabs sums each slab of neighbouring rows, and
// layer_norm_sum adds the slabs' sums. An invocation owns a column, so that neighbours read neighbouring words.

struct Uniform {
    rows: u32,
    columns: u32,
    slabs: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                     // (rows, columns)
@group(0) @binding(1) var<storage, read> offset: array<f32>;                // (rows): the mean less the first element
@group(0) @binding(2) var<storage, read> reciprocal: array<f32>;            // (rows)
@group(0) @binding(3) var<storage, read> dy: array<f32>;                    // (rows, columns)
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;  // (slabs, columns, 2)
@group(1) @binding(0) var<uniform> params: Uniform;

@group(0) @binding(0) var<storage, read> summands: array<vec2<f32>>;        // (slabs, columns, 2)
@group(0) @binding(1) var<storage, read_write> dscale: array<f32>;          // (columns)
@group(0) @binding(2) var<storage, read_write> dshift: array<f32>;          // (columns)

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn layer_norm_slabs(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    let column = index % params.columns;
    let slab = index / params.columns;
    if slab >= params.slabs {
        return;
    }
    let rows = (params.rows + params.slabs - 1u) / params.slabs;
    var sums = vec2<f32>();
    for (var row = slab * rows; row < min((slab + 1u) * rows, params.rows); row++) {
        let at = row * params.columns + column;
        let difference = x[at] - x[row * params.columns];
        sums += dy[at] * vec2((difference - offset[row]) * reciprocal[row], 1.0);
    }
    partials[index] = sums;
}

@compute @workgroup_size(WORKGROUP)
fn layer_norm_sum(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let column = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if column >= params.columns {
        return;
    }
    var sums = vec2<f32>();
    for (var slab = 0u; slab < params.slabs; slab++) {
        sums += summands[slab * params.columns + column];
    }
    dscale[column] = sums.x;
    dshift[column] = sums.y;
}
