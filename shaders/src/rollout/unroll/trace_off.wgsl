// No record of steps is kept.

fn record_before(
    steps_done: u32, slot: u32, slots: u32, state: array<f32, STATE>, observation: array<f32, OBSERVATIONS>,
    action: array<f32, ACTIONS>,
) {}

fn record_after(steps_done: u32, slot: u32, slots: u32, reward: f32, end: u32) {}
