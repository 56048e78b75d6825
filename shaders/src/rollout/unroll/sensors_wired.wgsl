// The inputs of the policy in an order of the host's choosing: input i is source wiring[episode, phase, i], where the
// sources are those of the plain order, and the phase changes every `interval` steps.

fn sense(
    observation: array<f32, OBSERVATIONS>, number: u32, time: u32, random: Random, memory: ptr<function, array<f32, MEMORY>>,
) -> array<f32, INPUTS> {
    var plain = sources(observation, time, random);
    let phase = min(time / unroll.interval, unroll.phases - 1u);
    if FORGETS && time > 0u && time % unroll.interval == 0u && time / unroll.interval < unroll.phases {
        // A loop over whole arrays, to be unrolled: see unroll.wgsl.
        var blank: array<array<f32, MEMORY_ROW>, MEMORY_ROWS>;
        for (var row = 0u; row < MEMORY_ROWS; row++) {
            for (var k = 0u; k < MEMORY_ROW; k++) {
                if row * MEMORY_ROW + k < CHANNEL_MEMORY {
                    (*memory)[row * MEMORY_ROW + k] = blank[row][k];
                }
            }
        }
    }
    var inputs: array<f32, INPUTS>;
    for (var i = 0u; i < INPUTS; i++) {
        inputs[i] = plain[min(wiring[(number * unroll.phases + phase) * INPUTS + i], INPUTS - 1u)];
    }
    return inputs;
}
