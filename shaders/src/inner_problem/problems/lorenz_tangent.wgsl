// The derivative of lorenz.wgsl along tangents of state and parameters.

// The tangent of `lorenz_step` along (x, y, z), a and r.
fn lorenz_tangent(at: vec3<f32>, a: f32, r: f32, along: vec3<f32>, along_a: f32, along_r: f32) -> vec3<f32> {
    return along + TIME_STEP * vec3<f32>(
        along_a * (at.y - at.x) + a * (along.y - along.x),
        (along_r - along.z) * at.x + (r - at.z) * along.x - along.y,
        along.x * at.y + at.x * along.y - B * along.z,
    );
}

fn problem_tangent(
    state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>,
) -> f32 {
    let at = vec3<f32>(state[0], state[1], state[2]);
    let truth = vec3<f32>(state[3], state[4], state[5]);
    let along = vec3<f32>((*tangent)[0], (*tangent)[1], (*tangent)[2]);
    let along_truth = vec3<f32>((*tangent)[3], (*tangent)[4], (*tangent)[5]);
    let a = exp(parameter(0u));
    let r = exp(parameter(1u));
    let next = lorenz_tangent(at, a, r, along, a * parameter_tangent(0u), r * parameter_tangent(1u));
    let true_next = lorenz_tangent(truth, TRUE_A, TRUE_R, along_truth, 0.0, 0.0);
    *tangent = array<f32, STATE>(next.x, next.y, next.z, true_next.x, true_next.y, true_next.z);
    return 2.0 * (lorenz_step(at, a, r).z - lorenz_step(truth, TRUE_A, TRUE_R).z) * (next.z - true_next.z);
}
