// The derivative of ridge.wgsl along tangents of state and parameter.

fn problem_tangent(
    state: array<f32, STATE>, tangent: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>,
) -> f32 {
    let coefficient = exp(parameter(0u));
    let stronger = coefficient * parameter_tangent(0u);
    var weights = state;
    var gradient = training_gradient(&weights);
    var bent: array<f32, STATE>;
    for (var i = 0u; i < FEATURES; i += 1u) {
        bent[i] = row_times(0u, i, tangent) + coefficient * (*tangent)[i] + stronger * weights[i];
    }
    for (var i = 0u; i < FEATURES; i += 1u) {
        weights[i] -= RATE * (gradient[i] + coefficient * weights[i]);
        (*tangent)[i] -= RATE * bent[i];
    }
    var slope = 0.0;
    for (var i = 0u; i < FEATURES; i += 1u) {
        let product = row_times(VALIDATION, i, &weights);
        slope += (*tangent)[i] * (product - data[VALIDATION + TARGETS + i]);
    }
    return slope;
}
