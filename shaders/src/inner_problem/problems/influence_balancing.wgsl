// Influence balancing (Tallec and Ollivier, "Unbiased online recurrent optimization", 2017): a linear system of 23
// numbers in a row, each fed by itself and its right neighbour, and all by one outer parameter theta,
//
//   s[i] <- (s[i] + s[i + 1]) / 2 + sign[i] theta,   sign = +1 for i < 10, -1 beyond;   s = 1 at the start,
//
// with the loss (s[0] - 1)^2 / 2. What is near s[0] pulls it up with theta, what is far pulls it down, and more so.

// Numbers fed by +theta.
const POSITIVE = 10u;

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i += 1u) {
        state[i] = 1.0;
    }
    return state;
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let theta = parameter(0u);
    // From the left, so that the right neighbour is still the old one.
    for (var i = 0u; i < STATE - 1u; i += 1u) {
        (*state)[i] = 0.5 * ((*state)[i] + (*state)[i + 1u]) + select(-theta, theta, i < POSITIVE);
    }
    (*state)[STATE - 1u] = 0.5 * (*state)[STATE - 1u] - theta;
    let off = (*state)[0] - 1.0;
    return Loss(0.5 * off * off, false);
}
