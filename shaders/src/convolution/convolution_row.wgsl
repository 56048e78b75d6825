// A convolution or its input gradient for software drivers with subgroups, where the windows of neighbouring pixels
// overlap: a step of 1 and at most three taps along x.
//
// An invocation owns a strip of 4 (or, if WIDE, 8) neighbouring pixels of a row for 16 outputs: the 6 (10) pixels of x under
// the strip are loaded once for all taps along x, and the weights once for all lanes, each lane its own two of the 16, which
// it passes by shuffles: 16 (24) multiply-adds a load.
//
// Takes all of windows.wgsl.

override WIDE: bool = false;
override STRIP: u32 = select(4u, 8u, WIDE);

const LANES = 8u;
const OUTPUTS = 16u;

@compute @workgroup_size(8)
fn convolution_row(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Tiles in order of output, strip, group, phase.
    let tile = workgroup.x + workgroup.y * workgroups.x;
    let tile_outputs = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let tile_strips = (most_strips() + LANES - 1u) / LANES;
    let index = tile / tile_outputs / tile_strips;
    if index >= phases() {
        return;
    }
    let phase = phase_of(index);
    let across = (phase.columns + STRIP - 1u) / STRIP;
    let strips = params.images * phase.rows * across;
    let first_strip = tile / tile_outputs % tile_strips * LANES;
    if first_strip >= strips {
        return;
    }
    let first_output = tile % tile_outputs * OUTPUTS;

    // Strips and outputs past the last repeat it, so that every load is in bounds; they are not stored.
    let strip = min(first_strip + local, strips - 1u);
    let first_column = strip % across * STRIP;
    let row = strip / across % phase.rows;
    let pixel = pixel_at(phase, strip / across / phase.rows, row, first_column);
    let low_output = min(first_output + lane % LANES, params.outputs - 1u) * params.w_output;
    let high_output = min(first_output + LANES + lane % LANES, params.outputs - 1u) * params.w_output;

    // The first column of x under the strip; where taps go backward, the last tap sees it.
    let backward = params.direction < 0;
    let x_first = pixel.x - select(0, i32(phase.taps_x) - 1, backward);
    let x0 = column_of(x_first, 0);
    let x1 = column_of(x_first, 1);
    let x2 = column_of(x_first, 2);
    let x3 = column_of(x_first, 3);
    let x4 = column_of(x_first, 4);
    let x5 = column_of(x_first, 5);
    var x6 = Column();
    var x7 = Column();
    var x8 = Column();
    var x9 = Column();
    if WIDE {
        x6 = column_of(x_first, 6);
        x7 = column_of(x_first, 7);
        x8 = column_of(x_first, 8);
        x9 = column_of(x_first, 9);
    }
    var near0 = vec4<f32>();
    var far0 = vec4<f32>();
    var near1 = vec4<f32>();
    var far1 = vec4<f32>();
    var near2 = vec4<f32>();
    var far2 = vec4<f32>();
    var near3 = vec4<f32>();
    var far3 = vec4<f32>();
    var near4 = vec4<f32>();
    var far4 = vec4<f32>();
    var near5 = vec4<f32>();
    var far5 = vec4<f32>();
    var near6 = vec4<f32>();
    var far6 = vec4<f32>();
    var near7 = vec4<f32>();
    var far7 = vec4<f32>();
    var near8 = vec4<f32>();
    var far8 = vec4<f32>();
    var near9 = vec4<f32>();
    var far9 = vec4<f32>();
    var near10 = vec4<f32>();
    var far10 = vec4<f32>();
    var near11 = vec4<f32>();
    var far11 = vec4<f32>();
    var near12 = vec4<f32>();
    var far12 = vec4<f32>();
    var near13 = vec4<f32>();
    var far13 = vec4<f32>();
    var near14 = vec4<f32>();
    var far14 = vec4<f32>();
    var near15 = vec4<f32>();
    var far15 = vec4<f32>();
    // The grid is flat, so z is 0; without it the bound of a loop would be of the uniform block alone.
    let terms = params.terms + workgroup.z;
    for (var tap_y = 0u; tap_y < phase.taps_y; tap_y++) {
        let y = pixel.y + params.direction * i32(tap_y);
        let in_rows = y >= 0 && y < i32(params.rows);
        let line = pixel.x_start + u32(clamp(y, 0, i32(params.rows) - 1)) * params.x_row;
        let taps = tap_at(phase, tap_y, 0u);
        for (var term = 0u; term < terms; term++) {
            let at = line + term * params.x_channel;
            // Windows of the strip: under the first tap from the left, the second, the third.
            let left = vec2<f32>(load(at, x0, in_rows), load(at, x1, in_rows));
            let middle = vec2<f32>(load(at, x2, in_rows), load(at, x3, in_rows));
            let right = vec2<f32>(load(at, x4, in_rows), load(at, x5, in_rows));
            var near_pixels = vec4<f32>(left, middle);
            var near_second = vec4<f32>(near_pixels.yzw, right.x);
            let near_third = vec4<f32>(near_pixels.zw, right);
            var far_pixels = vec4<f32>();
            var far_second = vec4<f32>();
            var far_third = vec4<f32>();
            if WIDE {
                far_pixels = vec4<f32>(right, load(at, x6, in_rows), load(at, x7, in_rows));
                far_third = vec4<f32>(far_pixels.zw, load(at, x8, in_rows), load(at, x9, in_rows));
                far_second = vec4<f32>(far_pixels.yzw, far_third.z);
            }
            for (var tap = 0u; tap < phase.taps_x; tap++) {
                let tap_x = select(tap, phase.taps_x - 1u - tap, backward);
                let w_at = taps + tap_x * params.phases_x * params.w_column + term * params.w_term;
                let low = w[w_at + low_output];
                let high = w[w_at + high_output];
                let w0 = subgroupShuffle(low, 0u);
                near0 += w0 * near_pixels;
                if WIDE {
                    far0 += w0 * far_pixels;
                }
                let w1 = subgroupShuffle(low, 1u);
                near1 += w1 * near_pixels;
                if WIDE {
                    far1 += w1 * far_pixels;
                }
                let w2 = subgroupShuffle(low, 2u);
                near2 += w2 * near_pixels;
                if WIDE {
                    far2 += w2 * far_pixels;
                }
                let w3 = subgroupShuffle(low, 3u);
                near3 += w3 * near_pixels;
                if WIDE {
                    far3 += w3 * far_pixels;
                }
                let w4 = subgroupShuffle(low, 4u);
                near4 += w4 * near_pixels;
                if WIDE {
                    far4 += w4 * far_pixels;
                }
                let w5 = subgroupShuffle(low, 5u);
                near5 += w5 * near_pixels;
                if WIDE {
                    far5 += w5 * far_pixels;
                }
                let w6 = subgroupShuffle(low, 6u);
                near6 += w6 * near_pixels;
                if WIDE {
                    far6 += w6 * far_pixels;
                }
                let w7 = subgroupShuffle(low, 7u);
                near7 += w7 * near_pixels;
                if WIDE {
                    far7 += w7 * far_pixels;
                }
                let w8 = subgroupShuffle(high, 0u);
                near8 += w8 * near_pixels;
                if WIDE {
                    far8 += w8 * far_pixels;
                }
                let w9 = subgroupShuffle(high, 1u);
                near9 += w9 * near_pixels;
                if WIDE {
                    far9 += w9 * far_pixels;
                }
                let w10 = subgroupShuffle(high, 2u);
                near10 += w10 * near_pixels;
                if WIDE {
                    far10 += w10 * far_pixels;
                }
                let w11 = subgroupShuffle(high, 3u);
                near11 += w11 * near_pixels;
                if WIDE {
                    far11 += w11 * far_pixels;
                }
                let w12 = subgroupShuffle(high, 4u);
                near12 += w12 * near_pixels;
                if WIDE {
                    far12 += w12 * far_pixels;
                }
                let w13 = subgroupShuffle(high, 5u);
                near13 += w13 * near_pixels;
                if WIDE {
                    far13 += w13 * far_pixels;
                }
                let w14 = subgroupShuffle(high, 6u);
                near14 += w14 * near_pixels;
                if WIDE {
                    far14 += w14 * far_pixels;
                }
                let w15 = subgroupShuffle(high, 7u);
                near15 += w15 * near_pixels;
                if WIDE {
                    far15 += w15 * far_pixels;
                }
                near_pixels = near_second;
                near_second = near_third;
                far_pixels = far_second;
                far_second = far_third;
            }
        }
    }

    // The outputs move up by one as they are stored. A loop over an array of them, or stores written out, would compute the
    // same and take a software driver four times as long to compile as all the rest.
    let outputs = select(0u, min(OUTPUTS, params.outputs - first_output), first_strip + local < strips);
    let pixels = min(STRIP, phase.columns - first_column);
    for (var i = 0u; i < outputs; i++) {
        for (var j = 0u; j < pixels; j++) {
            let out_at = pixel.out_at + j * params.phases_x * params.out_column;
            store(phase, out_at, first_output + i, select(near0[j % 4u], far0[j % 4u], j > 3u));
        }
        near0 = near1;
        far0 = far1;
        near1 = near2;
        far1 = far2;
        near2 = near3;
        far2 = far3;
        near3 = near4;
        far3 = far4;
        near4 = near5;
        far4 = far5;
        near5 = near6;
        far5 = far6;
        near6 = near7;
        far6 = far7;
        near7 = near8;
        far7 = far8;
        near8 = near9;
        far8 = far9;
        near9 = near10;
        far9 = far10;
        near10 = near11;
        far10 = far11;
        near11 = near12;
        far11 = far12;
        near12 = near13;
        far12 = far13;
        near13 = near14;
        far13 = far14;
        near14 = near15;
        far14 = far15;
    }
}

// Strips of the largest phase, over all images.
fn most_strips() -> u32 {
    let rows = (params.out_rows + params.phases_y - 1u) / params.phases_y;
    let columns = (params.out_columns + params.phases_x - 1u) / params.phases_x;
    return params.images * rows * ((columns + STRIP - 1u) / STRIP);
}

// A column of x under a strip.
struct Column {
    at: u32,          // its first element, in the nearest column inside
    is_inside: bool,
}

fn column_of(first: i32, offset: i32) -> Column {
    let column = first + offset;
    let nearest = u32(clamp(column, 0, i32(params.columns) - 1));
    return Column(nearest * params.x_column, column >= 0 && column < i32(params.columns));
}

// Not a product with a mask: what lies at the address may be infinite.
fn load(line: u32, column: Column, in_rows: bool) -> f32 {
    return select(0.0, x[line + column.at], in_rows && column.is_inside);
}
