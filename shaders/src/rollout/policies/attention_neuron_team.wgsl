// The attention neuron of a team of invocations, see attention_neuron_weights.wgsl: they share out the units of all
// channels, then the rows of the message, then the actions. Memory, inputs and actions lie in workgroup memory.
//
// Queries and keys meet in a matrix of the weights alone, C = SCALE [W_q b_q]^T [W_k b_k], and row m has the scores
// [p_m 1] C . [h_i 1].  Tables, in columns of four numbers:
//   0 ..               each unit, a number for each gate: b_ih + b_hh, the columns of W_ih, the columns of W_hh
//   PRODUCT_TABLES ..  each row of C, four of its numbers at a time
//   SCORE_TABLES ..    each [p_m 1] C in the same way, LATE_TABLES in all

const GATE_COLUMNS = 2u + ACTIONS + HIDDEN;
const SCORE_BLOCKS = (HIDDEN + KEY_BIAS + 3u) / 4u;
const PRODUCT_TABLES = HIDDEN * GATE_COLUMNS;
const SCORE_TABLES = PRODUCT_TABLES + (POSITIONS + KEY_BIAS) * SCORE_BLOCKS;

// h of every channel after this step.
var<workgroup> new_states: array<f32, SLOTS * INPUTS * HIDDEN>;
// The numbers of a hidden layer and of the one before it.
const LAYER_NUMBERS = 1u + min(LAYERS, 1u) * 2u * ROWS;
var<workgroup> layer_numbers: array<f32, SLOTS * LAYER_NUMBERS>;

// The weight of one gate of a unit in a column of the first tables.
fn gate_weight(gate: u32, unit: u32, column: u32) -> f32 {
    let row = gate * HIDDEN + unit;
    if column == 0u {
        return weight(BIAS_INPUT + row) + weight(BIAS_HIDDEN + row);
    }
    if column < 2u + ACTIONS {
        return weight(row * (1u + ACTIONS) + column - 1u);
    }
    return weight(WEIGHTS_HIDDEN + row * HIDDEN + column - 2u - ACTIONS);
}

// Number k of row d of [W_k b_k].
fn key_number(d: u32, k: u32) -> f32 {
    if k < HIDDEN {
        return weight(WEIGHTS_KEY + d * HIDDEN + k);
    }
    if k < HIDDEN + KEY_BIAS {
        return weight(BIAS_KEY + d);
    }
    return 0.0;
}

// Column j of row m of the positions: sine (j even) or cosine (j odd) of m / DIVISOR^(j / 2); past them 1, for the bias.
fn position_number(m: u32, j: u32) -> f32 {
    if j == POSITIONS {
        return 1.0;
    }
    var divisor = 1.0;
    for (var i = 0u; i < j / 2u; i++) {
        divisor *= DIVISOR;
    }
    let turned = cosine_and_sine_of(f32(m) / divisor);
    return select(turned.y, turned.x, (j & 1u) == 1u);
}

fn policy_table(i: u32) -> vec4<f32> {
    if i < PRODUCT_TABLES {
        let unit = i / GATE_COLUMNS;
        let column = i % GATE_COLUMNS;
        return vec4<f32>(
            gate_weight(0u, unit, column), gate_weight(1u, unit, column), gate_weight(2u, unit, column),
            gate_weight(3u, unit, column),
        );
    }
    var sums = vec4<f32>();
    if i < SCORE_TABLES {
        let row = (i - PRODUCT_TABLES) / SCORE_BLOCKS;
        let k = 4u * ((i - PRODUCT_TABLES) % SCORE_BLOCKS);
        for (var d = 0u; d < KEYS; d++) {
            let query = weight(select(WEIGHTS_QUERY + d * POSITIONS + row, BIAS_QUERY + d, row == POSITIONS));
            sums += query * vec4<f32>(key_number(d, k), key_number(d, k + 1u), key_number(d, k + 2u), key_number(d, k + 3u));
        }
        return SCALE * sums;
    }
    let m = (i - SCORE_TABLES) / SCORE_BLOCKS;
    let block = (i - SCORE_TABLES) % SCORE_BLOCKS;
    for (var j = 0u; j < POSITIONS + KEY_BIAS; j++) {
        sums += position_number(m, j) * table(PRODUCT_TABLES + j * SCORE_BLOCKS + block);
    }
    return sums;
}

// Number k of [h_i 1], for the scores.
fn state_number(channel: u32, k: u32) -> f32 {
    if k < HIDDEN {
        return new_states[channel * HIDDEN + k];
    }
    return select(0.0, 1.0, k < HIDDEN + KEY_BIAS);
}

