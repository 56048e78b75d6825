// Gradients of batch normalisation, with n[r, c] = (x[r, c] - x[0, c] - offset[c]) * reciprocal[c]:
//     dscale[c] = sum_r dy[r, c] * n[r, c]
//     dshift[c] = sum_r dy[r, c]
//     dx[r, c] = scale[c] * reciprocal[c] * (dy[r, c] - dshift[c] / rows - n[r, c] * dscale[c] / rows)
// batch_norm_slabs sums each slab of neighbouring rows, layer_norm_sum of layer_norm_parameters.wgsl adds the slabs' sums in
// their order, and batch_norm_backward makes dx of them.

struct Uniform {
    rows: u32,
    columns: u32,
    slabs: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                     // (rows, columns)
@group(0) @binding(1) var<storage, read> offset: array<f32>;                // (columns): the mean less the first element
@group(0) @binding(2) var<storage, read> reciprocal: array<f32>;            // (columns)
@group(0) @binding(3) var<storage, read> dy: array<f32>;                    // (rows, columns)
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;  // (slabs, columns, 2)
@group(1) @binding(0) var<uniform> params: Uniform;

@group(0) @binding(4) var<storage, read> scale: array<f32>;                 // (columns)
@group(0) @binding(5) var<storage, read> dscale: array<f32>;                // (columns)
@group(0) @binding(6) var<storage, read> dshift: array<f32>;                // (columns)
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;              // (rows, columns)

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn batch_norm_slabs(at: Place) {
    let index = index_of(at);
    let column = index % params.columns;
    let slab = index / params.columns;
    if slab >= params.slabs {
        return;
    }
    let rows = (params.rows + params.slabs - 1u) / params.slabs;
    let first = x[column];
    let mean = offset[column];
    let factor = reciprocal[column];
    var sums = vec2<f32>();
    for (var row = slab * rows; row < min((slab + 1u) * rows, params.rows); row++) {
        let at_element = row * params.columns + column;
        sums += dy[at_element] * vec2<f32>((x[at_element] - first - mean) * factor, 1.0);
    }
    partials[index] = sums;
}

const ROWS = 4u;  // of one invocation

@compute @workgroup_size(WORKGROUP)
fn batch_norm_backward(at: Place) {
    let index = index_of(at);
    let column = index % params.columns;
    let first_row = index / params.columns * ROWS;
    if first_row >= params.rows {
        return;
    }
    let first = x[column];
    let mean = offset[column];
    let factor = reciprocal[column];
    let rows = f32(params.rows);
    let mean_dy = dshift[column] / rows;
    let mean_product = dscale[column] / rows;
    let outer = scale[column] * factor;
    for (var row = first_row; row < min(first_row + ROWS, params.rows); row++) {
        let at_element = row * params.columns + column;
        let normal = (x[at_element] - first - mean) * factor;
        dx[at_element] = outer * (dy[at_element] - mean_dy - normal * mean_product);
    }
}
