// Gradients of batch normalisation, with n[r, c] = (x[r, c] - x[0, c] - offset[c]) * reciprocal[c], and g = dy, or 0 where
// RECTIFIED is set and n[r, c] * scale[c] + shift[c] is not positive:
//     dscale[c] = sum_r g[r, c] * n[r, c]
//     dshift[c] = sum_r g[r, c]
//     dx[r, c] = scale[c] * reciprocal[c] * (g[r, c] - dshift[c] / rows - n[r, c] * dscale[c] / rows)
// batch_norm_slabs sums each slab of neighbouring rows, batch_norm_sum adds the slabs' sums in their order, and
// batch_norm_backward makes dx of them.

struct Uniform {
    rows: u32,
    columns: u32,
    slabs: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                     // (rows, columns)
@group(0) @binding(1) var<storage, read> offset: array<f32>;                // (columns): the mean less the first element
@group(0) @binding(2) var<storage, read> reciprocal: array<f32>;            // (columns)
@group(0) @binding(3) var<storage, read> scale: array<f32>;                 // (columns)
@group(0) @binding(4) var<storage, read> shift: array<f32>;                 // (columns)
@group(0) @binding(5) var<storage, read> dy: array<f32>;                    // (rows, columns)
@group(0) @binding(6) var<storage, read_write> partials: array<vec2<f32>>;  // (slabs, columns, 2): dscale, dshift
@group(1) @binding(0) var<uniform> params: Uniform;

@group(0) @binding(0) var<storage, read> summands: array<vec2<f32>>;        // (slabs, columns, 2)
@group(0) @binding(1) var<storage, read_write> dscale: array<f32>;          // (columns)
@group(0) @binding(2) var<storage, read_write> dshift: array<f32>;          // (columns)
@group(0) @binding(3) var<storage, read_write> totals: array<vec2<f32>>;    // (columns, 2): dscale, dshift

@group(0) @binding(6) var<storage, read> sums: array<vec2<f32>>;            // (columns, 2): totals
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;              // (rows, columns)

override WORKGROUP: u32 = 64u;
override ROWS: u32 = 4u;  // of one invocation
override RECTIFIED: bool = false;

// A column of the normalisation.
struct Column {
    first: f32,
    mean: f32,
    factor: f32,
    scale: f32,
    shift: f32,
}

fn column_of(index: u32) -> Column {
    return Column(x[index], offset[index], reciprocal[index], scale[index], shift[index]);
}

fn normal_of(column: Column, value: f32) -> f32 {
    return (value - column.first - column.mean) * column.factor;
}

// The gradient before the rectifier. Not a product with a mask: dy may be infinite.
fn through(column: Column, normal: f32, gradient: f32) -> f32 {
    return select(gradient, 0.0, RECTIFIED && normal * column.scale + column.shift <= 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn batch_norm_slabs(at: Place) {
    let index = index_of(at);
    let slab = index / params.columns;
    if slab >= params.slabs {
        return;
    }
    let rows = (params.rows + params.slabs - 1u) / params.slabs;
    let column = column_of(index % params.columns);
    var total = vec2<f32>();
    for (var row = slab * rows; row < min((slab + 1u) * rows, params.rows); row++) {
        let at_element = row * params.columns + index % params.columns;
        let normal = normal_of(column, x[at_element]);
        total += through(column, normal, dy[at_element]) * vec2<f32>(normal, 1.0);
    }
    partials[index] = total;
}

@compute @workgroup_size(WORKGROUP)
fn batch_norm_sum(at: Place) {
    let column = index_of(at);
    if column >= params.columns {
        return;
    }
    // The grid is flat, so z is 0; without it the bound of the loop would be of the uniform block alone.
    let slabs = params.slabs + at.workgroup.z;
    var total = vec2<f32>();
    for (var slab = 0u; slab < slabs; slab++) {
        total += summands[slab * params.columns + column];
    }
    dscale[column] = total.x;
    dshift[column] = total.y;
    totals[column] = total;
}

@compute @workgroup_size(WORKGROUP)
fn batch_norm_backward(at: Place) {
    let index = index_of(at);
    let first_row = index / params.columns * ROWS;
    if first_row >= params.rows {
        return;
    }
    let column = column_of(index % params.columns);
    let mean = sums[index % params.columns] / f32(params.rows);
    let outer = column.scale * column.factor;
    for (var row = first_row; row < min(first_row + ROWS, params.rows); row++) {
        let at_element = row * params.columns + index % params.columns;
        let normal = normal_of(column, x[at_element]);
        dx[at_element] = outer * (through(column, normal, dy[at_element]) - mean.y - normal * mean.x);
    }
}
