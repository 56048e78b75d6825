// The derivative of linear_loss.wgsl along tangents of state and parameters: the same map.

fn problem_tangent(
    state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>,
) -> f32 {
    let now = time % UNROLLS;
    for (var p = 0u; p < PARAMETERS; p += 1u) {
        let along = parameter_tangent(p);
        for (var t = 0u; t < UNROLLS; t += 1u) {
            (*tangent)[t] += data[(t * UNROLLS + now) * PARAMETERS + p] * along;
        }
    }
    return (*tangent)[now];
}
