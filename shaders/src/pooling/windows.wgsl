// The uniform block and the windows of a pooling, the same for all of them. Takes no names from others.

struct Uniform {
    images: u32,
    rows: u32,         // of an image of x
    columns: u32,
    channels: u32,
    out_rows: u32,     // of an image of y
    out_columns: u32,
    kernel_rows: u32,
    kernel_columns: u32,
    step_y: u32,
    step_x: u32,
    top: u32,          // rows of padding above x
    left: u32,
}

@group(1) @binding(0) var<uniform> params: Uniform;

// An element of a dense tensor (images, rows, columns, channels).
struct Element {
    image: u32,
    row: u32,
    column: u32,
    channel: u32,
}

fn element_of(index: u32, rows: u32, columns: u32) -> Element {
    let pixel = index / params.channels;
    return Element(pixel / columns / rows, pixel / columns % rows, pixel % columns, index % params.channels);
}

// Indices from `first` on, below `end`.
struct Span {
    first: u32,
    end: u32,
}

// The rows or columns of x under a window.
fn under(window: u32, step: u32, kernel: u32, before: u32, length: u32) -> Span {
    let start = window * step;
    return Span(max(start, before) - before, min(max(start + kernel, before) - before, length));
}

// The windows over a row of x.
fn windows_over(row: u32) -> Span {
    let last = row + params.top;
    return Span(first_window(last, params.kernel_rows, params.step_y), min(last / params.step_y + 1u, params.out_rows));
}

// The first window that reaches beyond `last`, counted from the padding on.
fn first_window(last: u32, kernel: u32, step: u32) -> u32 {
    return (max(last + 1u, kernel) - kernel + step - 1u) / step;
}

const COLUMNS = 8u;

// Neighbouring columns of a row of x in one channel, of which an invocation computes the gradient: divisions are dear, and
// serve them all.
struct Strip {
    image: u32,
    row: u32,
    first_column: u32,
    channel: u32,
}

fn strip_of(index: u32) -> Strip {
    let strips = (params.columns + COLUMNS - 1u) / COLUMNS;
    let of_channel = index / params.channels;
    return Strip(
        of_channel / strips / params.rows,
        of_channel / strips % params.rows,
        of_channel % strips * COLUMNS,
        index % params.channels,
    );
}
