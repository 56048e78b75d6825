// The attention neuron of one invocation, see attention_neuron_weights.wgsl.
//
// Queries and keys meet in a matrix of the weights alone, C = SCALE [W_q b_q]^T [W_k b_k], so that row m has the scores
// [p_m 1] . (C [h_i 1]). Tables, in columns of four numbers:
//   0 ..               each gate and four units: b_ih + b_hh, the columns of W_ih, the columns of W_hh
//   PRODUCT_TABLES ..  each four rows of C: its last column, the other ones
//   ROW_TABLES ..      each four rows of the positions: their columns
//   HEAD_TABLES ..     each four rows of the message: columns of W of the action; then its b
//
// The channels take turns at the front of an array, and SPARE is 1 where loops over arrays are to stay loops: Mesa's
// compilers unroll every loop over a whole array, which is what numbers in registers need and what numbers anywhere else
// must not have.

const GATES = 4u * BLOCKS;
// Columns of one gate and block, and of four rows of C. Row POSITIONS of C is of the bias.
const GATE_COLUMNS = 2u + ACTIONS + HIDDEN;
const PRODUCT_COLUMNS = 1u + HIDDEN;
const PRODUCT_BLOCKS = (POSITIONS + KEY_BIAS + 3u) / 4u;
const ROW_GROUPS = (ROWS + 3u) / 4u;
const PRODUCT_TABLES = GATES * GATE_COLUMNS;
const ROW_TABLES = PRODUCT_TABLES + PRODUCT_BLOCKS * PRODUCT_COLUMNS;
const HEAD_TABLES = ROW_TABLES + ROW_GROUPS * POSITIONS;
const BIAS_TABLES = HEAD_TABLES + ROW_GROUPS * ACTIONS;

// Number j of the four becomes x. (An index that is not constant keeps a vector out of registers.)
fn with_number(numbers: vec4<f32>, j: u32, x: f32) -> vec4<f32> {
    return select(numbers, vec4<f32>(x), vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(j));
}

// Four rows of one column of C: column 0 is of the bias.
fn products(block: u32, column: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var d = 0u; d < KEYS; d++) {
        let key = weight(select(WEIGHTS_KEY + d * HIDDEN + column - 1u, BIAS_KEY + d, column == 0u));
        var query: vec4<f32>;
        for (var row = 4u * block; row < min(4u * block + 4u, POSITIONS + KEY_BIAS); row++) {
            let x = weight(select(WEIGHTS_QUERY + d * POSITIONS + row, BIAS_QUERY + d, row == POSITIONS));
            query = with_number(query, row % 4u, x);
        }
        sums += key * query;
    }
    return SCALE * sums;
}

// Four weights: first, first + stride, .., of which `count` are there; with those at `other` added, from `other` on, if
// it is not 0.
fn weights_of(first: u32, stride: u32, count: u32, other: u32) -> vec4<f32> {
    var numbers: vec4<f32>;
    for (var j = 0u; j < min(count, 4u); j++) {
        var x = weight(first + j * stride);
        if other > 0u {
            x += weight(other + j * stride);
        }
        numbers = with_number(numbers, j, x);
    }
    return numbers;
}

// Four rows of the positions in column j: sine (j even) or cosine (j odd) of m / DIVISOR^(j / 2).
fn positions(group: u32, j: u32) -> vec4<f32> {
    var divisor = 1.0;
    for (var i = 0u; i < j / 2u; i++) {
        divisor *= DIVISOR;
    }
    let angles = (4.0 * f32(group) + vec4<f32>(0.0, 1.0, 2.0, 3.0)) / divisor;
    let a = cosine_and_sine_of(angles.x);
    let b = cosine_and_sine_of(angles.y);
    let c = cosine_and_sine_of(angles.z);
    let d = cosine_and_sine_of(angles.w);
    return select(vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(a.x, b.x, c.x, d.x), (j & 1u) == 1u);
}

fn policy_table(i: u32) -> vec4<f32> {
    if i >= PRODUCT_TABLES && i < ROW_TABLES {
        let column = (i - PRODUCT_TABLES) % PRODUCT_COLUMNS;
        if column == 0u && KEY_BIAS == 0u {
            return vec4<f32>();
        }
        return products((i - PRODUCT_TABLES) / PRODUCT_COLUMNS, column);
    }
    if i >= ROW_TABLES && i < HEAD_TABLES {
        return positions((i - ROW_TABLES) / POSITIONS, (i - ROW_TABLES) % POSITIONS);
    }
    // The head, its biases, or gates.
    var first = WEIGHTS_HEAD + (i - HEAD_TABLES) % ACTIONS * ROWS + 4u * ((i - HEAD_TABLES) / ACTIONS);
    var stride = 1u;
    var count = ROWS - 4u * ((i - HEAD_TABLES) / ACTIONS);
    var other = 0u;
    if i >= BIAS_TABLES {
        first = WEIGHTS_HEAD + ACTIONS * ROWS + 4u * (i - BIAS_TABLES);
        count = ACTIONS - 4u * (i - BIAS_TABLES);
    } else if i < PRODUCT_TABLES {
        let unit = 4u * ((i / GATE_COLUMNS) % BLOCKS);
        let row = i / (GATE_COLUMNS * BLOCKS) * HIDDEN + unit;
        let column = i % GATE_COLUMNS;
        count = HIDDEN - unit;
        if column == 0u {
            first = BIAS_INPUT + row;
            other = BIAS_HIDDEN + row;
        } else if column < 2u + ACTIONS {
            stride = 1u + ACTIONS;
            first = row * stride + column - 1u;
        } else {
            stride = HIDDEN;
            first = WEIGHTS_HIDDEN + row * stride + column - 2u - ACTIONS;
        }
    }
    return weights_of(first, stride, count, other);
}

