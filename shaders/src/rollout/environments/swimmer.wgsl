// Swimmer: three equal rods in a row lie flat in a viscous fluid, two motors turn the joints between them, and the chain
// is to swim along x. The task is that of Gymnasium's Swimmer (Coulom 2002); the physics are our own.
//
// State (x, y, angle 1..3, v_x, v_y, spin 1..3): place and velocity of the centre of mass, metres and metres per second;
// the directions of the rods from nose to tail, each pointing towards the nose, radians from the x axis and not wrapped,
// and radians per second. Observation (angle 1, joint 1, joint 2, v_x, v_y, spin 1, joint spin 1, joint spin 2), where
// joint 1 is angle 2 - angle 1 and joint 2 is angle 3 - angle 2. Action: two numbers in [-1, 1], 5 newton metres each.
//
// Rod i has length L, mass m, moment of inertia m L^2 / 12, direction t_i = (cos, sin) of its angle a_i and normal
// n_i = (-sin, cos). Its centre lies at  c + L sum_j A_ij t_j,  c the centre of mass, which the joints give as
//
//         |  2  3  1 |                                                                   |  6  9  3 |
//   6 A = | -1  0  1 |,  so that its velocity is  v + J_i w,  J_ij = L A_ij n_j,  and 36 A'A = |  9 18  9 |.
//         | -1 -3 -2 |                                                                   |  3  9  6 |
//
// The fluid resists each point of a rod in proportion to its velocity u, more across than along (resistive-force theory,
// Gray & Hancock 1955): per length with -ALONG (u.t) t - ACROSS (u.n) n. Over the rod that is the force -R_i (v + J_i w),
// R_i = L (ALONG 1 + (ACROSS - ALONG) n_i n_i'), and the moment -ACROSS L^3 / 12 w_i. By Lagrange:
//
//   3 m v'   = - sum_i R_i (v + J_i w)
//   M w' + C = - sum_i J_i' R_i (v + J_i w) - ACROSS L^3 / 12 w + torques
//   M_jk = m L^2 (A'A)_jk cos(a_j - a_k) + m L^2 / 12 [j = k],   C_j = sum_k m L^2 (A'A)_jk sin(a_j - a_k) w_k^2
//
// A joint's torque T turns the rod behind it by +T and the rod before it by -T; past 100 degrees a spring pushes back.
//
// A step is four substeps that are implicit in the resistance, which then only ever takes energy, and explicit otherwise:
// the new v and w solve the five linear equations with the matrices of the old angles, and angles move by the new spins.
// The reward is the speed along x over the step less 1e-4 of the squares of the action.

const TORQUE = 5.0;
const LENGTH = 1.0;
const MASS = 1.0;
const ALONG = 1.0;
const ACROSS = 6.0;
const JOINT_LIMIT = 1.74532925;
const SPRING = 100.0;
const SUBSTEPS = 4u;
const TIME_STEP = 0.01;
// Moment of inertia of a rod.
const MOMENT = MASS * LENGTH * LENGTH / 12.0;

struct Swimmer {
    place: vec2<f32>,
    velocity: vec2<f32>,
    angles: vec3<f32>,
    spins: vec3<f32>,
}

// The resistance of a rod with that normal to being moved.
fn resistance(normal: vec2<f32>) -> mat2x2<f32> {
    let across = (LENGTH * (ACROSS - ALONG)) * normal;
    return mat2x2<f32>(
        across * normal.x + vec2<f32>(LENGTH * ALONG, 0.0), across * normal.y + vec2<f32>(0.0, LENGTH * ALONG),
    );
}

// The x of  a x = b,  a symmetric and positive definite: Cramer's rule.
fn solution(a: mat3x3<f32>, b: vec3<f32>) -> vec3<f32> {
    let c = cross(a[1], a[2]);
    return vec3<f32>(dot(b, c), dot(a[0], cross(b, a[2])), dot(a[0], cross(a[1], b))) / dot(a[0], c);
}

