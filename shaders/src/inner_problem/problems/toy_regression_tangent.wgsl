// The derivative of toy_regression.wgsl along tangents of state and parameters.

// The gradient of l at x and the diagonal and the corner of its Hessian there: (g0, g1), (h00, h11), h01.
struct Curvature {
    gradient: vec2<f32>,
    diagonal: vec2<f32>,
    corner: f32,
}

fn curvature(x: vec2<f32>) -> Curvature {
    let turn = cosine_and_sine_of(x.y);
    let bell = exp(-5.0 * x.x * x.x);
    let root = sqrt(x.x * x.x + 5.0);
    let raised = turn.y * turn.y * bell;
    let slope = turn.x * turn.y * bell;
    return Curvature(
        vec2<f32>(x.x / root - 10.0 * x.x * raised, 2.0 * slope + 0.25 * sign(x.y - 100.0)),
        vec2<f32>(5.0 / (root * root * root) + (100.0 * x.x * x.x - 10.0) * raised, 2.0 * (bell - 2.0 * raised)),
        -20.0 * x.x * slope,
    );
}

fn problem_tangent(
    state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>,
) -> f32 {
    let done = f32(time) / f32(HORIZON);
    let faster = exp(parameter(0u)) * (1.0 - done) * parameter_tangent(0u) + exp(parameter(1u)) * done * parameter_tangent(1u);
    let x = vec2<f32>(state[0], state[1]);
    let rate = learning_rate(time);
    let at = curvature(x);
    let along = vec2<f32>((*tangent)[0], (*tangent)[1]);
    let bent = at.diagonal * along + at.corner * along.yx;
    let moved = along - faster * at.gradient - rate * bent;
    *tangent = array<f32, STATE>(moved.x, moved.y);
    return dot(curvature(x - rate * at.gradient).gradient, moved);
}
