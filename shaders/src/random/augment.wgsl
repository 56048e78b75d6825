// Augmentation of images: each is mirrored or not, moved by up to `crop` pixels along both axes, and a square hole is cut into it.
//
//     y[n, row, column, c] = x[n, row + down - crop, mirrored(column + right - crop), c],   0 in the hole
//
// with four random words an image, words 4 n + 0 to 3 of what `stream` draws (library/random.wgsl):
//
//     down, right    (word >> 16) * (2 crop + 1) >> 16 of words 0 and 1, from 0 to 2 crop
//     mirrored       the highest bit of word 2
//     hole's centre  row (word >> 16) * rows >> 16, column (word & 0xffff) * columns >> 16 of word 3,
//                    that of image 0 for all images if the hole is the batch's
//
// and the hole's rows centre - half .. centre + half - 1, columns alike. Beyond the border `augment_reflected` reads the mirror
// image without the edge (index -1 is index 1), `augment_bordered` what a black image has at this place.
//
// Takes `Place` and `index_of` from library/place.wgsl and `threefry` from library/random.wgsl.

struct Uniform {
    images: u32,
    rows: u32,
    columns: u32,
    channels: u32,
    stream: u32,
    crop: u32,
    mirror: u32,        // 1 if images may be mirrored
    half: u32,          // half the side of the hole, 0 for none
    hole_of_batch: u32, // 1 if all images have the hole of the first
}

@group(0) @binding(0) var<storage, read> x: array<f32>;          // (images, rows, columns, channels)
@group(0) @binding(1) var<storage, read> seed: array<u32>;       // (2): key, step
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // (images, rows, columns, channels)

// Those of augment_bordered after x and seed.
@group(0) @binding(2) var<storage, read> black: array<f32>;              // (rows, columns, channels): a black image
@group(0) @binding(3) var<storage, read_write> bordered: array<f32>;     // (images, rows, columns, channels)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

struct Source {
    inside: bool,
    in_hole: bool,
    at: u32,  // in x, if inside
}

fn words(image: u32, pair: u32) -> vec2<u32> {
    return threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(2u * image + pair, seed[1]));
}

// A row or column of the moved image among those of x, its mirror image beyond the border.
fn reflected(index: i32, length: u32) -> i32 {
    let last = i32(length) - 1;
    return last - abs(last - abs(index));
}

fn is_in_hole(index: u32, centre: u32) -> bool {
    return index + params.half >= centre && index < centre + params.half;
}

fn source_of(own: u32, reflects: bool) -> Source {
    let channel = own % params.channels;
    let pixel = own / params.channels;
    let column = pixel % params.columns;
    let row = pixel / params.columns % params.rows;
    let image = pixel / params.columns / params.rows;
    let first = words(image, 0u);
    let second = words(image, 1u);
    let moves = ((first >> vec2<u32>(16u)) * (2u * params.crop + 1u)) >> vec2<u32>(16u);
    var at_row = i32(row + moves.x) - i32(params.crop);
    var at_column = i32(column + moves.y) - i32(params.crop);
    if reflects {
        at_row = reflected(at_row, params.rows);
        at_column = reflected(at_column, params.columns);
    }
    let inside = at_row >= 0 && at_row < i32(params.rows) && at_column >= 0 && at_column < i32(params.columns);
    if params.mirror == 1u && second.x >> 31u == 1u {
        at_column = i32(params.columns) - 1 - at_column;
    }
    var hole = second.y;
    if params.hole_of_batch == 1u {
        hole = words(0u, 1u).y;
    }
    let centre_row = ((hole >> 16u) * params.rows) >> 16u;
    let centre_column = ((hole & 0xffffu) * params.columns) >> 16u;
    let in_hole = is_in_hole(row, centre_row) && is_in_hole(column, centre_column);
    let at = ((image * params.rows + u32(max(at_row, 0))) * params.columns + u32(max(at_column, 0))) * params.channels;
    return Source(inside, in_hole, at + channel);
}

@compute @workgroup_size(WORKGROUP)
fn augment_reflected(at: Place) {
    let own = index_of(at);
    if own < params.images * params.rows * params.columns * params.channels {
        let source = source_of(own, true);
        if source.in_hole {
            y[own] = 0.0;
        } else {
            y[own] = x[source.at];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn augment_bordered(at: Place) {
    let own = index_of(at);
    if own < params.images * params.rows * params.columns * params.channels {
        let source = source_of(own, false);
        if source.in_hole {
            bordered[own] = 0.0;
        } else if source.inside {
            bordered[own] = x[source.at];
        } else {
            bordered[own] = black[own % (params.rows * params.columns * params.channels)];
        }
    }
}
