// A scripted player of Pong in every lane: the values of the three useful actions (fire, up and fire, down and fire), and the
// most valuable of them. Where it looks ahead, it tries all 27 ways to move in three steps on the machine itself.
//
// Values are whole numbers: 6,000ths of a point, less one for each frame until it is won or lost.

struct Uniform {
    lanes: u32,
    // 1 where it looks ahead, 0 where it follows the ball alone.
    looks_ahead: u32,
}

@group(1) @binding(0) var<uniform> teacher: Uniform;

override WORKGROUP: u32 = 64u;

const POINT = 6000;
const PLANS = 27;
const STEPS_OF_A_PLAN = 3;
const FRAMES = 4;
const PATIENCE = 100;

// More frames than a ball needs for its way to our paddle, whatever a buffer holds.
const LONGEST_WAY = 256;

// Frames until the ball is at our paddle; -1 if it does not come.
fn frames_to_arrival(machine: Machine) -> i32 {
    if machine.ball.y == 0 || machine.speed.x <= 0 {
        return -1;
    }
    return max(0, 188 - machine.ball.x) / machine.speed.x;
}

// The ball's y as it reaches our paddle, by its own motion.
fn arrival(machine: Machine) -> i32 {
    var ball = machine.ball;
    var speed = machine.speed;
    for (var i = 0; i < LONGEST_WAY && ball.x < 188; i++) {
        if ball.y <= 45 || ball.y >= 206 {
            speed.y = -speed.y;
            ball.y += sign(speed.y);
        }
        ball += speed;
    }
    return ball.y;
}

// The places of actions in the list of useful ones.
const STAY = 0;
const UP = 1;
const DOWN = 2;

fn useful_action(place: i32) -> i32 {
    return select(3 + place, 1, place == STAY);
}

fn greedy(machine: Machine, comes: bool) -> i32 {
    var goal = 112;
    if comes {
        goal = arrival(machine) - 7;
    }
    let way = goal - 2 * ((machine.dial + 31568) / 7992);
    return select(select(STAY, UP, way < -11), DOWN, way > 11);
}

// The value of a plan, whose first move is the lowest digit to the base of 3.
fn outcome(start: Machine, plan: i32, frames: i32) -> i32 {
    var machine = start;
    let moves = vec3<i32>(plan % 3, (plan / 3) % 3, plan / 9);
    for (var i = 0; i < frames; i++) {
        let step = i / FRAMES;
        let place = select(select(select(STAY, moves.z, step == 2), moves.y, step == 1), moves.x, step == 0);
        let reward = machine_frame(&machine, useful_action(place));
        if reward != 0 {
            return reward * (POINT - i);
        }
    }
    return 0;
}

@compute @workgroup_size(WORKGROUP)
fn teach(at: Place) {
    let lane = index_of(at);
    if lane >= teacher.lanes {
        return;
    }
    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = saved[i * teacher.lanes + lane];
    }
    let machine = machine_of(state);
    let frames = frames_to_arrival(machine);
    var best = vec3<i32>(-POINT);
    if teacher.looks_ahead == 1u && frames >= 0 && frames <= STEPS_OF_A_PLAN * FRAMES {
        for (var plan = 0; plan < PLANS; plan++) {
            let value = outcome(machine, plan, frames + PATIENCE);
            let first = plan % 3;
            best = select(best, max(best, vec3<i32>(value)), vec3<i32>(first) == vec3<i32>(STAY, UP, DOWN));
        }
    } else {
        let chosen = greedy(machine, frames >= 0);
        best = select(vec3<i32>(0), vec3<i32>(POINT), vec3<i32>(chosen) == vec3<i32>(STAY, UP, DOWN));
    }
    let turns = max(best.y, best.z) > best.x;
    let place = select(STAY, select(UP, DOWN, best.z > best.y), turns);
    values[3u * lane] = f32(best.x);
    values[3u * lane + 1u] = f32(best.y);
    values[3u * lane + 2u] = f32(best.z);
    actions[lane] = f32(useful_action(place));
}
