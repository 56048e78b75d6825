// Average pooling of images: the sum over a window, whose padding counts as zeros, divided by all of its elements, those of
// the padding included:
//
//     y[n, oy, ox, c] = sum over the window of x[n, iy, ix, c] / (kernel rows * kernel columns)
//
// average_pool_gradient is its adjoint: an element of dx gathers dy from the windows over it in a fixed order.
//
// Takes all of windows.wgsl and `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> x: array<f32>;          // (images, rows, columns, channels)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;    // (images, out rows, out columns, channels)

@group(0) @binding(0) var<storage, read> dy: array<f32>;         // (images, out rows, out columns, channels)
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;   // (images, rows, columns, channels)

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn average_pool(at: Place) {
    let own = index_of(at);
    if own >= params.images * params.out_rows * params.out_columns * params.channels {
        return;
    }
    let element = element_of(own, params.out_rows, params.out_columns);
    let rows = under(element.row, params.step_y, params.kernel_rows, params.top, params.rows);
    let columns = under(element.column, params.step_x, params.kernel_columns, params.left, params.columns);
    let image = element.image * params.rows * params.columns;
    var sum = 0.0;
    for (var row = rows.first; row < rows.end; row++) {
        for (var column = columns.first; column < columns.end; column++) {
            sum += x[(image + row * params.columns + column) * params.channels + element.channel];
        }
    }
    y[own] = sum / f32(params.kernel_rows * params.kernel_columns);
}

@compute @workgroup_size(WORKGROUP)
fn average_pool_gradient(at: Place) {
    let strip = strip_of(index_of(at));
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
                sum += dy[window];
            }
        }
        let pixel = (strip.image * params.rows + strip.row) * params.columns + own;
        dx[pixel * params.channels + strip.channel] = sum / f32(params.kernel_rows * params.kernel_columns);
    }
}
