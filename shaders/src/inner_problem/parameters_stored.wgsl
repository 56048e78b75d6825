// Perturbations lie in a buffer, where each invocation puts its own when it is renewed: for many parameters.

fn prepare(drawn: u32, unperturbed: bool, renewed: bool) {
    if renewed && !unperturbed {
        for (var pair = 0u; pair < PARAMETER_PAIRS; pair++) {
            let two = normal_pair(drawn, pair);
            perturbations[2u * pair * unroll.pairs + column] = two.x;
            perturbations[(2u * pair + 1u) * unroll.pairs + column] = two.y;
        }
    }
}

// An unperturbed particle has none: those of others are being written meanwhile.
fn normal(i: u32) -> f32 {
    if column >= unroll.pairs {
        return 0.0;
    }
    return perturbations[i * unroll.pairs + column];
}

fn parameter(i: u32) -> f32 {
    return center[i] + spread * normal(i);
}
