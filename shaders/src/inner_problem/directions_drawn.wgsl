// Directions are standard normal deviates, row `column` of (directions, parameters rounded up to even) of an unroll's
// draw.

var<private> direction: array<f32, 2u * PARAMETER_PAIRS>;

fn face(drawn: u32) {
    for (var pair = 0u; pair < PARAMETER_PAIRS; pair++) {
        let two = normal_pair(drawn, pair);
        direction[2u * pair] = two.x;
        direction[2u * pair + 1u] = two.y;
    }
}

fn parameter_tangent(i: u32) -> f32 {
    return direction[i];
}

// (a, b, keep, add): steps up to an end count with all directions that a carried tangent has had, those after it with the
// present one alone. `within`: the unroll ends within an inner problem.
fn share_of(change: f32, before: f32, after: f32, renewed: bool, ended: bool, within: bool) -> vec4<f32> {
    if unroll.carried == 0u {
        return vec4<f32>(0.0, before + after, 0.0, 0.0);
    }
    return vec4<f32>(
        change,
        after + select(0.0, before, renewed),
        select(1.0, 0.0, ended),
        select(0.0, 1.0, select(renewed, within, ended)),
    );
}
