// The eyes of the AttentionAgent: what each patch of each lane's picture asks and offers in the vote,
//
//     ask   = (W_a x + b_a) / sqrt(4)         x: the bytes of the patch / 255, row by row, the channels of a pixel side by side
//     offer = W_b x
//
// The bias of what it offers is the same for all patches and cannot matter to the vote's softmax.
//
// An invocation is a patch of a lane. The picture is shuffled before it is seen: squares of BLOCK pixels are wired, and those
// that are absent are black. The first patch of a lane writes the lane's state.
//
// Takes sizes and `params` from the composition, and `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> pictures: array<u32>;           // (lanes, WORDS): four bytes each
@group(0) @binding(1) var<storage, read> times: array<u32>;              // (lanes): steps since the episode began
@group(0) @binding(2) var<storage, read> ends: array<u32>;               // (lanes): 1 or 2 where it is over
@group(0) @binding(3) var<storage, read> wiring: array<u32>;             // (lanes, phases, BLOCKS)
@group(0) @binding(4) var<storage, read> weights: array<f32>;            // (members, PARAMETERS)
@group(0) @binding(5) var<storage, read_write> listed: array<u32>;       // (lanes, LIST_ROW): its state
@group(0) @binding(6) var<storage, read_write> votes: array<vec4<f32>>;  // (lanes, messages, 2): query and key

// An input's column of a matrix of four rows.
fn column_of(matrix: u32, input: u32) -> vec4<f32> {
    let at = matrix + input;
    return vec4<f32>(weights[at], weights[at + INPUTS], weights[at + 2u * INPUTS], weights[at + 3u * INPUTS]);
}

@compute @workgroup_size(WORKGROUP)
fn look(at: Place) {
    let own = index_of(at);
    let lane = own / MESSAGES;
    let place = own % MESSAGES;
    if lane >= params.lanes {
        return;
    }
    let time = times[lane];
    let over = is_over(ends[lane], time);
    if place == 0u {
        listed[lane * LIST_ROW] = select(select(GOES_ON, BEGINS, time == 0u), OVER, over);
    }
    if over {
        return;
    }
    let phase = min(time / params.interval, params.phases - 1u);
    let wires = (lane * params.phases + phase) * BLOCKS;
    let weight = lane / params.groups * PARAMETERS;
    let top = place / SIDE * SPACING;
    let left = place % SIDE * SPACING;
    // The grid is flat, so z is 0; without it compilers would unroll the loop over pixels.
    let pixels = PATCH * PATCH + at.workgroup.z;
    var ask = vec4<f32>(0.0);
    var offer = vec4<f32>(0.0);
    for (var pixel = 0u; pixel < pixels; pixel++) {
        let row = top + pixel / PATCH;
        let column = left + pixel % PATCH;
        let wired = wiring[wires + row / BLOCK * BLOCKS_ACROSS + column / BLOCK];
        if wired < 0x80000000u {
            let source = min(wired, BLOCKS - 1u);
            let seen_row = source / BLOCKS_ACROSS * BLOCK + row % BLOCK;
            let seen_column = source % BLOCKS_ACROSS * BLOCK + column % BLOCK;
            for (var channel = 0u; channel < CHANNELS; channel++) {
                let byte_at = (seen_row * EXTENT + seen_column) * CHANNELS + channel;
                let word = pictures[lane * PICTURE_WORDS + byte_at / 4u];
                let byte = f32((word >> (8u * (byte_at % 4u))) & 255u);
                let input = pixel * CHANNELS + channel;
                ask += byte * column_of(weight, input);
                offer += byte * column_of(weight + VOTE_KEY, input);
            }
        }
    }
    let bias = weight + 4u * INPUTS;
    let biases = vec4<f32>(weights[bias], weights[bias + 1u], weights[bias + 2u], weights[bias + 3u]);
    votes[2u * own] = 0.5 * (ask / 255.0 + biases);
    votes[2u * own + 1u] = offer / 255.0;
}