// Numbers of a channel: its input, h, c.
const WIDTH = 1u + 2u * HIDDEN;

// The LSTM of one channel.
fn remember(channel: ptr<function, array<f32, WIDTH>>, common_part: array<vec4<f32>, GATES + SPARE>) {
    var gates: array<vec4<f32>, GATES + SPARE>;
    for (var gate = 0u; gate < GATES; gate++) {
        var sum = common_part[gate] + table(gate * GATE_COLUMNS + 1u) * (*channel)[0];
        for (var unit = 0u; unit < HIDDEN; unit++) {
            sum += table(gate * GATE_COLUMNS + 2u + ACTIONS + unit) * (*channel)[1u + unit];
        }
        gates[gate] = sum;
    }
    for (var block = 0u; block < BLOCKS; block++) {
        let h = 1u + 4u * block;
        let c = h + HIDDEN;
        var cell: vec4<f32>;
        for (var j = 0u; j < 4u; j++) {
            cell[j] = (*channel)[min(c + j, WIDTH - 1u)];
        }
        cell = logistics(gates[BLOCKS + block]) * cell
            + logistics(gates[block]) * hyperbolic_tangents(gates[2u * BLOCKS + block]);
        let hidden = logistics(gates[3u * BLOCKS + block]) * hyperbolic_tangents(cell);
        for (var j = 0u; j < 4u; j++) {
            if 4u * block + j < HIDDEN {
                (*channel)[h + j] = hidden[j];
                (*channel)[c + j] = cell[j];
            }
        }
    }
}

fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    // The part that the channels have in common: biases and the previous action.
    var common_part: array<vec4<f32>, GATES + SPARE>;
    for (var gate = 0u; gate < GATES; gate++) {
        var sum = table(gate * GATE_COLUMNS);
        for (var a = 0u; a < ACTIONS; a++) {
            sum += table(gate * GATE_COLUMNS + 2u + a) * (*memory)[CHANNEL_MEMORY + a];
        }
        common_part[gate] = sum;
    }

    var channels: array<array<f32, WIDTH>, INPUTS>;
    for (var i = 0u; i < INPUTS; i++) {
        channels[i][0] = inputs[i];
        for (var k = 1u; k < WIDTH; k++) {
            channels[i][k] = (*memory)[i * 2u * HIDDEN + k - 1u];
        }
    }
    var sums: array<vec4<f32>, ROW_GROUPS + SPARE>;
    for (var turn = 0u; turn < INPUTS; turn++) {
        var channel = channels[0];
        remember(&channel, common_part);
        var product: array<vec4<f32>, PRODUCT_BLOCKS + SPARE>;
        for (var block = 0u; block < PRODUCT_BLOCKS; block++) {
            let columns = PRODUCT_TABLES + block * PRODUCT_COLUMNS;
            var sum = table(columns);
            for (var unit = 0u; unit < HIDDEN; unit++) {
                sum += table(columns + 1u + unit) * channel[1u + unit];
            }
            product[block] = sum;
        }
        for (var group = 0u; group < ROW_GROUPS; group++) {
            var scores = vec4<f32>();
            if KEY_BIAS == 1u {
                scores = vec4<f32>(product[PRODUCT_BLOCKS - 1u][POSITIONS % 4u]);
            }
            for (var j = 0u; j < POSITIONS; j++) {
                scores += table(ROW_TABLES + group * POSITIONS + j) * product[j / 4u][j % 4u];
            }
            sums[group] += hyperbolic_tangents(scores) * channel[0];
        }
        // To the end of the row.
        let before = channels;
        for (var i = 0u; i < INPUTS; i++) {
            channels[i] = before[(i + 1u) % INPUTS];
        }
        channels[INPUTS - 1u] = channel;
    }
    for (var i = 0u; i < INPUTS; i++) {
        for (var k = 1u; k < WIDTH; k++) {
            (*memory)[i * 2u * HIDDEN + k - 1u] = channels[i][k];
        }
    }

    var x: array<vec4<f32>, ROW_GROUPS + SPARE>;
    for (var group = 0u; group < ROW_GROUPS; group++) {
        x[group] = hyperbolic_tangents(FACTOR * sums[group]);
    }
    for (var layer = 0u; layer < LAYERS; layer++) {
        let first = WEIGHTS_LAYER + layer * ROWS * (ROWS + 1u);
        let before = x;
        for (var row = 0u; row < ROWS; row++) {
            var sum = weight(first + ROWS * ROWS + row);
            for (var i = 0u; i < ROWS; i++) {
                sum += weight(first + row * ROWS + i) * before[i / 4u][i % 4u];
            }
            x[row / 4u][row % 4u] = hyperbolic_tangent(sum);
        }
    }

    var action: array<f32, ACTIONS>;
    for (var a = 0u; a < ACTIONS; a++) {
        var sum = table(BIAS_TABLES + a / 4u)[a % 4u];
        for (var group = 0u; group < ROW_GROUPS; group++) {
            sum += dot(table(HEAD_TABLES + group * ACTIONS + a), x[group]);
        }
        action[a] = hyperbolic_tangent(sum);
        (*memory)[CHANNEL_MEMORY + a] = action[a];
    }
    return action;
}
