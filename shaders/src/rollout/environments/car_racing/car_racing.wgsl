// Car racing: one rigid body on four wheels without mass, on tracks that lie in a table. Per step of 1/50 s, for each wheel,
// with along and aside the parts of the velocity at the wheel:
//
//   (f, p) = 82 * (0.54 omega - along, -aside), not longer than the grip (400 on the road, 240 on grass)
//   omega' = -0.54 f / 1.6 + motor (rear wheels) + brake,   m V' = sum of forces,   I w' = sum of torques
//
// and then the tiles that the wheels touched before they moved: the new ones pay, and the road's grip is that of the next
// step. Layouts of state and observation: car_racing/mod.rs.

override TRACKS: u32 = 1u;
// Steps of negative reward in a row after which an episode ends with the next one.
override PATIENCE: f32 = 1e30;

const WORDS = 24u;
const BEFORE_WORDS = STATE - WORDS;
// The table: for each track how many cross-sections it has; the state of a car at its start; x, y and radius of a circle
// around the middles of the road of each 16 tiles; x, y, cosine, sine and side of the kerb of each.
const START = 1u;
const CIRCLES = START + STATE;
const SECTIONS = CIRCLES + 3u * WORDS;
const TRACK_NUMBERS = SECTIONS + 5u * 16u * WORDS;

const TIME_STEP = 0.02;
const CENTRE = -0.0804591742;
const FIELD = 333.33333;
const HALF_WIDTH = 6.6666667;
// From a wheel to a tile's cross-section, farther than which it meets none.
const REACH = 11.0;
// The same from the car to the cross-section and from the car to the circle around the middles of the road.
const CAR_REACH = 13.2;
const CIRCLE_REACH = 10.0;
// From the centre of mass to the farthest end of a wheel, and more.
const CAR_RADIUS = 3.0;
// Half of a wheel and of what the physics engine adds.
const HALF_WHEEL = vec2<f32>(0.29, 0.55);
const SKIN = 0.01;
// Places of the wheels from the centre of mass: front left, front right, rear left, rear right.
const RIGHT = vec4<f32>(-1.1, 1.1, -1.1, 1.1);
const AHEAD = vec4<f32>(1.6804591742, 1.6804591742, -1.5595408258, -1.5595408258);

// Axes and places of the wheels.
struct Wheels {
    cosine: vec4<f32>,
    sine: vec4<f32>,
    arm_x: vec4<f32>,
    arm_y: vec4<f32>,
}

fn wheels_of(angle: f32, steering: f32) -> Wheels {
    let body = cosine_and_sine_of(angle);
    let front = cosine_and_sine_of(angle + steering);
    return Wheels(
        vec4<f32>(front.xx, body.xx), vec4<f32>(front.yy, body.yy),
        body.x * RIGHT - body.y * AHEAD, body.y * RIGHT + body.x * AHEAD,
    );
}

// Bits of a number, such as an f32 holds; of any number, such as no episode reaches.
fn bits_of(number: f32) -> u32 {
    return u32(clamp(round(number), 0.0, 65535.0));
}

fn track_of(number: f32) -> u32 {
    return min(bits_of(number), TRACKS - 1u);
}

// The wheels that meet a tile with these corners: no axis across an edge of either separates them.
fn met(corners: array<vec2<f32>, 4>, x: vec4<f32>, y: vec4<f32>, wheels: Wheels) -> vec4<bool> {
    var low_a = vec4<f32>(1e9);
    var high_a = vec4<f32>(-1e9);
    var low_b = vec4<f32>(1e9);
    var high_b = vec4<f32>(-1e9);
    var apart = vec4<bool>(false);
    for (var k = 0u; k < 4u; k++) {
        let start = corners[k];
        let dx = start.x - x;
        let dy = start.y - y;
        let a = wheels.cosine * dx + wheels.sine * dy;
        let b = wheels.cosine * dy - wheels.sine * dx;
        low_a = min(low_a, a);
        high_a = max(high_a, a);
        low_b = min(low_b, b);
        high_b = max(high_b, b);
        // A normal of the length of the edge, outwards.
        let edge = corners[(k + 1u) & 3u] - start;
        let across = corners[(k + 2u) & 3u] - start;
        let inwards = across.x * edge.y - across.y * edge.x > 0.0;
        let normal = select(vec2<f32>(edge.y, -edge.x), vec2<f32>(-edge.y, edge.x), inwards);
        let reach = abs(normal.x * wheels.cosine + normal.y * wheels.sine) * HALF_WHEEL.x
            + abs(normal.y * wheels.cosine - normal.x * wheels.sine) * HALF_WHEEL.y;
        apart = apart | (-normal.x * dx - normal.y * dy > reach + SKIN * length(edge));
    }
    let aside = (low_a > vec4<f32>(HALF_WHEEL.x)) | (high_a < vec4<f32>(-HALF_WHEEL.x));
    let along = (low_b > vec4<f32>(HALF_WHEEL.y)) | (high_b < vec4<f32>(-HALF_WHEEL.y));
    return !(apart | aside | along);
}

