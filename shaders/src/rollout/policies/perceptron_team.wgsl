// A multi-layer perceptron of a team of invocations, see perceptron.wgsl: they share out the units of each layer, which
// lies in workgroup memory.

override SQUASHED: bool = true;

// The numbers of a layer and of the one before it.
var<workgroup> layer_numbers: array<f32, SLOTS * 2u * WIDEST>;

fn policy_act(team: u32, lane: u32) {
    let first = team * 2u * WIDEST;
    for (var unit = lane; unit < FIRST_WIDTH; unit += LANES) {
        var sum = weight(FIRST_WIDTH * INPUTS + unit);
        for (var i = 0u; i < INPUTS; i++) {
            sum += weight(unit * INPUTS + i) * team_inputs[team * INPUTS + i];
        }
        layer_numbers[first + unit] = hyperbolic_tangent(sum);
    }
    var offset = FIRST_WIDTH * (INPUTS + 1u);
    for (var layer = 1u; layer < HIDDEN_LAYERS; layer++) {
        workgroupBarrier();
        let width = WIDTHS[layer];
        let terms = WIDTHS[layer - 1u];
        let before = first + (1u - (layer & 1u)) * WIDEST;
        let after = first + (layer & 1u) * WIDEST;
        for (var unit = lane; unit < width; unit += LANES) {
            var sum = weight(offset + width * terms + unit);
            for (var k = 0u; k < terms; k++) {
                // Each invocation begins elsewhere, so that they read different banks of the memory.
                let i = (k + unit) % terms;
                sum += weight(offset + unit * terms + i) * layer_numbers[before + i];
            }
            layer_numbers[after + unit] = hyperbolic_tangent(sum);
        }
        offset += width * (terms + 1u);
    }

    // Each invocation has the units of the last layer that it computed itself.
    let last = first + (1u - (HIDDEN_LAYERS & 1u)) * WIDEST;
    var sums: array<f32, ACTIONS>;
    for (var unit = lane; unit < LAST_WIDTH; unit += LANES) {
        let x = layer_numbers[last + unit];
        for (var a = 0u; a < ACTIONS; a++) {
            sums[a] += weight(offset + a * LAST_WIDTH + unit) * x;
        }
    }
    hand_in(team, lane, sums);
    workgroupBarrier();
    for (var a = lane; a < ACTIONS; a += LANES) {
        let sum = weight(offset + ACTIONS * LAST_WIDTH + a) + sum_of_parts(team, a);
        team_actions[team * ACTIONS + a] = select(sum, hyperbolic_tangent(sum), SQUASHED);
    }
}
