// Max pooling of images, with the rules of PyTorch:
//
//     y[n, oy, ox, c] = max over the window of x[n, iy, ix, c],    index[n, oy, ox, c] = iy * columns + ix of it
//
// Padding is never chosen. Of equal elements the first in row-major order is, of several NaN the last, and a window of nothing
// but minus infinity gives its first element. max_pool_gradient hands dy to the chosen elements: each gathers it from the
// windows over it in a fixed order, unless windows lie apart, where a window deals it out. max_pool_pick reads the chosen
// elements of a tensor like x: each is the adjoint of the other.
//
// Takes all of windows.wgsl, `Place` and `index_of` from library/place.wgsl `is_nan` and
// `order_of` from library/not_a_number.wgsl.

@group(0) @binding(0) var<storage, read> x: array<f32>;               // (images, rows, columns, channels)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;         // (images, out rows, out columns, channels)
@group(0) @binding(2) var<storage, read_write> index: array<u32>;     // (images, out rows, out columns, channels)

@group(0) @binding(0) var<storage, read> dy: array<f32>;              // (images, out rows, out columns, channels)
@group(0) @binding(1) var<storage, read> chosen: array<u32>;          // (images, out rows, out columns, channels): index
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;        // (images, rows, columns, channels)

@group(0) @binding(2) var<storage, read_write> picked: array<f32>;    // (images, out rows, out columns, channels)

override WORKGROUP: u32 = 64u;

// No two windows share a pixel: none is longer than its step.
override SEPARATE: bool = false;

@compute @workgroup_size(WORKGROUP)
fn max_pool(at: Place) {
    let own = index_of(at);
    if own >= params.images * params.out_rows * params.out_columns * params.channels {
        return;
    }
    let element = element_of(own, params.out_rows, params.out_columns);
    let rows = under(element.row, params.step_y, params.kernel_rows, params.top, params.rows);
    let columns = under(element.column, params.step_x, params.kernel_columns, params.left, params.columns);
    let image = element.image * params.rows * params.columns;
    var best_at = rows.first * params.columns + columns.first;
    var best = x[(image + best_at) * params.channels + element.channel];
    for (var row = rows.first; row < rows.end; row++) {
        for (var column = columns.first; column < columns.end; column++) {
            let pixel = row * params.columns + column;
            let value = x[(image + pixel) * params.channels + element.channel];
            if order_of(value) > order_of(best) || is_nan(value) {
                best = value;
                best_at = pixel;
            }
        }
    }
    y[own] = best;
    index[own] = best_at;
}

@compute @workgroup_size(WORKGROUP)
fn max_pool_gradient(at: Place) {
    if SEPARATE {
        gradient_of_block(index_of(at));
    } else {
        gradient_of_strip(index_of(at));
    }
}

// The pixels of one step of rows and columns, all of them under the same window or under none.
fn gradient_of_block(own: u32) {
    let blocks_y = (params.rows + params.top + params.step_y - 1u) / params.step_y;
    let blocks_x = (params.columns + params.left + params.step_x - 1u) / params.step_x;
    if own >= params.images * blocks_y * blocks_x * params.channels {
        return;
    }
    let block = element_of(own, blocks_y, blocks_x);
    let has_window = block.row < params.out_rows && block.column < params.out_columns;
    // A block without a window reads another one's.
    let window = min(vec2<u32>(block.row, block.column), vec2<u32>(params.out_rows, params.out_columns) - 1u);
    let of_window = (block.image * params.out_rows + window.x) * params.out_columns + window.y;
    let of_channel = of_window * params.channels + block.channel;
    let gradient = select(0.0, dy[of_channel], has_window);
    let pixel = chosen[of_channel];
    let rows = under(block.row, params.step_y, params.step_y, params.top, params.rows);
    let columns = under(block.column, params.step_x, params.step_x, params.left, params.columns);
    let image = block.image * params.rows * params.columns;
    for (var row = rows.first; row < rows.end; row++) {
        for (var column = columns.first; column < columns.end; column++) {
            let element = row * params.columns + column;
            dx[(image + element) * params.channels + block.channel] = select(0.0, gradient, pixel == element);
        }
    }
}

fn gradient_of_strip(index_of_strip: u32) {
    let strip = strip_of(index_of_strip);
    if strip.image >= params.images {
        return;
    }
    let rows = windows_over(strip.row);
    let image = strip.image * params.out_rows;
    var first = first_window(strip.first_column + params.left, params.kernel_columns, params.step_x);
    for (var own = strip.first_column; own < min(strip.first_column + COLUMNS, params.columns); own++) {
        let last = own + params.left;
        if first * params.step_x + params.kernel_columns <= last {
            first += 1u;
        }
        var sum = 0.0;
        for (var row = rows.first; row < rows.end; row++) {
            for (var column = first; column < params.out_columns && column * params.step_x <= last; column++) {
                let window = ((image + row) * params.out_columns + column) * params.channels + strip.channel;
                // Not a product with a mask: dy may be infinite.
                sum += select(0.0, dy[window], chosen[window] == strip.row * params.columns + own);
            }
        }
        let pixel = (strip.image * params.rows + strip.row) * params.columns + own;
        dx[pixel * params.channels + strip.channel] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn max_pool_pick(at: Place) {
    let own = index_of(at);
    if own >= params.images * params.out_rows * params.out_columns * params.channels {
        return;
    }
    let element = element_of(own, params.out_rows, params.out_columns);
    let image = element.image * params.rows * params.columns;
    // An index that no max pooling gives reads the last pixel instead.
    let pixel = min(chosen[own], params.rows * params.columns - 1u);
    picked[own] = x[(image + pixel) * params.channels + element.channel];
}
