// Every step of this dispatch is recorded: trace (steps, TRACE, slots) holds the state before the step, the observation,
// the action, the reward, and 0 where the episode went on, 1 where it ended, 2 where its time was up.

fn record_before(
    steps_done: u32, slot: u32, slots: u32, state: array<f32, STATE>, observation: array<f32, OBSERVATIONS>,
    action: array<f32, ACTIONS>,
) {
    let first = steps_done * TRACE;
    for (var i = 0u; i < STATE; i++) {
        trace[(first + i) * slots + slot] = state[i];
    }
    for (var i = 0u; i < OBSERVATIONS; i++) {
        trace[(first + STATE + i) * slots + slot] = observation[i];
    }
    for (var i = 0u; i < ACTIONS; i++) {
        trace[(first + STATE + OBSERVATIONS + i) * slots + slot] = action[i];
    }
}

fn record_after(steps_done: u32, slot: u32, slots: u32, reward: f32, end: u32) {
    trace[(steps_done * TRACE + TRACE - 2u) * slots + slot] = reward;
    trace[(steps_done * TRACE + TRACE - 1u) * slots + slot] = f32(end);
}
