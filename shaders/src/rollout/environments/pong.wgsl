// Pong as the Atari 2600 plays it (mode 0, difficulty 0): the machine in whole numbers, below 2^24 and so exact in f32.
//
// Coordinates are the machine's; y grows downwards. Sixty frames a second; a step is four frames with one action.
//
// State (21): the machine (ball's x and y, its speed in x and y, the opponent's bottom row, our dial's resistance, the place
// of our paddle as computed and as shown, frames modulo 8, frames until the next serve, fire in the frame before, our points,
// theirs), then the scene.
// Observation (8), the scene: x and y of the ball (y = 0: not in play), opponent, our paddle; in the last frame but one, and
// in the last.
// Action: one number, whose whole part is 0 nothing, 1 fire, 2 up, 3 down, 4 up and fire, 5 down and fire.

struct Machine {
    ball: vec2<i32>,
    speed: vec2<i32>,
    opponent: i32,
    dial: i32,
    aim: i32,
    player: i32,
    clock: i32,
    wait: i32,
    fire: i32,
    ours: i32,
    theirs: i32,
}

const MACHINE = 13u;
const POINTS_TO_WIN = 21;
const FRAMES_OF_A_STEP = 4u;

// The dial's resistance: its ends, and what a frame adds.
const DIAL_LEAST = 27450;
const DIAL_MOST = 790196;
const DIAL_STEP = 23000;

fn machine_of(state: array<f32, STATE>) -> Machine {
    return Machine(
        vec2<i32>(i32(state[0]), i32(state[1])), vec2<i32>(i32(state[2]), i32(state[3])),
        i32(state[4]), i32(state[5]), i32(state[6]), i32(state[7]), i32(state[8]), i32(state[9]), i32(state[10]),
        i32(state[11]), i32(state[12]),
    );
}

// The state of a machine, with a scene of two looks: (ball's x and y, opponent, player).
fn state_of(machine: Machine, before: vec4<f32>, last: vec4<f32>) -> array<f32, STATE> {
    let ball = vec2<f32>(machine.ball);
    let speed = vec2<f32>(machine.speed);
    return array<f32, STATE>(
        ball.x, ball.y, speed.x, speed.y, f32(machine.opponent), f32(machine.dial), f32(machine.aim), f32(machine.player),
        f32(machine.clock), f32(machine.wait), f32(machine.fire), f32(machine.ours), f32(machine.theirs),
        before.x, before.y, before.z, before.w, last.x, last.y, last.z, last.w,
    );
}

fn look_at(machine: Machine) -> vec4<f32> {
    return vec4<f32>(vec2<f32>(machine.ball), f32(machine.opponent), f32(machine.player));
}

// The top row of our paddle, which moves by two rows and is 16 high.
fn paddle_top(player: i32) -> i32 {
    return 2 * ((player + 1) >> 1u) - 14;
}

// Advances one frame; the reward.
fn machine_frame(machine: ptr<function, Machine>, action: i32) -> i32 {
    var now = *machine;
    now.clock = (now.clock + 1) & 7;
    let turn = i32(action == 3 || action == 5) - i32(action == 2 || action == 4);
    now.dial = clamp(now.dial + DIAL_STEP * turn, DIAL_LEAST, DIAL_MOST);
    let ball = now.ball;
    let top = paddle_top(now.player);
    var reward = 0;
    if now.wait > 0 {
        now.wait -= 1;
        now.ball.y = 0;
        if now.wait == 0 {
            // A serve, to the side that lost the point.
            now.speed = vec2<i32>(select(-1, 1, now.speed.x > 0), select(1, -1, now.speed.y < 0));
            now.ball = 128 + now.speed;
            now.opponent = 128;
        }
    } else if ball.x >= 205 || ball.x <= 52 {
        reward = select(1, -1, ball.x >= 205);
        now.ours += i32(reward > 0);
        now.theirs += i32(reward < 0);
        now.wait = 63;
    } else {
        if ball.y <= 45 || ball.y >= 206 {
            // A wall; it comes before the paddles.
            now.speed.y = -now.speed.y;
            now.ball.y += sign(now.speed.y);
        } else if ball.x >= 188 && ball.x <= 192 && ball.y - 12 >= top && ball.y - 14 <= top + 15 {
            let fast = select(abs(now.speed.x), min(4, abs(now.speed.x) + 1), now.fire != 0);
            now.speed = vec2<i32>(-fast, ((ball.y - now.player + 3) >> 2u) - 2);
        } else if ball.x >= 64 && ball.x <= 68 && ball.y + 4 >= now.opponent && ball.y - 14 <= now.opponent {
            now.speed = vec2<i32>(abs(now.speed.x), ((ball.y - now.opponent + 3) >> 2u) - 2);
        }
        now.ball += now.speed;
    }
    if now.clock != 1 {
        now.opponent += 2 * sign(now.ball.y - now.opponent);
    }
    if (now.clock & 1) == 0 {
        let goal = clamp(2 * ((now.dial + 31568) / 7992), 38, 204);
        now.aim = (now.aim + goal) >> 1u;
    } else {
        now.player = now.aim;
    }
    now.fire = i32(action == 1 || action >= 4);
    *machine = now;
    return reward;
}

