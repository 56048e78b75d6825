// Acrobot-v1 of Gymnasium (Sutton 1996, with the equations of the book of Sutton & Barto): two links hang from a bar, a
// motor turns the joint between them, and the tip is to swing up above the bar by a link's length.
//
// State (angle 1, angle 2, spin 1, spin 2): radians, the first from hanging down, the second from the first link's
// direction, both within +-pi; radians per second. Observation (cos angle 1, sin angle 1, cos angle 2, sin angle 2,
// spin 1, spin 2). Action: three numbers, the place of the largest says the torque: -1, 0 or 1 newton metre.
//
// Both links: 1 metre, 1 kilogram, centre of mass in the middle, moment of inertia 1.

const GRAVITY = 9.8;
const TIME_STEP = 0.2;
const FASTEST = vec2<f32>(12.56637061, 28.27433388);

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = 0.1 * (2.0 * random_uniform(random) - 1.0);
    }
    return state;
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    let first = cosine_and_sine_of(state[0]);
    let second = cosine_and_sine_of(state[1]);
    return array<f32, OBSERVATIONS>(first.x, first.y, second.x, second.y, state[2], state[3]);
}

// The derivative of the state by time.
fn change(state: vec4<f32>, torque: f32) -> vec4<f32> {
    let spin1 = state.z;
    let spin2 = state.w;
    let second = cosine_and_sine_of(state.y);
    let d1 = 3.5 + second.x;
    let d2 = 1.25 + 0.5 * second.x;
    let pull2 = 0.5 * GRAVITY * cosine_and_sine_of(state.x + state.y).y;
    let pull1 = -0.5 * spin2 * spin2 * second.y - spin2 * spin1 * second.y
        + 1.5 * GRAVITY * cosine_and_sine_of(state.x).y + pull2;
    let angular2 =
        (torque + d2 / d1 * pull1 - 0.5 * spin1 * spin1 * second.y - pull2) / (1.25 - d2 * d2 / d1);
    let angular1 = -(d2 * angular2 + pull1) / d1;
    return vec4<f32>(spin1, spin2, angular1, angular2);
}

// Within +-pi. A turn has two parts, of which the first has so few bits that its products are exact.
fn wrapped(angles: vec2<f32>) -> vec2<f32> {
    let turns = select(
        floor((angles + 3.14159265) / 6.28318531), vec2<f32>(), abs(angles) <= vec2<f32>(3.14159265),
    );
    return (angles - turns * 6.28125) - turns * 1.9353071795864769e-3;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    // The first of the largest.
    let pulls = action[1] > action[0];
    let torque = select(select(-1.0, 0.0, pulls), 1.0, action[2] > select(action[0], action[1], pulls));

    // One step of the classical Runge-Kutta method of fourth order.
    let old = vec4<f32>((*state)[0], (*state)[1], (*state)[2], (*state)[3]);
    let k1 = change(old, torque);
    let k2 = change(old + 0.5 * TIME_STEP * k1, torque);
    let k3 = change(old + 0.5 * TIME_STEP * k2, torque);
    let k4 = change(old + TIME_STEP * k3, torque);
    let new_state = old + TIME_STEP / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);

    let angles = wrapped(new_state.xy);
    let spins = clamp(new_state.zw, -FASTEST, FASTEST);
    (*state)[0] = angles.x;
    (*state)[1] = angles.y;
    (*state)[2] = spins.x;
    (*state)[3] = spins.y;
    let height = -cosine_and_sine_of(angles.x).x - cosine_and_sine_of(angles.x + angles.y).x;
    let done = height > 1.0;
    return Outcome(select(-1.0, 0.0, done), done);
}
