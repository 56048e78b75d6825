// The attention neuron (Tang & Ha 2021, equations 1 and 2, and the authors' code): every input is a channel with an LSTM
// of its own, whose weights all channels share; what goes on is a sum over the channels, the same in any order of them.
//
//   z    = W_ih [o_i, a] + b_ih + W_hh h_i + b_hh                    a: the previous action; gates input, forget, cell, output
//   c_i  = logistic(z_f) c_i + logistic(z_i) tanh(z_g),  h_i = logistic(z_o) tanh(c_i)
//   A_mi = tanh(SCALE (W_q p_m + b_q) . (W_k h_i + b_k))             p_m: sines and cosines of row m
//   m    = tanh(FACTOR A o),  then layers x = tanh(W x + b), the last of them the action
//
// Weights: W_ih (4 HIDDEN, 1 + ACTIONS), W_hh (4 HIDDEN, HIDDEN), b_ih, b_hh, W_q (KEYS, POSITIONS), [b_q], W_k (KEYS, HIDDEN),
// [b_k], LAYERS times W (ROWS, ROWS) and b (ROWS), W (ACTIONS, ROWS), b (ACTIONS); what stands in brackets where KEY_BIAS is 1.
// Memory: h and c of each channel (INPUTS, 2, HIDDEN), the previous action.
//
// Queries depend on the weights alone, so that A = tanh(G h + g) with G = SCALE Q W_k. The tables hold both matrices as
// columns of four rows each:
//   0 ..           gate and block of four units: b_ih + b_hh, the columns of W_ih, the columns of W_hh
//   ROW_TABLES ..  four rows of G: g, the columns of G

override SCALE: f32 = 1.0;
override FACTOR: f32 = 1.0;
// Row m, columns 2 j and 2 j + 1 of the positions: sine and cosine of m / DIVISOR^j.
override DIVISOR: f32 = 10.0;

const WEIGHTS_HIDDEN = 4u * HIDDEN * (1u + ACTIONS);
const BIAS_INPUT = WEIGHTS_HIDDEN + 4u * HIDDEN * HIDDEN;
const BIAS_HIDDEN = BIAS_INPUT + 4u * HIDDEN;
const WEIGHTS_QUERY = BIAS_HIDDEN + 4u * HIDDEN;
const BIAS_QUERY = WEIGHTS_QUERY + KEYS * POSITIONS;
const WEIGHTS_KEY = BIAS_QUERY + KEY_BIAS * KEYS;
const BIAS_KEY = WEIGHTS_KEY + KEYS * HIDDEN;
const WEIGHTS_LAYER = BIAS_KEY + KEY_BIAS * KEYS;
const WEIGHTS_HEAD = WEIGHTS_LAYER + LAYERS * ROWS * (ROWS + 1u);

// Columns of one gate and block, and of four rows.
const GATE_COLUMNS = 2u + ACTIONS + HIDDEN;
const ROW_COLUMNS = 1u + HIDDEN;
const ROW_TABLES = 4u * BLOCKS * GATE_COLUMNS;
const ROW_GROUPS = (ROWS + 3u) / 4u;

// Column `column` of one row of a gate.
fn gate_entry(row: u32, column: u32) -> f32 {
    if column == 0u {
        return weight(BIAS_INPUT + row) + weight(BIAS_HIDDEN + row);
    }
    if column < 2u + ACTIONS {
        return weight(row * (1u + ACTIONS) + column - 1u);
    }
    return weight(WEIGHTS_HIDDEN + row * HIDDEN + column - 2u - ACTIONS);
}

// Row m of the positions in column j is sine (j even) or cosine (j odd) of m / DIVISOR^(j / 2): four rows.
fn positions(rows: vec4<f32>, j: u32, divisor: f32) -> vec4<f32> {
    let angles = rows / divisor;
    let a = cosine_and_sine_of(angles.x);
    let b = cosine_and_sine_of(angles.y);
    let c = cosine_and_sine_of(angles.z);
    let d = cosine_and_sine_of(angles.w);
    return select(vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(a.x, b.x, c.x, d.x), (j & 1u) == 1u);
}

// Four rows of one column of G, and of g for column 0: positions times the product of query and key weights.
fn row_entries(group: u32, column: u32) -> vec4<f32> {
    if column == 0u && KEY_BIAS == 0u {
        return vec4<f32>();
    }
    var products: array<f32, POSITIONS>;
    var constant = 0.0;
    for (var d = 0u; d < KEYS; d++) {
        let key = weight(select(WEIGHTS_KEY + d * HIDDEN + column - 1u, BIAS_KEY + d, column == 0u));
        for (var j = 0u; j < POSITIONS; j++) {
            products[j] += weight(WEIGHTS_QUERY + d * POSITIONS + j) * key;
        }
        if KEY_BIAS == 1u {
            constant += weight(BIAS_QUERY + d) * key;
        }
    }
    let rows = 4.0 * f32(group) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    var sums = vec4<f32>(constant);
    var divisor = 1.0;
    for (var j = 0u; j < POSITIONS; j++) {
        sums += products[j] * positions(rows, j, divisor);
        if (j & 1u) == 1u {
            divisor *= DIVISOR;
        }
    }
    return SCALE * sums;
}

