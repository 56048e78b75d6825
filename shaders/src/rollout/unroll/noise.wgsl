// Channels of nothing but noise, drawn anew at each step.
fn noise(channel: u32, time: u32, random: Random) -> f32 {
    let key = vec2<u32>(random.key.x, unroll.stream + NOISE);
    let deviates = box_muller(threefry(key, vec2<u32>(time * 256u + channel / 2u, random.episode)));
    return unroll.noise * select(deviates.x, deviates.y, (channel & 1u) == 1u);
}