// As the emulator stands after its reset, then 1 to 30 frames of nothing.
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    var machine = Machine(
        vec2<i32>(0, 0), vec2<i32>(-1, 1), 22, (DIAL_LEAST + DIAL_MOST) / 2, 109, 109, 7, 59, 0, 0, 0,
    );
    let frames = 1u + min(u32(random_uniform(random) * 30.0), 29u);
    for (var i = 0u; i < frames; i++) {
        machine_frame(&machine, 0);
    }
    let seen = look_at(machine);
    return state_of(machine, seen, seen);
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return array<f32, OBSERVATIONS>(
        state[13], state[14], state[15], state[16], state[17], state[18], state[19], state[20],
    );
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let pressed = i32(clamp(action[0], 0.0, 5.0));
    var machine = machine_of(*state);
    var before = vec4<f32>((*state)[13], (*state)[14], (*state)[15], (*state)[16]);
    var last = vec4<f32>((*state)[17], (*state)[18], (*state)[19], (*state)[20]);
    var reward = 0;
    var done = false;
    for (var i = 0u; i < FRAMES_OF_A_STEP; i++) {
        reward += machine_frame(&machine, pressed);
        if i >= FRAMES_OF_A_STEP - 2u {
            last = look_at(machine);
            before = select(before, last, i == FRAMES_OF_A_STEP - 2u);
        }
        done = machine.ours >= POINTS_TO_WIN || machine.theirs >= POINTS_TO_WIN;
        if done {
            break;
        }
    }
    *state = state_of(machine, before, last);
    return Outcome(f32(reward), done);
}

// The length that two intervals (first, last) share.
fn shared_length(a: vec2<f32>, b: vec2<f32>) -> f32 {
    return max(0.0, min(a.y, b.y) - max(a.x, b.x));
}

fn intersection(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(max(a.x, b.x), min(a.y, b.y));
}

// The length of `within` that either of two intervals covers.
fn covered_length(within: vec2<f32>, a: vec2<f32>, b: vec2<f32>) -> f32 {
    return shared_length(within, a) + shared_length(within, b) - shared_length(within, intersection(a, b));
}

// Greys: the field, walls and ball, the opponent, our paddle where both frames show it, and where one of them does (the
// larger of green and brown for each colour).
const FIELD = 87.0;
const WHITE = 236.0;
const ORANGE = 148.0;
const GREEN = 147.0;
const GREEN_ONCE = 163.0;

// The screen of 160 x 210 pixels, the brighter of two frames, as means over areas of 160 / 84 x 2.5 pixels. The rows of the
// score are black.
fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> f32 {
    if row < 10u {
        return 0.0;
    }
    let whole = vec2<f32>(2.5 * f32(row), 2.5 * f32(row) + 2.5);
    let columns = vec2<f32>(f32(column), f32(column + 1u)) * (40.0 / 21.0);
    let area = 100.0 / 21.0;
    let wall = (shared_length(whole, vec2<f32>(24.0, 34.0)) + shared_length(whole, vec2<f32>(194.0, 210.0))) / 2.5;
    var grey = FIELD + wall * (WHITE - FIELD);
    let rows = intersection(whole, vec2<f32>(34.0, 194.0));
    if rows.y <= rows.x {
        return grey;
    }
    let opponent = vec2<f32>(-15.0, 1.0);
    let orange = covered_length(rows, scene[2] + opponent, scene[6] + opponent);
    grey += (ORANGE - FIELD) * orange * shared_length(columns, vec2<f32>(16.0, 20.0)) / area;
    let paddle = vec2<f32>(0.0, 16.0);
    let first = f32(paddle_top(i32(round(scene[3])))) + paddle;
    let second = f32(paddle_top(i32(round(scene[7])))) + paddle;
    let both = shared_length(rows, intersection(first, second));
    let once = shared_length(rows, first) + shared_length(rows, second) - 2.0 * both;
    let ours = shared_length(columns, vec2<f32>(140.0, 144.0)) / area;
    grey += ours * ((GREEN - FIELD) * both + (GREEN_ONCE - FIELD) * once);
    // The ball, 2 x 4 pixels, lies over everything.
    let wide = vec2<f32>(-49.0, -47.0);
    let high = vec2<f32>(-14.0, -10.0);
    var ball = 0.0;
    if scene[1] > 0.0 {
        ball += shared_length(columns, scene[0] + wide) * shared_length(rows, scene[1] + high);
    }
    if scene[5] > 0.0 {
        ball += shared_length(columns, scene[4] + wide) * shared_length(rows, scene[5] + high);
    }
    if scene[1] > 0.0 && scene[5] > 0.0 {
        ball -= shared_length(columns, intersection(scene[0] + wide, scene[4] + wide))
            * shared_length(rows, intersection(scene[1] + high, scene[5] + high));
    }
    return min(grey + (WHITE - FIELD) * ball / area, 236.0);
}