fn policy_table(i: u32) -> vec4<f32> {
    if i < ROW_TABLES {
        let unit = 4u * ((i / GATE_COLUMNS) % BLOCKS);
        let row = i / (GATE_COLUMNS * BLOCKS) * HIDDEN + unit;
        var entries: vec4<f32>;
        for (var j = 0u; j < 4u; j++) {
            if unit + j < HIDDEN {
                entries[j] = gate_entry(row + j, i % GATE_COLUMNS);
            }
        }
        return entries;
    }
    return row_entries((i - ROW_TABLES) / ROW_COLUMNS, (i - ROW_TABLES) % ROW_COLUMNS);
}

// One step of the LSTMs of all channels.
fn remember(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) {
    // What the channels have in common: biases and the previous action.
    var alike: array<vec4<f32>, 4u * BLOCKS>;
    for (var gate = 0u; gate < 4u * BLOCKS; gate++) {
        var sum = table(gate * GATE_COLUMNS);
        for (var a = 0u; a < ACTIONS; a++) {
            sum += table(gate * GATE_COLUMNS + 2u + a) * (*memory)[CHANNEL_MEMORY + a];
        }
        alike[gate] = sum;
    }
    for (var channel = 0u; channel < INPUTS; channel++) {
        let h = channel * 2u * HIDDEN;
        let c = h + HIDDEN;
        var hidden: array<vec4<f32>, BLOCKS>;
        for (var block = 0u; block < BLOCKS; block++) {
            var gates: array<vec4<f32>, 4>;
            for (var gate = 0u; gate < 4u; gate++) {
                let columns = (gate * BLOCKS + block) * GATE_COLUMNS;
                var sum = alike[gate * BLOCKS + block] + table(columns + 1u) * inputs[channel];
                for (var unit = 0u; unit < HIDDEN; unit++) {
                    sum += table(columns + 2u + ACTIONS + unit) * (*memory)[h + unit];
                }
                gates[gate] = sum;
            }
            var cell: vec4<f32>;
            for (var j = 0u; j < 4u; j++) {
                if 4u * block + j < HIDDEN {
                    cell[j] = (*memory)[c + 4u * block + j];
                }
            }
            cell = logistics(gates[1]) * cell + logistics(gates[0]) * hyperbolic_tangents(gates[2]);
            hidden[block] = logistics(gates[3]) * hyperbolic_tangents(cell);
            for (var j = 0u; j < 4u; j++) {
                if 4u * block + j < HIDDEN {
                    (*memory)[c + 4u * block + j] = cell[j];
                }
            }
        }
        for (var unit = 0u; unit < HIDDEN; unit++) {
            (*memory)[h + unit] = hidden[unit / 4u][unit % 4u];
        }
    }
}

fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    remember(memory, inputs);
    var x: array<f32, 4u * ROW_GROUPS>;
    for (var group = 0u; group < ROW_GROUPS; group++) {
        let columns = ROW_TABLES + group * ROW_COLUMNS;
        var sums = vec4<f32>();
        for (var channel = 0u; channel < INPUTS; channel++) {
            var scores = table(columns);
            for (var unit = 0u; unit < HIDDEN; unit++) {
                scores += table(columns + 1u + unit) * (*memory)[channel * 2u * HIDDEN + unit];
            }
            sums += hyperbolic_tangents(scores) * inputs[channel];
        }
        let message = hyperbolic_tangents(FACTOR * sums);
        for (var j = 0u; j < 4u; j++) {
            x[4u * group + j] = message[j];
        }
    }

    for (var layer = 0u; layer < LAYERS; layer++) {
        let first = WEIGHTS_LAYER + layer * ROWS * (ROWS + 1u);
        var next: array<f32, 4u * ROW_GROUPS>;
        for (var row = 0u; row < ROWS; row++) {
            var sum = weight(first + ROWS * ROWS + row);
            for (var i = 0u; i < ROWS; i++) {
                sum += weight(first + row * ROWS + i) * x[i];
            }
            next[row] = hyperbolic_tangent(sum);
        }
        x = next;
    }

    var action: array<f32, ACTIONS>;
    for (var a = 0u; a < ACTIONS; a++) {
        var sum = weight(WEIGHTS_HEAD + ACTIONS * ROWS + a);
        for (var i = 0u; i < ROWS; i++) {
            sum += weight(WEIGHTS_HEAD + a * ROWS + i) * x[i];
        }
        action[a] = hyperbolic_tangent(sum);
        (*memory)[CHANNEL_MEMORY + a] = action[a];
    }
    return action;
}