// Marks the tiles under the wheels. How many are new, and the wheels on the road as bits.
fn touch(state: ptr<function, array<f32, STATE>>) -> vec2<u32> {
    let place = vec2<f32>((*state)[0], (*state)[1]);
    let wheels = wheels_of((*state)[2], (*state)[6]);
    let x = place.x + wheels.arm_x;
    let y = place.y + wheels.arm_y;
    let table = track_of((*state)[17]) * TRACK_NUMBERS;
    let count = min(u32(environment_table[table]), 16u * WORDS);
    var on_road = vec4<bool>(false);
    var new_tiles = 0u;
    // First which circles and tiles are near, then those alone: a lane has few, and would wait for those of all its neighbours
    // if it went along the whole track with them.
    var near_circles = 0u;
    for (var circle = 0u; circle < (count + 15u) / 16u; circle++) {
        let at = table + CIRCLES + 3u * circle;
        let reach = environment_table[at + 2u] + CIRCLE_REACH;
        let off = vec2<f32>(environment_table[at], environment_table[at + 1u]) - place;
        near_circles |= select(1u << circle, 0u, dot(off, off) > reach * reach);
    }
    for (; near_circles != 0u; near_circles &= near_circles - 1u) {
        let circle = firstTrailingBit(near_circles);
        let before = bits_of((*state)[BEFORE_WORDS + circle]);
        var word = before;
        var near_tiles = 0u;
        for (var i = 0u; i < min(16u, count - 16u * circle); i++) {
            let here = table + SECTIONS + 5u * (16u * circle + i);
            let away = vec2<f32>(environment_table[here], environment_table[here + 1u]) - place;
            near_tiles |= select(1u << i, 0u, dot(away, away) > CAR_REACH * CAR_REACH);
        }
        for (; near_tiles != 0u; near_tiles &= near_tiles - 1u) {
            let i = firstTrailingBit(near_tiles);
            let tile = 16u * circle + i;
            let here = table + SECTIONS + 5u * tile;
            let middle = vec2<f32>(environment_table[here], environment_table[here + 1u]);
            let away = middle - place;
            let last = table + SECTIONS + 5u * select(tile - 1u, count - 1u, tile == 0u);
            let last_middle = vec2<f32>(environment_table[last], environment_table[last + 1u]);
            let axis = vec2<f32>(environment_table[here + 2u], environment_table[here + 3u]);
            let last_axis = vec2<f32>(environment_table[last + 2u], environment_table[last + 3u]);
            // The whole car lies ahead of the tile or behind it. (The tile that closes the track may be turned round.)
            let ahead = dot(away.yx * vec2<f32>(-1.0, 1.0), axis) > CAR_RADIUS;
            let behind = dot((last_middle - place).yx * vec2<f32>(-1.0, 1.0), last_axis) < -CAR_RADIUS;
            if tile != 0u && (ahead || behind) {
                continue;
            }
            let half = HALF_WIDTH * axis;
            let last_half = HALF_WIDTH * last_axis;
            let corners =
                array<vec2<f32>, 4>(middle - half, middle + half, last_middle + last_half, last_middle - last_half);
            let from_x = middle.x - x;
            let from_y = middle.y - y;
            let near = from_x * from_x + from_y * from_y <= vec4<f32>(REACH * REACH);
            let touched = met(corners, x, y, wheels) & near;
            on_road = on_road | touched;
            word |= select(0u, 1u << i, any(touched));
        }
        new_tiles += countOneBits(word & ~before);
        if word != before {
            (*state)[BEFORE_WORDS + circle] = f32(word);
        }
    }
    let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), on_road);
    return vec2<u32>(new_tiles, bits.x + bits.y + bits.z + bits.w);
}

