// The uniform block, the operands and the windows of a convolution or of the gradient of its input, the same for every
// variant. Takes no names from others.
//
//   out[n, row, column, o] = activation(bias[o] + sum_{tap, t} x[n, row', column', t] w[tap, t, o]),    x = 0 outside
//
// In a convolution the window of (row, column) begins at row' = row * step_y - top and its taps go forward. In an input
// gradient the outputs with the same remainder of (row + top) / strides see the same taps, every strides-th of the
// kernel, and these go backward: such outputs are a phase, and within it the step is 1.

struct Uniform {
    images: u32,
    rows: u32,            // of an image of x
    columns: u32,
    terms: u32,           // channels of x in a group
    outputs: u32,         // channels of out in a group
    groups: u32,
    out_rows: u32,        // of an image of out
    out_columns: u32,
    kernel_rows: u32,
    kernel_columns: u32,
    top: u32,             // rows of zeros above the input of the convolution
    left: u32,
    step_y: u32,          // the strides of the convolution; 1 in an input gradient
    step_x: u32,
    phases_y: u32,        // 1; the strides in an input gradient
    phases_x: u32,
    direction: i32,       // 1; -1 in an input gradient
    x_image: u32,         // strides in elements
    x_row: u32,
    x_column: u32,
    x_channel: u32,
    out_image: u32,
    out_row: u32,
    out_column: u32,
    out_channel: u32,
    w_row: u32,
    w_column: u32,
    w_term: u32,
    w_output: u32,
    w_group: u32,
    bias: u32,            // 0: none, 1: an element for each channel of out
    activation: u32,      // 0: none, 1: relu, 2: gelu (tanh form), 3: gelu (erf form), 4: tanh
}

@group(0) @binding(0) var<storage, read> x: array<f32>;          // (images, rows, columns, channels), by its strides
@group(0) @binding(1) var<storage, read> w: array<f32>;          // (kernel rows, kernel columns, terms, outputs), by its strides
@group(0) @binding(2) var<storage, read> bias: array<f32>;       // (channels of out); not read where there is none
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (images, rows, columns, channels), by its strides
@group(1) @binding(0) var<uniform> params: Uniform;

// The outputs of one phase in the channels of one group.
struct Phase {
    group: u32,
    first_row: u32,     // of out, and every phases_y-th after it
    first_column: u32,
    rows: u32,          // so many
    columns: u32,
    first_tap_y: u32,   // of the kernel, and every phases_y-th after it
    first_tap_x: u32,
    taps_y: u32,        // so many
    taps_x: u32,
    origin_y: i32,      // the row of x under the first tap of the first row
    origin_x: i32,
}

// Pixels of the largest phase, over all images.
fn most_pixels() -> u32 {
    let rows = (params.out_rows + params.phases_y - 1u) / params.phases_y;
    let columns = (params.out_columns + params.phases_x - 1u) / params.phases_x;
    return params.images * rows * columns;
}

fn phases() -> u32 {
    return params.phases_y * params.phases_x * params.groups;
}

// The multiples of `step` from `first` on that are below `end`.
fn count(first: u32, end: u32, step: u32) -> u32 {
    return (max(end, first) - first + step - 1u) / step;
}

fn phase_of(index: u32) -> Phase {
    let group = index % params.groups;
    let tap_x = index / params.groups % params.phases_x;
    let tap_y = index / params.groups / params.phases_x;
    let first_row = (tap_y + params.phases_y - params.top % params.phases_y) % params.phases_y;
    let first_column = (tap_x + params.phases_x - params.left % params.phases_x) % params.phases_x;
    return Phase(
        group,
        first_row,
        first_column,
        count(first_row, params.out_rows, params.phases_y),
        count(first_column, params.out_columns, params.phases_x),
        tap_y,
        tap_x,
        count(tap_y, params.kernel_rows, params.phases_y),
        count(tap_x, params.kernel_columns, params.phases_x),
        -params.direction * (i32(first_row + params.top - tap_y) / i32(params.phases_y)),
        -params.direction * (i32(first_column + params.left - tap_x) / i32(params.phases_x)),
    );
}

// The first element of the weights that tap (y, x) of a phase multiplies.
fn tap_at(phase: Phase, y: u32, x: u32) -> u32 {
    let row = phase.first_tap_y + y * params.phases_y;
    let column = phase.first_tap_x + x * params.phases_x;
    return phase.group * params.w_group + row * params.w_row + column * params.w_column;
}

// A pixel of a phase.
struct Pixel {
    x_start: u32,  // its image in x, at the first channel of the group
    y: i32,        // the row and the column of x under the first tap
    x: i32,
    out_at: u32,   // the pixel in out, at the first channel of the group
}

// The pixel at (row, column) of a phase in an image.
fn pixel_at(phase: Phase, image: u32, row: u32, column: u32) -> Pixel {
    let out_pixel = (phase.first_row + row * params.phases_y) * params.out_row
        + (phase.first_column + column * params.phases_x) * params.out_column;
    return Pixel(
        image * params.x_image + phase.group * params.terms * params.x_channel,
        phase.origin_y + i32(row * params.step_y),
        phase.origin_x + i32(column * params.step_x),
        image * params.out_image + out_pixel + phase.group * params.outputs * params.out_channel,
    );
}

// The pixel of this index among those of a phase, over all images.
fn pixel_of(phase: Phase, index: u32) -> Pixel {
    let column = index % phase.columns;
    let row = index / phase.columns % phase.rows;
    return pixel_at(phase, index / phase.columns / phase.rows, row, column);
}

fn inside(y: i32, x: i32) -> bool {
    return y >= 0 && y < i32(params.rows) && x >= 0 && x < i32(params.columns);
}

// The first channel of a pixel of x, the nearest one inside where it is outside, so that every load is in bounds.
fn x_at(pixel: Pixel, y: i32, x: i32) -> u32 {
    let row = u32(clamp(y, 0, i32(params.rows) - 1));
    let column = u32(clamp(x, 0, i32(params.columns) - 1));
    return pixel.x_start + row * params.x_row + column * params.x_column;
}

// Stores the sum of an output channel of a group. No branch on the uniform block alone: one software driver compiles a
// kernel anew, at every dispatch, for the values that its branches and loops depend on.
fn store(phase: Phase, out_at: u32, output: u32, sum: f32) {
    let biased = params.bias != 0u;
    let at = select(0u, phase.group * params.outputs + output, biased);
    out[out_at + output * params.out_channel] = activate(sum + select(0.0, bias[at], biased));
}
