// Pendulum-v1 of Gymnasium: a pendulum is to be swung up by a motor that is too weak to lift it, and held.
//
// State (angle, spin): radians from upright, not wrapped, and radians per second.
// Observation (cos angle, sin angle, spin). Action: one number in [-1, 1], 2 newton metres each.

const GRAVITY = 10.0;
const TORQUE = 2.0;
const TIME_STEP = 0.05;
const FASTEST = 8.0;

// The angle less whole turns, within [-pi, pi). A turn has two parts, of which the first has so few bits that its
// products are exact.
fn wrapped(angle: f32) -> f32 {
    let turns = floor((angle + 3.14159265) / 6.28318531);
    return (angle - turns * 6.28125) - turns * 1.9353071795864769e-3;
}

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    let angle = 3.14159265 * (2.0 * random_uniform(random) - 1.0);
    return array<f32, STATE>(angle, 2.0 * random_uniform(random) - 1.0);
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    let turn = cosine_and_sine_of(state[0]);
    return array<f32, OBSERVATIONS>(turn.x, turn.y, state[1]);
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let angle = (*state)[0];
    let spin = (*state)[1];
    let torque = TORQUE * clamp(action[0], -1.0, 1.0);
    let off = wrapped(angle);
    // Of the old state.
    let cost = off * off + 0.1 * spin * spin + 0.001 * torque * torque;
    let angular = 1.5 * GRAVITY * cosine_and_sine_of(angle).y + 3.0 * torque;
    // The angle moves by the new speed, as limited.
    let faster = clamp(spin + TIME_STEP * angular, -FASTEST, FASTEST);
    (*state)[0] = angle + TIME_STEP * faster;
    (*state)[1] = faster;
    return Outcome(-cost, false);
}
