// The pictures of lanes, drawn from their observations: bytes, four pixels to a word, row by row, the first in the lowest
// bits; a picture whose pixels do not fill its last word ends in zeros.
//
// An invocation draws a word. A grey is rounded to the nearest whole number.

struct Uniform {
    // Pictures.
    lanes: u32,
}

@group(1) @binding(0) var<uniform> drawn: Uniform;

override WORKGROUP: u32 = 64u;

const PICTURE_PIXELS = PICTURE_ROWS * PICTURE_COLUMNS;
const PICTURE_WORDS = (PICTURE_PIXELS + 3u) / 4u;

@compute @workgroup_size(WORKGROUP)
fn draw(at: Place) {
    let index = index_of(at);
    let lane = index / PICTURE_WORDS;
    if lane >= drawn.lanes {
        return;
    }
    var scene: array<f32, OBSERVATIONS>;
    for (var i = 0u; i < OBSERVATIONS; i++) {
        scene[i] = observations[lane * OBSERVATIONS + i];
    }
    let first = 4u * (index - lane * PICTURE_WORDS);
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        let pixel = first + i;
        if pixel < PICTURE_PIXELS {
            let row = pixel / PICTURE_COLUMNS;
            let grey = environment_pixel(scene, row, pixel - row * PICTURE_COLUMNS);
            word |= u32(clamp(grey, 0.0, 255.0) + 0.5) << (8u * i);
        }
    }
    pictures[index] = word;
}
