// The derivative of influence_balancing.wgsl along tangents of state and parameter: the same linear map.

fn problem_tangent(
    state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>,
) -> f32 {
    let along = parameter_tangent(0u);
    for (var i = 0u; i < STATE - 1u; i += 1u) {
        (*tangent)[i] = 0.5 * ((*tangent)[i] + (*tangent)[i + 1u]) + select(-along, along, i < POSITIVE);
    }
    (*tangent)[STATE - 1u] = 0.5 * (*tangent)[STATE - 1u] - along;
    let next = 0.5 * (state[0] + state[1]) + parameter(0u);
    return (next - 1.0) * (*tangent)[0];
}
