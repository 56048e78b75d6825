// The parts of every kernel that steps an environment: the places of its random numbers, and the judgement of a step.

// Places of random numbers, counted from `stream`.
const RESET = 1u;
const STEP = 2u;

// Not a number, or infinite. (The comparison x != x may be optimised away.)
fn is_not_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7F800000u) == 0x7F800000u;
}

// The fault of a step: 0 none, 1 its observation, 2 its action, 3 the state or the return `sum` after it.
fn fault_of(
    observation: array<f32, OBSERVATIONS>, action: array<f32, ACTIONS>, state: array<f32, STATE>, sum: f32,
) -> u32 {
    // One test of a sum finds any number that is not finite.
    var actions = 0.0;
    for (var i = 0u; i < ACTIONS; i++) {
        actions += abs(action[i]);
    }
    var numbers = actions + abs(sum);
    for (var i = 0u; i < STATE; i++) {
        numbers += abs(state[i]);
    }
    if !is_not_finite(numbers) {
        return 0u;
    }
    var observed = 0.0;
    for (var i = 0u; i < OBSERVATIONS; i++) {
        observed += abs(observation[i]);
    }
    return select(select(3u, 2u, is_not_finite(actions)), 1u, is_not_finite(observed));
}

// The end of the episode: 0 it goes on, 1 it ended of itself, 2 its time is up.
fn end_of(done: bool, timed_out: bool) -> u32 {
    return select(select(0u, 2u, timed_out), 1u, done);
}
