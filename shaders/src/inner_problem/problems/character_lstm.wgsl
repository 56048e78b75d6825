// A small LSTM that reads a text and predicts each next character (the variance study of Vicol et al., PES, 2021). Its
// weights are the outer parameters, its memory is the inner state, and the loss of a step is the cross-entropy of the
// character that comes next:
//
//   forget, input, output = logistic(X x + a + H h + b),   cell = tanh(X x + a + H h + b),   each with its own weights,
//   c <- forget c + input cell,   h <- output tanh(c),   loss = log sum exp(D h + d) - (D h + d)[next character],
//
// x the embedding of the character that is read. State (h, c), 0 at the start.
//
// Parameters: the embedding (VOCABULARY, EMBEDDING); for each hidden unit (HIDDEN) the rows of X and a, of H and b,
// (EMBEDDING + 1 + HIDDEN + 1, 4 gates); for each character (VOCABULARY) the row of D and d (HIDDEN + 1).

// data                                      // (TRANSITIONS + 1), the characters; the text starts over at its end

const GATES = VOCABULARY * EMBEDDING;
const UNIT = 4u * (EMBEDDING + HIDDEN + 2u);
const DECODER = GATES + HIDDEN * UNIT;

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>();
}

fn four_parameters(i: u32) -> vec4<f32> {
    return vec4<f32>(parameter(i), parameter(i + 1u), parameter(i + 2u), parameter(i + 3u));
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let place = time % TRANSITIONS;
    let read = u32(data[place]);
    let next = u32(data[place + 1u]);
    var x: array<f32, EMBEDDING>;
    for (var i = 0u; i < EMBEDDING; i += 1u) {
        x[i] = parameter(read * EMBEDDING + i);
    }
    let before = *state;
    var at = GATES;
    for (var unit = 0u; unit < HIDDEN; unit += 1u) {
        // Forget, input, output, cell.
        var sum = vec4<f32>(0.0);
        for (var i = 0u; i < EMBEDDING; i += 1u) {
            sum += four_parameters(at) * x[i];
            at += 4u;
        }
        sum += four_parameters(at);
        at += 4u;
        for (var i = 0u; i < HIDDEN; i += 1u) {
            sum += four_parameters(at) * before[i];
            at += 4u;
        }
        sum += four_parameters(at);
        at += 4u;
        // The logistic function of three, (1 + tanh(x / 2)) / 2, and the hyperbolic tangent of the fourth.
        let bent = hyperbolic_tangents(vec4<f32>(0.5 * sum.xyz, sum.w));
        let gate = 0.5 + 0.5 * bent.xyz;
        let cell = gate.x * before[HIDDEN + unit] + gate.y * bent.w;
        (*state)[HIDDEN + unit] = cell;
        (*state)[unit] = gate.z * hyperbolic_tangent(cell);
    }
    // One pass over the characters: the sum is of exponentials relative to the largest so far.
    var largest = -1e30;
    var sum = 0.0;
    var chosen = 0.0;
    at = DECODER;
    for (var character = 0u; character < VOCABULARY; character += 1u) {
        var logit = 0.0;
        for (var i = 0u; i < HIDDEN; i += 1u) {
            logit += parameter(at + i) * (*state)[i];
        }
        logit += parameter(at + HIDDEN);
        at += HIDDEN + 1u;
        let larger = max(largest, logit);
        sum = sum * exp(largest - larger) + exp(logit - larger);
        largest = larger;
        chosen = select(chosen, logit, character == next);
    }
    return Loss(log(sum) + (largest - chosen), false);
}
