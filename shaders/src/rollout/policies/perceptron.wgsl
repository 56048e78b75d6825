// A multi-layer perceptron:  x_l = tanh(W_l x_(l-1) + b_l)  for each hidden layer, x_0 the inputs, then the same for the
// action, whose tanh is a choice.  Weights, layer by layer:  W_l (outputs, inputs), b_l (outputs).
//
// The first and the last layer have constant sizes, so that a network with one hidden layer stays in registers.

override SQUASHED: bool = true;

// tanh of x[first], .., x[first + 3], of which those below `width` count.
fn squash(x: ptr<function, array<f32, WIDEST>>, width: u32) {
    for (var first = 0u; first < width; first += 4u) {
        let second = min(first + 1u, width - 1u);
        let third = min(first + 2u, width - 1u);
        let fourth = min(first + 3u, width - 1u);
        let y = hyperbolic_tangents(vec4<f32>((*x)[first], (*x)[second], (*x)[third], (*x)[fourth]));
        // The last is stored first: where indices meet at the end, the first of them holds.
        (*x)[fourth] = y.w;
        (*x)[third] = y.z;
        (*x)[second] = y.y;
        (*x)[first] = y.x;
    }
}

fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    var x: array<f32, WIDEST>;
    for (var unit = 0u; unit < FIRST_WIDTH; unit++) {
        var sum = weight(FIRST_WIDTH * INPUTS + unit);
        for (var i = 0u; i < INPUTS; i++) {
            sum += weight(unit * INPUTS + i) * inputs[i];
        }
        x[unit] = sum;
    }
    squash(&x, FIRST_WIDTH);

    var offset = FIRST_WIDTH * (INPUTS + 1u);
    for (var layer = 1u; layer < HIDDEN_LAYERS; layer++) {
        let before = WIDTHS[layer - 1u];
        let width = WIDTHS[layer];
        var next: array<f32, WIDEST>;
        for (var unit = 0u; unit < width; unit++) {
            var sum = weight(offset + width * before + unit);
            for (var i = 0u; i < before; i++) {
                sum += weight(offset + unit * before + i) * x[i];
            }
            next[unit] = sum;
        }
        squash(&next, width);
        x = next;
        offset += width * (before + 1u);
    }

    var action: array<f32, ACTIONS>;
    for (var a = 0u; a < ACTIONS; a++) {
        var sum = weight(offset + ACTIONS * LAST_WIDTH + a);
        for (var i = 0u; i < LAST_WIDTH; i++) {
            sum += weight(offset + a * LAST_WIDTH + i) * x[i];
        }
        if SQUASHED {
            sum = hyperbolic_tangent(sum);
        }
        action[a] = sum;
    }
    return action;
}
