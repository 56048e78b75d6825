// MountainCarContinuous-v0 of Gymnasium (Moore 1990): a car whose motor is too weak for the hill must swing to and fro.
//
// State and observation (position, velocity), the valley's floor at -pi / 6. Action: one number, force within [-1, 1].

const POWER = 0.0015;
const SLOPE = 0.0025;
const FASTEST = 0.07;
const LEFT = -1.2;
const RIGHT = 0.6;
const GOAL = 0.45;

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(-0.6 + 0.2 * random_uniform(random), 0.0);
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return state;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let force = clamp(action[0], -1.0, 1.0);
    let push = POWER * force - SLOPE * cosine_and_sine_of(3.0 * (*state)[0]).x;
    var velocity = clamp((*state)[1] + push, -FASTEST, FASTEST);
    let position = clamp((*state)[0] + velocity, LEFT, RIGHT);
    // The wall on the left stops it.
    if position <= LEFT {
        velocity = max(velocity, 0.0);
    }
    (*state)[0] = position;
    (*state)[1] = velocity;
    let done = position >= GOAL && velocity >= 0.0;
    // The motor pays for what it was asked, even past its limits.
    return Outcome(select(0.0, 100.0, done) - 0.1 * action[0] * action[0], done);
}
