// CartPole-v1 of Gymnasium (Barto, Sutton & Anderson 1983): a pole stands on a cart and is to be kept upright.
//
// State and observation (x, v, angle, spin): metres, metres per second, radians from upright, radians per second.
// Action: one number, 10 newtons to the right where it is positive, to the left otherwise.

const GRAVITY = 9.8;
const FORCE = 10.0;
const TIME_STEP = 0.02;
const TRACK = 2.4;
// 12 degrees.
const FALL = 0.20943951;
// Total mass, mass of the pole, half its length, and the product of these two.
const MASS = 1.1;
const POLE_MASS = 0.1;
const LENGTH = 0.5;
const MOMENT = 0.05;

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = 0.05 * (2.0 * random_uniform(random) - 1.0);
    }
    return state;
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return state;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let v = (*state)[1];
    let spin = (*state)[3];
    let turn = cosine_and_sine_of((*state)[2]);
    let c = turn.x;
    let s = turn.y;
    let force = select(-FORCE, FORCE, action[0] > 0.0);
    let push = (force + MOMENT * spin * spin * s) / MASS;
    let angular = (GRAVITY * s - c * push) / (LENGTH * (4.0 / 3.0 - POLE_MASS * c * c / MASS));
    let acceleration = push - MOMENT * angular * c / MASS;
    // Explicit Euler: every update from the old state.
    let x = (*state)[0] + TIME_STEP * v;
    let angle = (*state)[2] + TIME_STEP * spin;
    (*state)[0] = x;
    (*state)[1] = v + TIME_STEP * acceleration;
    (*state)[2] = angle;
    (*state)[3] = spin + TIME_STEP * angular;
    return Outcome(1.0, abs(x) > TRACK || abs(angle) > FALL);
}
