// Gradient of layer normalisation for its input, with n[r, c] = (x[r, c] - x[r, 0] - offset[r]) * reciprocal[r] and
// g[r, c] = dy[r, c] * scale[c]:
//     dx[r, c] = reciprocal[r] * (g[r, c] - sum_c g[r, c] / columns - n[r, c] * sum_c (g[r, c] * n[r, c]) / columns)
//
// LANES neighbouring invocations share a row; with LANES = 1 no barrier is met. The entry point
// layer_norm_backward_vec4 takes rows of a multiple of four columns.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, and `sum_lanes` from library/sum_lanes.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                // (rows, columns)
@group(0) @binding(1) var<storage, read> scale: array<f32>;            // (columns)
@group(0) @binding(2) var<storage, read> offset: array<f32>;           // (rows): the mean less the first element
@group(0) @binding(3) var<storage, read> reciprocal: array<f32>;       // (rows)
@group(0) @binding(4) var<storage, read> dy: array<f32>;               // (rows, columns)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;         // (rows, columns)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;         // (rows, columns / 4)
@group(0) @binding(1) var<storage, read> scale4: array<vec4<f32>>;     // (columns / 4)
@group(0) @binding(4) var<storage, read> dy4: array<vec4<f32>>;        // (rows, columns / 4)
@group(0) @binding(5) var<storage, read_write> dx4: array<vec4<f32>>;  // (rows, columns / 4)
@group(1) @binding(0) var<uniform> params: Uniform;

alias Sum = vec2<f32>;

@compute @workgroup_size(WORKGROUP)
fn layer_norm_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let row = min(asked, params.rows - 1u);
    let start = row * params.columns;
    let first = x[start];
    let centre = offset[row];
    let factor = reciprocal[row];
    // (sum of g, sum of g * n)
    var sums = vec2<f32>();
    for (var c = local % LANES; c < params.columns; c += LANES) {
        let g = dy[start + c] * scale[c];
        sums += g * vec2(1.0, (x[start + c] - first - centre) * factor);
    }
    sums = sum_lanes(sums, local) / f32(params.columns);
    if asked < params.rows {
        for (var c = local % LANES; c < params.columns; c += LANES) {
            let n = (x[start + c] - first - centre) * factor;
            dx[start + c] = factor * (dy[start + c] * scale[c] - sums.x - n * sums.y);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn layer_norm_backward_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    let row = min(asked, params.rows - 1u);
    let columns = params.columns / 4u;
    let start = row * columns;
    let first = x4[start].x;
    let centre = offset[row];
    let factor = reciprocal[row];
    var sums = vec2<f32>();
    for (var c = local % LANES; c < columns; c += LANES) {
        let g = dy4[start + c] * scale4[c];
        sums += vec2(dot(g, vec4(1.0)), dot(g, (x4[start + c] - first - centre) * factor));
    }
    sums = sum_lanes(sums, local) / f32(params.columns);
    if asked < params.rows {
        for (var c = local % LANES; c < columns; c += LANES) {
            let n = (x4[start + c] - first - centre) * factor;
            dx4[start + c] = factor * (dy4[start + c] * scale4[c] - sums.x - n * sums.y);
        }
    }
}
