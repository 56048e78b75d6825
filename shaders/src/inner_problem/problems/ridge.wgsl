// The L2 coefficient of linear regression (Vicol et al., PES, 2021): full-batch gradient descent on
//
//   |X w - y|^2 / 2 + exp(theta) |w|^2 / 2,   w ~ N(0, 1) at the start,
//
// and the loss is |X' w - y'|^2 / 2 on a validation set after each step. The sets enter by their statistics alone.

// data                                      // X^T X (FEATURES, FEATURES), X^T y (FEATURES), X'^T X' (FEATURES, FEATURES),
//                                           // X'^T y' (FEATURES), |y'|^2 / 2

const RATE = 1e-3;
const TARGETS = FEATURES * FEATURES;
const VALIDATION = TARGETS + FEATURES;

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var state: array<f32, STATE>;
    for (var i = 0u; i < FEATURES; i += 1u) {
        state[i] = random_normal(random);
    }
    return state;
}

// Row i of the matrix that starts at `start` times the weights.
fn row_times(start: u32, i: u32, weights: ptr<function, array<f32, STATE>>) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < FEATURES; j += 1u) {
        sum += data[start + i * FEATURES + j] * (*weights)[j];
    }
    return sum;
}

// The gradient of the training loss, less that of the penalty.
fn training_gradient(weights: ptr<function, array<f32, STATE>>) -> array<f32, STATE> {
    var gradient: array<f32, STATE>;
    for (var i = 0u; i < FEATURES; i += 1u) {
        gradient[i] = row_times(0u, i, weights) - data[TARGETS + i];
    }
    return gradient;
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let coefficient = exp(parameter(0u));
    var gradient = training_gradient(state);
    for (var i = 0u; i < FEATURES; i += 1u) {
        (*state)[i] -= RATE * (gradient[i] + coefficient * (*state)[i]);
    }
    var loss = data[VALIDATION + TARGETS + FEATURES];
    for (var i = 0u; i < FEATURES; i += 1u) {
        let product = row_times(VALIDATION, i, state);
        loss += (*state)[i] * (0.5 * product - data[VALIDATION + TARGETS + i]);
    }
    return Loss(loss, false);
}
