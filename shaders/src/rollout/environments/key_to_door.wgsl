// Key-to-Door: a key must be picked up in a first room, long before the door that it opens is seen.
//
// Three rooms, each for a fixed number of steps: one with a key, an empty one, one with a door. Entering the door with the
// key rewards 1, once; nothing else rewards.
//
// State (time, row, column, object's row, object's column, object shown, key held): steps, cells, and 0 or 1.
// Observation: which room (three numbers, one of them 1), row and column within +-1, the way to the object (rows and
// columns, within +-1, 0 where none is shown), object shown. The key that is held is not seen.
// Action: one number, whose whole part is the direction: 0 north, 1 south, 2 west, 3 east.

// 0: the rooms of 7 x 11 cells with walls. Otherwise each room is a square of so many cells a side.
override SIDE: u32 = 0u;
override KEY_STEPS: u32 = 15u;
override EMPTY_STEPS: u32 = 90u;
override DOOR_STEPS: u32 = 15u;

const KEY_ROOM = 0u;
const EMPTY_ROOM = 1u;
const DOOR_ROOM = 2u;

const NONE = vec2<f32>(-1.0, -1.0);
const DOOR = vec2<f32>(1.0, 5.0);

fn room_at(time: f32) -> u32 {
    let step = u32(time);
    return select(select(DOOR_ROOM, EMPTY_ROOM, step < KEY_STEPS + EMPTY_STEPS), KEY_ROOM, step < KEY_STEPS);
}

// One of `count` numbers from 0.
fn below(count: u32, random: ptr<function, Random>) -> u32 {
    return min(u32(random_uniform(random) * f32(count)), count - 1u);
}

fn within(cell: vec2<f32>, first: vec2<f32>, last: vec2<f32>) -> bool {
    return all(cell >= first) && all(cell <= last);
}

// True if one can stand in a cell of the room; behind the door, only with the key.
fn is_free(room: u32, cell: vec2<f32>, key: bool) -> bool {
    if SIDE > 0u {
        return within(cell, vec2<f32>(0.0), vec2<f32>(f32(SIDE) - 1.0));
    }
    if room == KEY_ROOM {
        let gap = within(cell, vec2<f32>(3.0, 4.0), vec2<f32>(3.0, 6.0));
        return gap || (cell.x != 3.0 && within(cell, vec2<f32>(1.0, 3.0), vec2<f32>(5.0, 7.0)));
    }
    if room == EMPTY_ROOM {
        return within(cell, vec2<f32>(1.0, 1.0), vec2<f32>(5.0, 9.0));
    }
    return within(cell, vec2<f32>(2.0, 4.0), vec2<f32>(4.0, 6.0)) || (key && all(cell == DOOR));
}

// The state in which a room is entered. In a square, agent and object stand in two different cells, at random.
fn enter(room: u32, time: f32, key: f32, random: ptr<function, Random>) -> array<f32, STATE> {
    var cell = vec2<f32>(3.0, 5.0);
    var object = DOOR;
    if SIDE > 0u {
        // Where SIDE is 0 this is not run, and yet must not divide by it.
        let side = max(SIDE, 2u);
        let start = below(side * side, random);
        let other = below(side * side - 1u, random);
        let place = select(other, other + 1u, other >= start);
        cell = vec2<f32>(f32(start / side), f32(start % side));
        object = vec2<f32>(f32(place / side), f32(place % side));
    } else if room == KEY_ROOM {
        let start = below(10u, random);
        let place = below(10u, random);
        cell = vec2<f32>(4.0 + f32(start / 5u), 3.0 + f32(start % 5u));
        object = vec2<f32>(1.0 + f32(place / 5u), 3.0 + f32(place % 5u));
    } else if room == EMPTY_ROOM {
        cell = vec2<f32>(5.0, 5.0);
    }
    let shown = room != EMPTY_ROOM;
    object = select(NONE, object, shown);
    return array<f32, STATE>(time, cell.x, cell.y, object.x, object.y, f32(shown), key);
}

fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return enter(KEY_ROOM, 0.0, 0.0, random);
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    let room = room_at(state[0]);
    let square = vec2<f32>(0.5 * (f32(SIDE) - 1.0));
    let middle = select(vec2<f32>(3.0, 5.0), square, SIDE > 0u);
    let half = select(vec2<f32>(2.0, 4.0), square, SIDE > 0u);
    let cell = vec2<f32>(state[1], state[2]);
    let place = (cell - middle) / half;
    let way = state[5] * (vec2<f32>(state[3], state[4]) - cell) / (2.0 * half);
    return array<f32, OBSERVATIONS>(
        f32(room == KEY_ROOM), f32(room == EMPTY_ROOM), f32(room == DOOR_ROOM), place.x, place.y, way.x, way.y, state[5],
    );
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let room = room_at((*state)[0]);
    let direction = u32(clamp(action[0], 0.0, 3.0));
    let length = select(-1.0, 1.0, (direction & 1u) == 1u);
    let ahead = select(vec2<f32>(0.0, length), vec2<f32>(length, 0.0), direction < 2u);
    var cell = vec2<f32>((*state)[1], (*state)[2]);
    if is_free(room, cell + ahead, (*state)[6] > 0.0) {
        cell += ahead;
    }
    (*state)[1] = cell.x;
    (*state)[2] = cell.y;

    let reached = (*state)[5] > 0.0 && all(cell == vec2<f32>((*state)[3], (*state)[4]));
    let opened = reached && room == DOOR_ROOM && (*state)[6] > 0.0;
    if reached && room == KEY_ROOM {
        (*state)[6] = 1.0;
    }
    if opened || (reached && room == KEY_ROOM) {
        (*state)[3] = NONE.x;
        (*state)[4] = NONE.y;
        (*state)[5] = 0.0;
    }

    let time = (*state)[0] + 1.0;
    (*state)[0] = time;
    let done = u32(time) >= KEY_STEPS + EMPTY_STEPS + DOOR_STEPS;
    let next = room_at(time);
    if next != room && !done {
        *state = enter(next, time, (*state)[6], random);
    }
    return Outcome(f32(opened), done);
}
