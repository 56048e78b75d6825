// CartPoleSwingUpHarder (Tang & Ha 2021): a pole hangs from a cart and is to be swung up and balanced.
//
// State (x, v, angle, spin): metres, metres per second, radians from upright, radians per second.
// Observation (x, v, cos angle, sin angle, spin). Action: one number in [-1, 1], 10 newtons each.

override EASY: bool = false;

const GRAVITY = 9.82;
const FRICTION = 0.1;
const FORCE = 10.0;
const TIME_STEP = 0.01;
const TRACK = 2.4;
// Mass of the pole times its length, total mass, length: 0.5 kg * 0.6 m, 1 kg, 0.6 m.
const MOMENT = 0.3;
const MASS = 1.0;
const POLE_MASS = 0.5;
const LENGTH = 0.6;

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    if EASY {
        let x = 0.2 * random_normal(random);
        let v = 0.2 * random_normal(random);
        let angle = 3.14159265 + 0.2 * random_normal(random);
        return array<f32, STATE>(x, v, angle, 0.2 * random_normal(random));
    }
    let x = TRACK * (2.0 * random_uniform(random) - 1.0);
    let v = 10.0 * (2.0 * random_uniform(random) - 1.0);
    let angle = 3.14159265 + 1.57079633 * (2.0 * random_uniform(random) - 1.0);
    return array<f32, STATE>(x, v, angle, 10.0 * (2.0 * random_uniform(random) - 1.0));
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    let turn = cosine_and_sine_of(state[2]);
    return array<f32, OBSERVATIONS>(state[0], state[1], turn.x, turn.y, state[3]);
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let v = (*state)[1];
    let spin = (*state)[3];
    let turn = cosine_and_sine_of((*state)[2]);
    let c = turn.x;
    let s = turn.y;
    let force = FORCE * clamp(action[0], -1.0, 1.0);
    let acceleration =
        (-2.0 * MOMENT * spin * spin * s + 3.0 * POLE_MASS * GRAVITY * s * c + 4.0 * force - 4.0 * FRICTION * v)
        / (4.0 * MASS - 3.0 * POLE_MASS * c * c);
    let angular =
        (-3.0 * MOMENT * spin * spin * s * c + 6.0 * MASS * GRAVITY * s + 6.0 * (force - FRICTION * v) * c)
        / (4.0 * LENGTH * MASS - 3.0 * MOMENT * c * c);
    // Explicit Euler: every update from the old state.
    let x = (*state)[0] + TIME_STEP * v;
    let angle = (*state)[2] + TIME_STEP * spin;
    (*state)[0] = x;
    (*state)[1] = v + TIME_STEP * acceleration;
    (*state)[2] = angle;
    (*state)[3] = spin + TIME_STEP * angular;

    let upright = 0.5 * (cosine_and_sine_of(angle).x + 1.0);
    let centred = cosine_and_sine_of(x / TRACK * 1.57079633).x;
    return Outcome(upright * centred, abs(x) > TRACK);
}
