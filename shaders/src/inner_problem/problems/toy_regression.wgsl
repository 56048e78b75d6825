// The 2-D toy regression of Vicol et al. (PES, 2021): a learning rate schedule for gradient descent on
//
//   l(x) = sqrt(x0^2 + 5) - sqrt(5) + sin(x1)^2 exp(-5 x0^2) + |x1 - 100| / 4,   x = (1, 1) at the start,
//
// whose rate goes from exp(theta0) to exp(theta1) over the horizon: lr[t] = exp(theta0) (T - t) / T + exp(theta1) t / T.

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(1.0, 1.0);
}

fn learning_rate(time: u32) -> f32 {
    let done = f32(time) / f32(HORIZON);
    return exp(parameter(0u)) * (1.0 - done) + exp(parameter(1u)) * done;
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    let x = vec2<f32>((*state)[0], (*state)[1]);
    let turn = cosine_and_sine_of(x.y);
    let bell = exp(-5.0 * x.x * x.x);
    let gradient = vec2<f32>(
        x.x / sqrt(x.x * x.x + 5.0) - 10.0 * x.x * turn.y * turn.y * bell,
        2.0 * turn.x * turn.y * bell + 0.25 * sign(x.y - 100.0),
    );
    let next = x - learning_rate(time) * gradient;
    *state = array<f32, STATE>(next.x, next.y);
    let sine = cosine_and_sine_of(next.y).y;
    // sqrt(a + 5) - sqrt(5) without the difference of two near numbers.
    let square = next.x * next.x;
    let bowl = square / (sqrt(square + 5.0) + 2.2360679775);
    return Loss(bowl + sine * sine * exp(-5.0 * square) + 0.25 * abs(next.y - 100.0), false);
}
