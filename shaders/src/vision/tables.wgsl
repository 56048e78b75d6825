// What the kernels of the vision neuron need of a member's weights, computed once for many steps:
//
//     score[change, j] = sum over d of [W_q b_q][d, j] W_k[d, change] / (255 sqrt(DIMENSION))
//
// A query is W_q p_m + b_q, so that a score is [p_m 1] . (score^T changes): POSITIONS + 1 multiply-adds for each row of the
// message, with changes in steps of the bytes. What all patches share, the previous action and the key's bias, cannot matter
// to a softmax over patches and is left out.
//
//     value[(time, pixel), d] = W_v[d, (time, pixel)] w[pixel]        w, b: the input normalisation's factors and offsets
//     rest[pixel, d]          = sum over time of value[(time, pixel), d]          a patch that does not change
//     bias[d]                 = b_v[d] + sum over time and pixel of W_v[d, (time, pixel)] b[pixel]
//
// An invocation computes one number. Takes sizes and `params` from the composition, and `Place` and `index_of` from
// library/place.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<f32>;        // (members, PARAMETERS)
@group(0) @binding(1) var<storage, read_write> tables: array<f32>;   // (members, 4 TABLE)

fn score(weight: u32, row: u32, column: u32) -> f32 {
    let time = row / PIXELS;
    let pixel = row % PIXELS;
    let change = select(row, pixel * (STACK - 1u) + time, TIME_LAST);
    var sum = 0.0;
    if column <= POSITIONS {
        for (var d = 0u; d < DIMENSION; d++) {
            let query = select(weight + d * POSITIONS + column, weight + QUERY_BIAS + d, column == POSITIONS);
            sum += weights[query] * weights[weight + KEY + d * KEY_INPUTS + change];
        }
    }
    return sum * SCORE_SCALE;
}

fn value(weight: u32, row: u32, d: u32) -> f32 {
    let own = weights[weight + VALUE + d * STACK * PIXELS + row];
    if LEARNED_NORMS {
        return own * weights[weight + INPUT_NORM + row % PIXELS];
    }
    return own;
}

fn rest(weight: u32, pixel: u32, d: u32) -> f32 {
    var sum = 0.0;
    for (var time = 0u; time < STACK; time++) {
        sum += value(weight, time * PIXELS + pixel, d);
    }
    return sum;
}

fn bias(weight: u32, d: u32) -> f32 {
    var sum = weights[weight + VALUE_BIAS + d];
    if LEARNED_NORMS {
        for (var row = 0u; row < STACK * PIXELS; row++) {
            let offset = weights[weight + INPUT_NORM + PIXELS + row % PIXELS];
            sum += weights[weight + VALUE + d * STACK * PIXELS + row] * offset;
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn fill(at: Place) {
    let own = index_of(at);
    let member = own / (4u * TABLE);
    if member >= params.lanes / params.groups {
        return;
    }
    let weight = member * PARAMETERS;
    let place = own % (4u * TABLE);
    if place < 4u * VALUE_AT {
        tables[own] = score(weight, place / (4u * SCORES), place % (4u * SCORES));
        return;
    }
    let row = (place - 4u * VALUE_AT) / DIMENSION;
    let d = (place - 4u * VALUE_AT) % DIMENSION;
    if row < STACK * PIXELS {
        tables[own] = value(weight, row, d);
    } else if row < (STACK + 1u) * PIXELS {
        tables[own] = rest(weight, row - STACK * PIXELS, d);
    } else {
        tables[own] = bias(weight, d);
    }
}
