// Row `column` of the normal deviates (pairs, parameters rounded up to even) that an unroll drew, two at a time.
fn normal_pair(drawn: u32, pair: u32) -> vec2<f32> {
    let key = vec2<u32>(seed[0], unroll.stream + PERTURBATION);
    return box_muller(threefry(key, vec2<u32>(column * PARAMETER_PAIRS + pair, drawn)));
}
