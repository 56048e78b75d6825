// The uniform block, the operands and the windows of the gradient of a convolution's weights, the same for every variant.
// Takes no names from others.
//
//   partials[s, ky, kx, c, o] = sum_{n, oy, ox} x[n, oy * step_y + ky - top, ox * step_x + kx - left, c] dy[n, oy, ox, o]
//
// with x = 0 outside its image. The sum is cut into slices of neighbouring rows of dy, counted over all images; each slice
// makes a gradient of its own, and these are added in a fixed order.

struct Uniform {
    images: u32,
    rows: u32,            // of an image of x
    columns: u32,
    channels: u32,        // of x in a group
    outputs: u32,         // channels of dy in a group
    groups: u32,
    y_rows: u32,          // of an image of dy
    y_columns: u32,
    kernel_rows: u32,
    kernel_columns: u32,
    top: u32,             // rows of zeros above x
    left: u32,
    step_y: u32,
    step_x: u32,
    slices: u32,
    slice_rows: u32,      // of dy in a slice; the last may have fewer
    x_image: u32,         // strides in elements
    x_row: u32,
    x_column: u32,
    x_channel: u32,
    y_image: u32,
    y_row: u32,
    y_column: u32,
    y_channel: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;               // (images, rows, columns, channels), by its strides
@group(0) @binding(1) var<storage, read> dy: array<f32>;              // (images, rows, columns, outputs), by its strides
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;  // (slices, kernel rows, kernel columns, channels, outputs)
@group(1) @binding(0) var<uniform> params: Uniform;

// A row of dy, counted over all images.
struct Line {
    dy_at: u32,    // its first element
    x_start: u32,  // its image in x
    y: i32,        // the row of x under the first tap
}

fn line_of(row: u32) -> Line {
    let image = row / params.y_rows;
    let in_image = row % params.y_rows;
    return Line(
        image * params.y_image + in_image * params.y_row,
        image * params.x_image,
        i32(in_image * params.step_y) - i32(params.top),
    );
}

fn last_row(slice: u32) -> u32 {
    return min((slice + 1u) * params.slice_rows, params.images * params.y_rows);
}

fn inside(y: i32, x: i32) -> bool {
    return y >= 0 && y < i32(params.rows) && x >= 0 && x < i32(params.columns);
}

// The first channel of a pixel of x, the nearest one inside where it is outside, so that every load is in bounds.
fn x_at(line: Line, y: i32, x: i32) -> u32 {
    let row = u32(clamp(y, 0, i32(params.rows) - 1));
    let column = u32(clamp(x, 0, i32(params.columns) - 1));
    return line.x_start + row * params.x_row + column * params.x_column;
}

// The place of a weight in the partial gradient of a slice, for output 0 of a group.
fn weight_at(slice: u32, group: u32, tap_and_channel: u32) -> u32 {
    let weights = params.kernel_rows * params.kernel_columns * params.channels;
    return ((slice * weights + tap_and_channel) * params.groups + group) * params.outputs;
}
