// The pictures of lanes, drawn from their observations: bytes, four to a word, row by row, the first in the lowest bits; a
// pixel is a grey, or red, green and blue. A picture whose pixels do not fill its last words ends in zeros.
//
// An invocation draws four pixels, which fill a word for each channel. A level is rounded to the nearest whole number.

struct Uniform {
    // Pictures.
    lanes: u32,
}

@group(1) @binding(0) var<uniform> drawn: Uniform;

override WORKGROUP: u32 = 64u;

const PICTURE_PIXELS = PICTURE_ROWS * PICTURE_COLUMNS;
const PICTURE_FOURS = (PICTURE_PIXELS + 3u) / 4u;

@compute @workgroup_size(WORKGROUP)
fn draw(at: Place) {
    let index = index_of(at);
    let lane = index / PICTURE_FOURS;
    if lane >= drawn.lanes {
        return;
    }
    var scene: array<f32, OBSERVATIONS>;
    for (var i = 0u; i < OBSERVATIONS; i++) {
        scene[i] = observations[lane * OBSERVATIONS + i];
    }
    let first = 4u * (index - lane * PICTURE_FOURS);
    // Bytes enter at the upper end and push those before them down.
    var words = vec3<u32>(0u);
    for (var i = 0u; i < 4u; i++) {
        let pixel = first + i;
        var bytes = vec3<u32>(0u);
        if pixel < PICTURE_PIXELS {
            let row = pixel / PICTURE_COLUMNS;
            // A grey becomes three times itself.
            let level = vec3<f32>(environment_pixel(scene, row, pixel - row * PICTURE_COLUMNS));
            bytes = vec3<u32>(clamp(level, vec3<f32>(0.0), vec3<f32>(255.0)) + 0.5);
        }
        if PICTURE_CHANNELS == 1u {
            words.x = (words.x >> 8u) | (bytes.x << 24u);
        } else {
            let above = bytes.x | (bytes.y << 8u) | (bytes.z << 16u);
            words = (words >> vec3<u32>(24u)) | (vec3<u32>(words.yz, above) << vec3<u32>(8u));
        }
    }
    pictures[index * PICTURE_CHANNELS] = words.x;
    if PICTURE_CHANNELS == 3u {
        pictures[index * PICTURE_CHANNELS + 1u] = words.y;
        pictures[index * PICTURE_CHANNELS + 2u] = words.z;
    }
}