// One unit of the LSTM of one channel: its cell, and h, which the others still need as it was.
fn remember_unit(team: u32, item: u32) {
    let channel = team * INPUTS + item / HIDDEN;
    let h = team * MEMORY + (item / HIDDEN) * 2u * HIDDEN;
    let c = h + HIDDEN + item % HIDDEN;
    let columns = (item % HIDDEN) * GATE_COLUMNS;
    var gates = table(columns) + table(columns + 1u) * team_inputs[channel];
    for (var a = 0u; a < ACTIONS; a++) {
        gates += table(columns + 2u + a) * team_memory[team * MEMORY + CHANNEL_MEMORY + a];
    }
    for (var unit = 0u; unit < HIDDEN; unit++) {
        gates += table(columns + 2u + ACTIONS + unit) * team_memory[h + unit];
    }
    // The logistic function of x is (1 + tanh(x / 2)) / 2.
    let squashed = hyperbolic_tangents(gates * vec4<f32>(0.5, 0.5, 1.0, 0.5));
    let open = 0.5 + 0.5 * squashed;
    let cell = open.y * team_memory[c] + open.x * squashed.z;
    team_memory[c] = cell;
    new_states[channel * HIDDEN + item % HIDDEN] = open.w * hyperbolic_tangent(cell);
}

// Row m of the message.
fn message_row(team: u32, m: u32) -> f32 {
    var scores: array<vec4<f32>, SCORE_BLOCKS>;
    for (var block = 0u; block < SCORE_BLOCKS; block++) {
        scores[block] = table(SCORE_TABLES + m * SCORE_BLOCKS + block);
    }
    var sum = 0.0;
    for (var channel = team * INPUTS; channel < (team + 1u) * INPUTS; channel++) {
        var score = 0.0;
        for (var block = 0u; block < SCORE_BLOCKS; block++) {
            let k = 4u * block;
            score += dot(scores[block], vec4<f32>(
                state_number(channel, k), state_number(channel, k + 1u), state_number(channel, k + 2u), state_number(channel, k + 3u),
            ));
        }
        sum += hyperbolic_tangent(score) * team_inputs[channel];
    }
    return hyperbolic_tangent(FACTOR * sum);
}

fn policy_act(team: u32, lane: u32) {
    for (var item = lane; item < INPUTS * HIDDEN; item += LANES) {
        remember_unit(team, item);
    }
    workgroupBarrier();
    for (var item = lane; item < INPUTS * HIDDEN; item += LANES) {
        team_memory[team * MEMORY + (item / HIDDEN) * 2u * HIDDEN + item % HIDDEN] = new_states[team * INPUTS * HIDDEN + item];
    }

    var sums: array<f32, ACTIONS>;
    for (var m = lane; m < ROWS; m += LANES) {
        let x = message_row(team, m);
        if LAYERS == 0u {
            for (var a = 0u; a < ACTIONS; a++) {
                sums[a] += weight(WEIGHTS_HEAD + a * ROWS + m) * x;
            }
        } else {
            layer_numbers[team * LAYER_NUMBERS + m] = x;
        }
    }
    for (var layer = 0u; layer < LAYERS; layer++) {
        workgroupBarrier();
        let first = WEIGHTS_LAYER + layer * ROWS * (ROWS + 1u);
        let before = team * LAYER_NUMBERS + (layer & 1u) * ROWS;
        let after = team * LAYER_NUMBERS + (1u - (layer & 1u)) * ROWS;
        for (var row = lane; row < ROWS; row += LANES) {
            var sum = weight(first + ROWS * ROWS + row);
            for (var k = 0u; k < ROWS; k++) {
                // Each invocation begins elsewhere, so that they read different banks of the memory.
                let i = (k + row) % ROWS;
                sum += weight(first + row * ROWS + i) * layer_numbers[before + i];
            }
            let x = hyperbolic_tangent(sum);
            if layer + 1u == LAYERS {
                for (var a = 0u; a < ACTIONS; a++) {
                    sums[a] += weight(WEIGHTS_HEAD + a * ROWS + row) * x;
                }
            } else {
                layer_numbers[after + row] = x;
            }
        }
    }
    hand_in(team, lane, sums);
    workgroupBarrier();
    for (var a = lane; a < ACTIONS; a += LANES) {
        let action = hyperbolic_tangent(weight(WEIGHTS_HEAD + ACTIONS * ROWS + a) + sum_of_parts(team, a));
        team_actions[team * ACTIONS + a] = action;
        team_memory[team * MEMORY + CHANNEL_MEMORY + a] = action;
    }
}
