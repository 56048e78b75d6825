// Batch normalisation of the columns of a matrix, one column a channel (Ioffe & Szegedy 2015):
//
//     y[r, c] = (x[r, c] - mean[c]) * reciprocal[c] * scale[c] + shift[c],   or 0 where that is less and RECTIFIED is set
//     reciprocal[c] = 1 / sqrt(variance[c] + epsilon),   variance[c] = mean_r (x[r, c] - mean[c])^2
//
// Three kernels: batch_norm_statistics takes the moments of each slab of neighbouring rows, batch_norm_combine merges those of
// the slabs in their order, and batch_norm_apply normalises. Neighbouring invocations own neighbouring columns, and so read
// neighbouring words.
//
// Everything is relative to the first row, so that no digits are lost where a mean is large against its deviation: `offset` is
// the mean less the first element of the column.

struct Uniform {
    rows: u32,
    columns: u32,
    slabs: u32,    // the rows are cut into this many; the last ones may be short or empty
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                     // (rows, columns)
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<f32>>;  // (slabs, columns, 2): offset, sum of squared deviations
@group(1) @binding(0) var<uniform> params: Uniform;

@group(0) @binding(0) var<storage, read> moments: array<vec2<f32>>;         // (slabs, columns, 2), as partials
@group(0) @binding(1) var<storage, read_write> merged: array<f32>;          // (columns): the offset
@group(0) @binding(2) var<storage, read_write> deviation: array<f32>;       // (columns): its reciprocal
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;        // (columns)

@group(0) @binding(1) var<storage, read> offset: array<f32>;                // (columns)
@group(0) @binding(2) var<storage, read> reciprocal: array<f32>;            // (columns)
@group(0) @binding(3) var<storage, read> scale: array<f32>;                 // (columns)
@group(0) @binding(4) var<storage, read> shift: array<f32>;                 // (columns)
@group(0) @binding(5) var<storage, read_write> y: array<f32>;               // (rows, columns)

override WORKGROUP: u32 = 64u;

fn rows_of_slab() -> u32 {
    return (params.rows + params.slabs - 1u) / params.slabs;
}

@compute @workgroup_size(WORKGROUP)
fn batch_norm_statistics(at: Place) {
    let index = index_of(at);
    let column = index % params.columns;
    let slab = index / params.columns;
    if slab >= params.slabs {
        return;
    }
    let first = x[column];
    let first_row = min(slab * rows_of_slab(), params.rows);
    let end_row = min(first_row + rows_of_slab(), params.rows);
    var sum = 0.0;
    for (var row = first_row; row < end_row; row++) {
        sum += x[row * params.columns + column] - first;
    }
    // An empty slab has moments of 0.
    let mean = sum / f32(max(end_row - first_row, 1u));
    var squares = 0.0;
    for (var row = first_row; row < end_row; row++) {
        let difference = x[row * params.columns + column] - first - mean;
        squares += difference * difference;
    }
    partials[index] = vec2<f32>(mean, squares);
}

// The rows of a slab as a number.
fn weight(slab: u32) -> f32 {
    let first_row = min(slab * rows_of_slab(), params.rows);
    return f32(min(first_row + rows_of_slab(), params.rows) - first_row);
}

@compute @workgroup_size(WORKGROUP)
fn batch_norm_combine(at: Place) {
    let column = index_of(at);
    if column >= params.columns {
        return;
    }
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let slabs = params.slabs + at.workgroup.z;
    var sum = 0.0;
    for (var slab = 0u; slab < slabs; slab++) {
        sum += weight(slab) * moments[slab * params.columns + column].x;
    }
    let mean = sum / f32(params.rows);
    var squares = 0.0;
    for (var slab = 0u; slab < slabs; slab++) {
        let of_slab = moments[slab * params.columns + column];
        let difference = of_slab.x - mean;
        squares += of_slab.y + weight(slab) * difference * difference;
    }
    let mean_square = squares / f32(params.rows);
    merged[column] = mean;
    deviation[column] = 1.0 / sqrt(mean_square + params.epsilon);
    variance[column] = mean_square;
}

override ROWS: u32 = 4u;  // of one invocation
override RECTIFIED: bool = false;

@compute @workgroup_size(WORKGROUP)
fn batch_norm_apply(at: Place) {
    let index = index_of(at);
    let column = index % params.columns;
    let first_row = index / params.columns * ROWS;
    if first_row >= params.rows {
        return;
    }
    let first = x[column];
    let mean = offset[column];
    let factor = reciprocal[column];
    let own_scale = scale[column];
    let own_shift = shift[column];
    for (var row = first_row; row < min(first_row + ROWS, params.rows); row++) {
        let at_element = row * params.columns + column;
        let normal = (x[at_element] - first - mean) * factor;
        let value = normal * own_scale + own_shift;
        // By the bits from -0 to minus infinity: a comparison might lose a NaN.
        y[at_element] = select(value, 0.0, RECTIFIED && bitcast<u32>(value) - 0x80000000u <= 0x7F800000u);
    }
}
