// The retina of the vision neuron: each patch of each lane's picture becomes a row of scores and a row of values.
//
// An invocation is a slot of a lane. It looks at the patch that it is wired to, row by row of pixels, and remembers the last
// four bytes of each pixel in a word, the oldest lowest; at the start of an episode all four are the first. Patches are wired
// anew before frames are stacked, so that after a change of the wiring the differences are those of different patches.
//
//     scores = sum over changes of score[change] * (byte after - byte before)           SCORES vectors, the last but one number
//     values = sum over (time, pixel) of value[(time, pixel)] * norm(byte) + bias       of them the kind of the patch
//
// norm is layer normalisation over the pixels of a frame, whose sums of bytes are exact integers. A patch that did not change
// within the stack has scores of exactly 0, all its frames are one, and its values need a quarter of the products.
//
// Takes sizes and `params` from the composition, `pixel_of` from picture_bytes.wgsl or another file, `Place` and `index_of`
// from library/place.wgsl.

@group(0) @binding(1) var<storage, read> times: array<u32>;                // (lanes): steps since the episode began
@group(0) @binding(2) var<storage, read> ends: array<u32>;                 // (lanes): 1 or 2 where it is over
@group(0) @binding(3) var<storage, read> wiring: array<u32>;               // (lanes, phases, patches)
@group(0) @binding(4) var<storage, read> tables: array<vec4<f32>>;         // (members, TABLE)
@group(0) @binding(5) var<storage, read_write> history: array<u32>;        // (lanes, pixels, patches): four bytes each
@group(0) @binding(6) var<storage, read_write> sensed: array<vec4<f32>>;   // (lanes, patches + 1, SCORES + VALUES)

// The bytes of a word, the oldest first; those before the stack are no frames.
fn bytes_of(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}

@compute @workgroup_size(WORKGROUP)
fn retina(at: Place) {
    let own = index_of(at);
    let lane = own / PATCHES;
    let slot = own % PATCHES;
    if lane >= params.lanes {
        return;
    }
    let time = times[lane];
    if is_over(ends[lane], time) {
        return;
    }
    let phase = min(time / params.interval, params.phases - 1u);
    let wired = wiring[(lane * params.phases + phase) * PATCHES + slot];
    let source = min(wired & 0x7FFFFFFFu, PATCHES - 1u);
    // The grid is flat, so z is 0; without it compilers would unroll the loops over pixels.
    let pixels = PIXELS + at.workgroup.z;
    let top = source / ACROSS * PATCH;
    let left = source % ACROSS * PATCH;
    var sums = vec4<u32>(0u);
    var squares = vec4<u32>(0u);
    var changes = 0u;
    for (var pixel = 0u; pixel < pixels; pixel++) {
        let place = (lane * PIXELS + pixel) * PATCHES + slot;
        let byte = pixel_of(lane, top + pixel / PATCH, left + pixel % PATCH);
        let word = select((history[place] >> 8u) | (byte << 24u), byte * 0x01010101u, time == 0u);
        history[place] = word;
        changes |= (word ^ (byte * 0x01010101u)) >> (8u * (4u - STACK));
        let bytes = bytes_of(word);
        sums += bytes;
        squares += bytes * bytes;
    }

    var scores: array<vec4<f32>, SCORES>;
    var values: array<vec4<f32>, VALUES>;
    let table = lane / params.groups * TABLE;
    for (var k = 0u; k < VALUES; k++) {
        values[k] = tables[table + BIAS_AT + k];
    }
    // Both products may wrap around; their difference, PIXELS^2 times the variance, does not.
    let variances = vec4<f32>(PIXELS * squares - sums * sums) / (f32(PIXELS * PIXELS) * 65025.0);
    let factors = 1.0 / (sqrt(variances + NORM_EPSILON) * (255.0 * f32(PIXELS)));
    var kind = 0.0;
    if wired < 0x80000000u {
        kind = select(1.0, 2.0, changes != 0u);
        for (var pixel = 0u; pixel < pixels; pixel++) {
            let bytes = bytes_of(history[(lane * PIXELS + pixel) * PATCHES + slot]);
            let normalised = vec4<f32>(vec4<i32>(PIXELS * bytes) - vec4<i32>(sums)) * factors;
            if changes == 0u {
                for (var k = 0u; k < VALUES; k++) {
                    values[k] += normalised.w * tables[table + REST_AT + pixel * VALUES + k];
                }
            } else {
                for (var frame = 0u; frame < STACK; frame++) {
                    let seen = normalised[frame + 4u - STACK];
                    for (var k = 0u; k < VALUES; k++) {
                        values[k] += seen * tables[table + VALUE_AT + (frame * PIXELS + pixel) * VALUES + k];
                    }
                }
                for (var frame = 0u; frame < STACK - 1u; frame++) {
                    let change = f32(bytes[frame + 5u - STACK]) - f32(bytes[frame + 4u - STACK]);
                    for (var k = 0u; k < SCORES; k++) {
                        scores[k] += change * tables[table + (frame * PIXELS + pixel) * SCORES + k];
                    }
                }
            }
        }
    }
    scores[(POSITIONS + 1u) / 4u][(POSITIONS + 1u) % 4u] = kind;
    let row = (lane * (PATCHES + 1u) + slot) * (SCORES + VALUES);
    for (var k = 0u; k < SCORES; k++) {
        sensed[row + k] = scores[k];
    }
    for (var k = 0u; k < VALUES; k++) {
        sensed[row + SCORES + k] = values[k];
    }
}
