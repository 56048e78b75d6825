//! The machine: a frame of the game in whole numbers.

use super::{MACHINE, STATES};

/// The dial's resistance: its ends, and what a frame adds.
const DIAL: [i32; 2] = [27_450, 790_196];
const DIAL_STEP: i32 = 23_000;

/// The state of the game between two frames, in the machine's own coordinates; y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The ball's x and y; y = 0: not in play.
    pub ball: [i32; 2],
    /// Pixels that the ball moves in a frame.
    pub speed: [i32; 2],
    /// The bottom row of the opponent's paddle.
    pub opponent: i32,
    /// The resistance of our dial.
    pub dial: i32,
    /// Where our paddle is, as computed.
    pub aim: i32,
    /// Where our paddle is, as shown.
    pub player: i32,
    /// Frames, modulo 8.
    pub clock: i32,
    /// Frames until the next serve.
    pub wait: i32,
    /// 1 if fire was pressed in the frame before.
    pub fire: i32,
    /// Our points, and theirs.
    pub points: [i32; 2],
}

impl Default for Machine {
    /// As the emulator stands after its reset, 59 frames before the first serve.
    fn default() -> Self {
        Self {
            ball: [0, 0],
            speed: [-1, 1],
            opponent: 22,
            dial: (DIAL[0] + DIAL[1]) / 2,
            aim: 109,
            player: 109,
            clock: 7,
            wait: 59,
            fire: 0,
            points: [0, 0],
        }
    }
}

impl Machine {
    /// The machine of a state of the environment.
    ///
    /// # Panics
    /// If the state is shorter than an environment's.
    pub fn of(state: &[f64]) -> Self {
        let n: Vec<i32> = state[..MACHINE].iter().map(|&number| number as i32).collect();
        Self {
            ball: [n[0], n[1]],
            speed: [n[2], n[3]],
            opponent: n[4],
            dial: n[5],
            aim: n[6],
            player: n[7],
            clock: n[8],
            wait: n[9],
            fire: n[10],
            points: [n[11], n[12]],
        }
    }

    /// Writes the state of an environment, with what is seen of it: two looks.
    pub(super) fn write(&self, looks: [[i32; 4]; 2], state: &mut [f64]) {
        let Self { ball, speed, opponent, dial, aim, player, clock, wait, fire, points } = *self;
        let [ours, theirs] = points;
        let rest = [opponent, dial, aim, player, clock, wait, fire, ours, theirs];
        let numbers = ball.into_iter().chain(speed).chain(rest).chain(looks.into_iter().flatten());
        debug_assert_eq!(state.len(), STATES);
        state.iter_mut().zip(numbers).for_each(|(wide, number)| *wide = f64::from(number));
    }

    /// Returns the numbers that a picture shows: the ball's x and y, the opponent, our paddle.
    pub fn look(&self) -> [i32; 4] {
        [self.ball[0], self.ball[1], self.opponent, self.player]
    }

    /// True if a side has won.
    pub fn is_over(&self) -> bool {
        self.points.iter().any(|&points| points >= 21)
    }

    /// Advances one frame: 0 nothing, 1 fire, 2 up, 3 down, 4 up and fire, 5 down and fire. Returns the reward.
    pub fn frame(&mut self, action: i32) -> i32 {
        self.clock = (self.clock + 1) & 7;
        let turn = i32::from(action == 3 || action == 5) - i32::from(action == 2 || action == 4);
        self.dial = (self.dial + DIAL_STEP * turn).clamp(DIAL[0], DIAL[1]);
        let mut reward = 0;
        let [x, y] = self.ball;
        let [vx, vy] = &mut self.speed;
        let top = paddle_top(self.player);
        if self.wait > 0 {
            self.wait -= 1;
            self.ball[1] = 0;
            if self.wait == 0 {
                // A serve, to the side that lost the point.
                *vx = if *vx > 0 { 1 } else { -1 };
                *vy = if *vy < 0 { -1 } else { 1 };
                self.ball = [128 + *vx, 128 + *vy];
                self.opponent = 128;
            }
        } else if x >= 205 || x <= 52 {
            reward = if x >= 205 { -1 } else { 1 };
            self.points[usize::from(reward < 0)] += 1;
            self.wait = 63;
        } else {
            let mut bounced = 0;
            if y <= 45 || y >= 206 {
                // A wall; it comes before the paddles.
                *vy = -*vy;
                bounced = vy.signum();
            } else if (188..=192).contains(&x) && y - 12 >= top && y - 14 <= top + 15 {
                *vy = ((y - self.player + 3) >> 2) - 2;
                *vx = if self.fire == 1 { -(vx.abs() + 1).min(4) } else { -vx.abs() };
            } else if (64..=68).contains(&x) && y + 4 >= self.opponent && y - 14 <= self.opponent {
                *vy = ((y - self.opponent + 3) >> 2) - 2;
                *vx = vx.abs();
            }
            self.ball = [x + *vx, y + bounced + *vy];
        }
        if self.clock != 1 {
            self.opponent += 2 * (self.ball[1] - self.opponent).signum();
        }
        if self.clock % 2 == 0 {
            let goal = (2 * ((self.dial + 31_568) / 7_992)).clamp(38, 204);
            self.aim = (self.aim + goal) >> 1;
        } else {
            self.player = self.aim;
        }
        self.fire = i32::from(action == 1 || action >= 4);
        reward
    }
}

/// The top row of our paddle, which moves by two rows and is 16 high.
pub(super) fn paddle_top(player: i32) -> i32 {
    2 * ((player + 1) >> 1) - 14
}
