// Each invocation draws its perturbation once and keeps it to itself: for few parameters.

var<private> middle: array<f32, PARAMETERS>;
var<private> kept: array<f32, 2u * PARAMETER_PAIRS>;

fn prepare(drawn: u32, unperturbed: bool, renewed: bool) {
    for (var pair = 0u; pair < PARAMETER_PAIRS; pair++) {
        let two = normal_pair(drawn, pair);
        kept[2u * pair] = two.x;
        kept[2u * pair + 1u] = two.y;
    }
    for (var i = 0u; i < PARAMETERS; i++) {
        middle[i] = center[i];
    }
}

fn normal(i: u32) -> f32 {
    return kept[i];
}

fn parameter(i: u32) -> f32 {
    return middle[i] + spread * kept[i];
}
