// Directions are standard normal deviates, row `column` of (directions, parameters rounded up to even) of an unroll's
// draw.

var<private> direction: array<f32, 2u * PARAMETER_PAIRS>;

fn set_direction(drawn: u32) {
    for (var pair = 0u; pair < PARAMETER_PAIRS; pair++) {
        let two = normal_pair(drawn, pair);
        direction[2u * pair] = two.x;
        direction[2u * pair + 1u] = two.y;
    }
}

fn parameter_tangent(i: u32) -> f32 {
    return direction[i];
}

// (a, b, keep, add): of tangents that are carried, or that start at zero in each unroll.
fn directional_shares(carried: vec4<f32>, before: f32, after: f32) -> vec4<f32> {
    return select(present_shares(before, after), carried, unroll.carried == 1u);
}