// Moves the car. `steer` is the angle that the front wheels shall have, to the left.
fn drive(state: ptr<function, array<f32, STATE>>, steer: f32, gas: f32, brake: f32) {
    let angle = (*state)[2];
    let wheels = wheels_of(angle, (*state)[6]);
    let spin = (*state)[5];
    let on_road = (vec4<u32>(bits_of((*state)[18])) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let pedal = (*state)[7] + min(0.1, clamp(gas, 0.0, 1.0) - (*state)[7]);

    let vx = (*state)[3] - spin * wheels.arm_y;
    let vy = (*state)[4] + spin * wheels.arm_x;
    let along = wheels.cosine * vy - wheels.sine * vx;
    let aside = wheels.cosine * vx + wheels.sine * vy;
    var omega = vec4<f32>((*state)[8], (*state)[9], (*state)[10], (*state)[11]);
    // 0.02 * 40000 / 1.6
    omega += vec4<f32>(0.0, 0.0, 1.0, 1.0) * (500.0 * pedal) / (abs(omega) + 5.0);
    omega = select(
        omega - sign(omega) * min(vec4<f32>(15.0 * max(brake, 0.0)), abs(omega)), vec4<f32>(0.0), brake >= 0.9,
    );
    let turns = vec4<f32>((*state)[12], (*state)[13], (*state)[14], (*state)[15]) + omega * TIME_STEP;
    var forward = 82.0 * (0.54 * omega - along);
    var sideways = -82.0 * aside;
    let force = sqrt(forward * forward + sideways * sideways);
    let limit = select(vec4<f32>(240.0), vec4<f32>(400.0), on_road);
    let share = select(vec4<f32>(1.0), limit / max(force, vec4<f32>(1.0)), force > limit);
    forward *= share;
    sideways *= share;
    // 0.02 * 0.54 / 1.6
    omega -= 0.00675 * forward;
    let push_x = sideways * wheels.cosine - forward * wheels.sine;
    let push_y = sideways * wheels.sine + forward * wheels.cosine;
    let torque = dot(wheels.arm_x, push_y) - dot(wheels.arm_y, push_x);
    let pushed = vec2<f32>(dot(push_x, vec4<f32>(1.0)), dot(push_y, vec4<f32>(1.0)));

    // 0.02 over the mass, and over the moment of inertia.
    var velocity = vec2<f32>((*state)[3], (*state)[4]) + 0.00273900564 * pushed;
    let new_spin = spin + 0.00104326166 * torque;
    // The physics engine moves nothing further than 2 in a step.
    let speed = length(velocity);
    velocity *= select(1.0, 100.0 / max(speed, 1.0), speed > 100.0);

    (*state)[0] += TIME_STEP * velocity.x;
    (*state)[1] += TIME_STEP * velocity.y;
    (*state)[2] = angle + TIME_STEP * new_spin;
    (*state)[3] = velocity.x;
    (*state)[4] = velocity.y;
    (*state)[5] = new_spin;
    (*state)[6] = clamp((*state)[6] + clamp(steer - (*state)[6], -0.06, 0.06), -0.4, 0.4);
    (*state)[7] = pedal;
    (*state)[8] = omega.x;
    (*state)[9] = omega.y;
    (*state)[10] = omega.z;
    (*state)[11] = omega.w;
    (*state)[12] = turns.x;
    (*state)[13] = turns.y;
    (*state)[14] = turns.z;
    (*state)[15] = turns.w;
}

// A step; how many tiles are new.
fn move_by(state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>) -> u32 {
    // Contacts are those before the move, and the grip is that of the contacts before these.
    let touched = touch(state);
    drive(state, -action[0], action[1], action[2]);
    (*state)[18] = f32(touched.y);
    (*state)[16] += 1.0;
    (*state)[19] += f32(touched.x);
    return touched.x;
}

fn hull_of(x: f32, y: f32, angle: f32) -> vec2<f32> {
    let axis = cosine_and_sine_of(angle);
    return vec2<f32>(x + CENTRE * axis.y, y - CENTRE * axis.x);
}

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    let track = (*random).episode % TRACKS;
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = environment_table[track * TRACK_NUMBERS + START + i];
    }
    state[17] = f32(track);
    return state;
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    var seen: array<f32, OBSERVATIONS>;
    for (var i = 2u; i < 16u; i++) {
        seen[i] = state[i];
    }
    let hull = hull_of(state[0], state[1], state[2]);
    seen[0] = hull.x;
    seen[1] = hull.y;
    seen[16] = TIME_STEP * state[16];
    seen[17] = state[17];
    for (var i = 0u; i < WORDS; i++) {
        seen[OBSERVATIONS - WORDS + i] = f32(bits_of(state[BEFORE_WORDS + i])) / 65536.0;
    }
    return seen;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    // The tiles of the reset.
    let owed = select(0.0, (*state)[19], round((*state)[16]) == 1.0);
    let new_tiles = move_by(state, action);
    let tiles = environment_table[track_of((*state)[17]) * TRACK_NUMBERS];
    let hull = hull_of((*state)[0], (*state)[1], (*state)[2]);
    let left = any(abs(hull) > vec2<f32>(FIELD));
    let reward = select(1000.0 * (owed + f32(new_tiles)) / tiles - 0.1, -100.0, left);
    (*state)[20] = select(0.0, (*state)[20] + 1.0, reward < 0.0);
    return Outcome(reward, left || round((*state)[19]) >= tiles || round((*state)[20]) > PATIENCE);
}
