// Direction i is the axis of outer parameter i: together they give the whole gradient.

fn set_direction(drawn: u32) {}

fn parameter_tangent(i: u32) -> f32 {
    return select(0.0, 1.0, i == column);
}

// (a, b, keep, add): a is the derivative.
fn directional_shares(carried: vec4<f32>, before: f32, after: f32) -> vec4<f32> {
    return vec4<f32>(carried.x + after, 0.0, 0.0, 0.0);
}
