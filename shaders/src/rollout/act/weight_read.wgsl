// A weight that is fetched where it is used: a step uses each about once.

fn weight(i: u32) -> f32 {
    return weights[i];
}
