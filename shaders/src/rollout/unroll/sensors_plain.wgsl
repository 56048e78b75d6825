// The inputs of the policy: the observation `COPIES` times over, then noise channels, drawn anew at each step.

fn sense(
    observation: array<f32, OBSERVATIONS>, number: u32, time: u32, random: Random, memory: ptr<function, array<f32, MEMORY>>,
) -> array<f32, INPUTS> {
    return sources(observation, time, random);
}
