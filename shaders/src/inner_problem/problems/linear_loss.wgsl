// Losses that are linear in what the outer parameters were at each step: what the variance of estimators is known for.
//
//   loss[t] = sum over tau <= t of <g[t, tau], theta[tau]>,   theta[tau] the parameters at step tau.
//
// State: for each step t the sum over the tau that are over. Past its unrolls the problem goes on with the first.

// data                                      // (UNROLLS, UNROLLS, PARAMETERS), g[t, tau, p]

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>();
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let now = time % UNROLLS;
    for (var p = 0u; p < PARAMETERS; p += 1u) {
        let theta = parameter(p);
        for (var t = 0u; t < UNROLLS; t += 1u) {
            (*state)[t] += data[(t * UNROLLS + now) * PARAMETERS + p] * theta;
        }
    }
    return Loss((*state)[now], false);
}
