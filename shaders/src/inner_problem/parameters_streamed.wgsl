// Perturbations are drawn wherever they are used: a population of any size takes no memory, and each step costs as if it
// were the first.

var<private> draw: u32;

fn prepare(drawn: u32, unperturbed: bool, renewed: bool) {
    draw = drawn;
}

fn normal(i: u32) -> f32 {
    let two = normal_pair(draw, i / 2u);
    return select(two.x, two.y, (i & 1u) == 1u);
}

fn parameter(i: u32) -> f32 {
    return center[i] + spread * normal(i);
}
