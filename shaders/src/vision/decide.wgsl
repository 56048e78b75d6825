// The decision of the driving network: an LSTM over the chosen places, the action, and the share of the old message in the next
// rolling average.
//
//     h, c  = LSTM([row, column of each place] / EXTENT, h, c)
//     a     = tanh(W h + b)
//     alpha = logistic(w_2 . tanh(W_1 [h, a] + b_1) + b_2)            where the network averages messages
//
// An invocation is a lane. Memory is h, c, a and alpha one after the other; it counts as zeros where an episode begins. Places
// lie on a grid, SPACING apart and the first CENTRE from the edge.
//
// Takes sizes and `params` from the composition, hyperbolic tangents and logistics from library/mathematics.wgsl, `Place` and
// `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> listed: array<u32>;          // (lanes, LIST_ROW): its state first
@group(0) @binding(1) var<storage, read> weights: array<f32>;         // (members, PARAMETERS)
@group(0) @binding(2) var<storage, read> chosen: array<u32>;          // (lanes, TOP)
@group(0) @binding(3) var<storage, read_write> memory: array<f32>;    // (lanes, MEMORY)
@group(0) @binding(4) var<storage, read_write> actions: array<f32>;   // (lanes, ACTIONS)

@compute @workgroup_size(WORKGROUP)
fn decide(at: Place) {
    let lane = index_of(at);
    if lane >= params.lanes {
        return;
    }
    let state = listed[lane * LIST_ROW];
    if state == OVER {
        return;
    }
    // The grid is flat, so z is 0; without it compilers would unroll every loop over an array of this invocation.
    let units = HIDDEN + at.workgroup.z;
    let picks = TOP + at.workgroup.z;
    let numbers = ACTIONS + at.workgroup.z;
    let own = lane * MEMORY;
    let weight = lane / params.groups * PARAMETERS;
    var seen: array<f32, 2u * TOP>;
    for (var i = 0u; i < picks; i++) {
        let place = chosen[lane * TOP + i];
        seen[2u * i] = f32(CENTRE + SPACING * (place / SIDE)) / f32(EXTENT);
        seen[2u * i + 1u] = f32(CENTRE + SPACING * (place % SIDE)) / f32(EXTENT);
    }
    var hidden: array<f32, HIDDEN>;
    var cell: array<f32, HIDDEN>;
    if state != BEGINS {
        for (var unit = 0u; unit < units; unit++) {
            hidden[unit] = memory[own + unit];
            cell[unit] = memory[own + HIDDEN + unit];
        }
    }
    var next: array<f32, HIDDEN>;
    for (var unit = 0u; unit < units; unit++) {
        var gates = vec4<f32>(0.0);
        for (var gate = 0u; gate < 4u; gate++) {
            let row = gate * HIDDEN + unit;
            var sum = weights[weight + LSTM_BIAS + row] + weights[weight + LSTM_BIAS + 4u * HIDDEN + row];
            for (var i = 0u; i < 2u * picks; i++) {
                sum += weights[weight + LSTM_INPUT + row * 2u * TOP + i] * seen[i];
            }
            for (var i = 0u; i < units; i++) {
                sum += weights[weight + LSTM_HIDDEN + row * HIDDEN + i] * hidden[i];
            }
            gates[gate] = sum;
        }
        let open = logistics(gates);
        cell[unit] = open.y * cell[unit] + open.x * hyperbolic_tangent(gates.z);
        next[unit] = open.w * hyperbolic_tangent(cell[unit]);
    }
    var action: array<f32, ACTIONS>;
    for (var i = 0u; i < numbers; i++) {
        var sum = weights[weight + HEAD + ACTIONS * HIDDEN + i];
        for (var unit = 0u; unit < units; unit++) {
            sum += weights[weight + HEAD + i * HIDDEN + unit] * next[unit];
        }
        action[i] = hyperbolic_tangent(sum);
    }
    if AVERAGES {
        var mixed = weights[weight + MIX_OUTPUT + HIDDEN];
        for (var unit = 0u; unit < units; unit++) {
            let row = weight + MIX + unit * (HIDDEN + ACTIONS);
            var sum = weights[weight + MIX + HIDDEN * (HIDDEN + ACTIONS) + unit];
            for (var i = 0u; i < units; i++) {
                sum += weights[row + i] * next[i];
            }
            for (var i = 0u; i < numbers; i++) {
                sum += weights[row + HIDDEN + i] * action[i];
            }
            mixed += weights[weight + MIX_OUTPUT + unit] * hyperbolic_tangent(sum);
        }
        memory[own + ALPHA] = logistics(vec4<f32>(mixed)).x;
    }
    for (var unit = 0u; unit < units; unit++) {
        memory[own + unit] = next[unit];
        memory[own + HIDDEN + unit] = cell[unit];
    }
    for (var i = 0u; i < numbers; i++) {
        memory[own + 2u * HIDDEN + i] = action[i];
        // The pedals go from 0 to 1.
        actions[lane * ACTIONS + i] = select(action[i], 0.5 + 0.5 * action[i], params.pedals == 1u && i > 0u);
    }
}
