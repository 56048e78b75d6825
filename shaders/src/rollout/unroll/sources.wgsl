// Everything that a policy may be wired to.
fn sources(observation: array<f32, OBSERVATIONS>, time: u32, random: Random) -> array<f32, INPUTS> {
    var sources: array<f32, INPUTS>;
    for (var copy = 0u; copy < COPIES; copy++) {
        for (var i = 0u; i < OBSERVATIONS; i++) {
            sources[copy * OBSERVATIONS + i] = observation[i];
        }
    }
    for (var channel = 0u; channel < NOISE_CHANNELS; channel++) {
        let key = vec2<u32>(random.key.x, unroll.stream + NOISE);
        let deviates = box_muller(threefry(key, vec2<u32>(time * 256u + channel / 2u, random.episode)));
        sources[COPIES * OBSERVATIONS + channel] = unroll.noise * select(deviates.x, deviates.y, (channel & 1u) == 1u);
    }
    return sources;
}
