// Parameters of the Lorenz system (Li et al., "Variance-reduced gradient estimation via noise-reuse in online evolution
// strategies", 2023): two trajectories from one point by Euler's method,
//
//   x <- x + dt a (y - x),   y <- y + dt ((r - z) x - y),   z <- z + dt (x y - b z),
//
// one with a = exp(theta0), r = exp(theta1), one with the true a = 10, r = 28; the loss is the square of the difference of
// their z. State (x, y, z) of the first, (x, y, z) of the second.

const TIME_STEP = 0.005;
const TRUE_A = 10.0;
const TRUE_R = 28.0;
const B = 2.6666666667;

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(1.2, 1.3, 1.6, 1.2, 1.3, 1.6);
}

fn lorenz_step(at: vec3<f32>, a: f32, r: f32) -> vec3<f32> {
    return at + TIME_STEP * vec3<f32>(a * (at.y - at.x), (r - at.z) * at.x - at.y, at.x * at.y - B * at.z);
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let at = vec3<f32>((*state)[0], (*state)[1], (*state)[2]);
    let truth = vec3<f32>((*state)[3], (*state)[4], (*state)[5]);
    let next = lorenz_step(at, exp(parameter(0u)), exp(parameter(1u)));
    let true_next = lorenz_step(truth, TRUE_A, TRUE_R);
    *state = array<f32, STATE>(next.x, next.y, next.z, true_next.x, true_next.y, true_next.z);
    let off = next.z - true_next.z;
    return Loss(off * off, false);
}
