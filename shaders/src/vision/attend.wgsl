// The message of the vision neuron. With D the patches that moved and R those at rest, whose scores are 0:
//
//     m = norm(relu((sum over D of exp(s_i) v_i + sum over R of v_i) / (sum over D of exp(s_i) + |R|)))
//
// An invocation is four rows of a lane's message: each patch's scores and values are read once for them. Scores of published
// networks lie within 6; those beyond 60 count as 60, so that no exponential overflows.
//
// Takes sizes and `params` from the composition, `finish` from attend_plain.wgsl or attend_driving.wgsl, what a NaN is from
// library/not_a_number.wgsl, `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> positions: array<vec4<f32>>;   // (messages, SCORES): [p_m 1], then zeros
@group(0) @binding(1) var<storage, read> sensed: array<vec4<f32>>;      // (lanes, patches + 1, SCORES + VALUES)
@group(0) @binding(2) var<storage, read> listed: array<u32>;            // (lanes, LIST + patches)
@group(0) @binding(3) var<storage, read> weights: array<f32>;           // (members, PARAMETERS)

@compute @workgroup_size(WORKGROUP)
fn attend(at: Place) {
    let own = index_of(at);
    let lane = own / (MESSAGES / 4u);
    let first = own % (MESSAGES / 4u) * 4u;
    if lane >= params.lanes {
        return;
    }
    let list = lane * (LIST + PATCHES);
    let state = listed[list];
    if state == OVER {
        return;
    }
    var queries: array<vec4<f32>, 4u * SCORES>;
    for (var k = 0u; k < 4u * SCORES; k++) {
        queries[k] = positions[first * SCORES + k];
    }
    let rows = lane * (PATCHES + 1u);
    var sums: array<vec4<f32>, 4u * VALUES>;
    for (var k = 0u; k < VALUES; k++) {
        let resting = sensed[(rows + PATCHES) * (SCORES + VALUES) + SCORES + k];
        for (var g = 0u; g < 4u; g++) {
            sums[g * VALUES + k] = resting;
        }
    }
    var totals = vec4<f32>(f32(listed[list + 2u]));
    let moving = min(listed[list + 1u], PATCHES);
    for (var i = 0u; i < moving; i++) {
        let row = (rows + min(listed[list + LIST + i], PATCHES - 1u)) * (SCORES + VALUES);
        var scores = vec4<f32>(0.0);
        for (var k = 0u; k < SCORES; k++) {
            let part = sensed[row + k];
            scores += vec4<f32>(
                dot(queries[k], part),
                dot(queries[SCORES + k], part),
                dot(queries[2u * SCORES + k], part),
                dot(queries[3u * SCORES + k], part),
            );
        }
        let shares = exp(or_nan(scores, clamp(scores, vec4<f32>(-60.0), vec4<f32>(60.0))));
        totals += shares;
        for (var k = 0u; k < VALUES; k++) {
            let value = sensed[row + SCORES + k];
            sums[k] += shares.x * value;
            sums[VALUES + k] += shares.y * value;
            sums[2u * VALUES + k] += shares.z * value;
            sums[3u * VALUES + k] += shares.w * value;
        }
    }
    // Without any patch the sums are zeros, and so is the message.
    let norms = 1.0 / or_nan(totals, max(totals, vec4<f32>(1e-30)));
    for (var g = 0u; g < 4u; g++) {
        var message: array<vec4<f32>, VALUES>;
        var mean = 0.0;
        for (var k = 0u; k < VALUES; k++) {
            let x = sums[g * VALUES + k] * norms[g];
            message[k] = or_nan(x, max(x, vec4<f32>(0.0)));
            mean += dot(message[k], vec4<f32>(1.0 / f32(DIMENSION)));
        }
        var variance = 0.0;
        for (var k = 0u; k < VALUES; k++) {
            message[k] -= mean;
            variance += dot(message[k], message[k]) / f32(DIMENSION);
        }
        let scale = 1.0 / sqrt(variance + NORM_EPSILON);
        for (var k = 0u; k < VALUES; k++) {
            message[k] *= scale;
            if LEARNED_NORMS {
                let norm = lane / params.groups * PARAMETERS + OUTPUT_NORM + 4u * k;
                let factor = vec4<f32>(weights[norm], weights[norm + 1u], weights[norm + 2u], weights[norm + 3u]);
                let offsets = norm + DIMENSION;
                message[k] = message[k] * factor
                    + vec4<f32>(weights[offsets], weights[offsets + 1u], weights[offsets + 2u], weights[offsets + 3u]);
            }
        }
        finish(lane, first + g, state, message);
    }
}