fn moved(old: Swimmer, motors: vec2<f32>) -> Swimmer {
    let turn1 = cosine_and_sine_of(old.angles.x);
    let turn2 = cosine_and_sine_of(old.angles.y);
    let turn3 = cosine_and_sine_of(old.angles.z);
    let n1 = vec2<f32>(-turn1.y, turn1.x);
    let n2 = vec2<f32>(-turn2.y, turn2.x);
    let n3 = vec2<f32>(-turn3.y, turn3.x);

    let j1 = (LENGTH / 6.0) * mat3x2<f32>(2.0 * n1, 3.0 * n2, n3);
    let j2 = (LENGTH / 6.0) * mat3x2<f32>(-n1, vec2<f32>(), n3);
    let j3 = (LENGTH / 6.0) * mat3x2<f32>(-n1, -3.0 * n2, -2.0 * n3);
    let r1 = resistance(n1);
    let r2 = resistance(n2);
    let r3 = resistance(n3);
    let r1j1 = r1 * j1;
    let r2j2 = r2 * j2;
    let r3j3 = r3 * j3;

    // Cosines and sines of a_1 - a_2, a_2 - a_3 and a_1 - a_3.
    let cosines = vec3<f32>(dot(n1, n2), dot(n2, n3), dot(n1, n3));
    let sines = vec3<f32>(
        n1.y * n2.x - n1.x * n2.y, n2.y * n3.x - n2.x * n3.y, n1.y * n3.x - n1.x * n3.y,
    );
    let inertia = MOMENT * mat3x3<f32>(
        vec3<f32>(3.0, 3.0 * cosines.x, cosines.z),
        vec3<f32>(3.0 * cosines.x, 7.0, 3.0 * cosines.y),
        vec3<f32>(cosines.z, 3.0 * cosines.y, 3.0),
    );
    let squares = old.spins * old.spins;
    let centrifugal = MOMENT * vec3<f32>(
        3.0 * sines.x * squares.y + sines.z * squares.z,
        3.0 * sines.y * squares.z - 3.0 * sines.x * squares.x,
        -sines.z * squares.x - 3.0 * sines.y * squares.y,
    );
    let joints = old.angles.yz - old.angles.xy;
    let pulls = motors - SPRING * (joints - clamp(joints, vec2<f32>(-JOINT_LIMIT), vec2<f32>(JOINT_LIMIT)));
    let torques = vec3<f32>(-pulls.x, pulls.x - pulls.y, pulls.y);

    // | P  Q' | | v |   | momentum |
    // | Q  S  | | w | = | angular  |,  of which v is eliminated.
    let p = TIME_STEP * (r1 + r2 + r3) + mat2x2<f32>(vec2<f32>(3.0 * MASS, 0.0), vec2<f32>(0.0, 3.0 * MASS));
    let q = TIME_STEP * (r1j1 + r2j2 + r3j3);
    let round = TIME_STEP * ACROSS * LENGTH * LENGTH * LENGTH / 12.0;
    let s = inertia + TIME_STEP * (transpose(j1) * r1j1 + transpose(j2) * r2j2 + transpose(j3) * r3j3)
        + mat3x3<f32>(vec3<f32>(round, 0.0, 0.0), vec3<f32>(0.0, round, 0.0), vec3<f32>(0.0, 0.0, round));
    let momentum = 3.0 * MASS * old.velocity;
    let angular = inertia * old.spins + TIME_STEP * (torques - centrifugal);
    let inverse = (1.0 / determinant(p)) * mat2x2<f32>(vec2<f32>(p[1].y, -p[0].y), vec2<f32>(-p[1].x, p[0].x));
    let share = inverse * q;
    let spins = solution(s - transpose(q) * share, angular - transpose(share) * momentum);
    let velocity = inverse * (momentum - q * spins);
    return Swimmer(
        old.place + TIME_STEP * velocity, velocity, old.angles + TIME_STEP * spins, spins,
    );
}

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = 0.1 * (2.0 * random_uniform(random) - 1.0);
    }
    return state;
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return array<f32, OBSERVATIONS>(
        state[2], state[3] - state[2], state[4] - state[3],
        state[5], state[6],
        state[7], state[8] - state[7], state[9] - state[8],
    );
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let efforts = clamp(vec2<f32>(action[0], action[1]), vec2<f32>(-1.0), vec2<f32>(1.0));
    var now = Swimmer(
        vec2<f32>((*state)[0], (*state)[1]),
        vec2<f32>((*state)[5], (*state)[6]),
        vec3<f32>((*state)[2], (*state)[3], (*state)[4]),
        vec3<f32>((*state)[7], (*state)[8], (*state)[9]),
    );
    // The mean of the speeds is the way over the time, without the difference of two near numbers.
    var speed = 0.0;
    for (var substep = 0u; substep < SUBSTEPS; substep++) {
        now = moved(now, TORQUE * efforts);
        speed += now.velocity.x / f32(SUBSTEPS);
    }
    *state = array<f32, STATE>(
        now.place.x, now.place.y, now.angles.x, now.angles.y, now.angles.z,
        now.velocity.x, now.velocity.y, now.spins.x, now.spins.y, now.spins.z,
    );
    return Outcome(speed - 1e-4 * dot(efforts, efforts), false);
}
