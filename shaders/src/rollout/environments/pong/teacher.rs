//! Scripted players of Pong, which read the machine.

use super::Machine;

/// The actions that a good player takes: fire, up and fire, down and fire. The other three are never better.
pub const USEFUL_ACTIONS: [i32; 3] = [1, 4, 5];

/// The value of a point that is won at once.
pub const POINT: i32 = 6_000;

/// Steps of a plan.
const PLAN: i32 = 3;

/// Frames of a step.
const STEP: i32 = 4;

/// Frames after the ball's arrival in which a plan must bring a point: the way to the opponent at the speed of 1, and some.
const PATIENCE: i32 = 100;

/// A scripted player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Teacher {
    /// Turns the paddle's middle to where the ball will arrive, and always fires. Wins 21 to 16.
    Greedy,
    /// Plays greedily until the ball is three steps away. Then it tries all 27 ways to move in three steps on the machine
    /// itself, each followed by standing still, and takes the first move of one that wins the point soonest. Wins 21 to 0.
    LookAhead,
}

impl Teacher {
    /// The values of the three [useful actions](USEFUL_ACTIONS), in units of a 6,000th of a point: a point that is won (or
    /// lost) after so many frames counts so much less. Where the player does not look ahead, its choice is worth a point.
    pub fn values(self, machine: &Machine) -> [i32; 3] {
        match machine.frames_to_arrival() {
            Some(frames) if self == Teacher::LookAhead && frames <= PLAN * STEP => look_ahead(machine, frames),
            _ => USEFUL_ACTIONS.map(|action| if action == greedy(machine) { POINT } else { 0 }),
        }
    }

    /// The most valuable action, the first among equals.
    pub fn action(self, machine: &Machine) -> i32 {
        best(self.values(machine))
    }
}

/// The action of the largest value, the first among equals.
fn best(values: [i32; 3]) -> i32 {
    let mut best = 0;
    for index in 1..3 {
        if values[index] > values[best] {
            best = index;
        }
    }
    USEFUL_ACTIONS[best]
}

impl Machine {
    /// Frames until the ball is at our paddle; `None` if it does not come.
    fn frames_to_arrival(&self) -> Option<i32> {
        let comes = self.ball[1] != 0 && self.speed[0] > 0;
        comes.then(|| ((188 - self.ball[0]).div_euclid(self.speed[0])).max(0))
    }

    /// The ball's y as it reaches our paddle, by its own motion.
    fn arrival(&self) -> i32 {
        let ([mut x, mut y], [vx, mut vy]) = (self.ball, self.speed);
        while x < 188 {
            if y <= 45 || y >= 206 {
                vy = -vy;
                y += vy.signum();
            }
            x += vx;
            y += vy;
        }
        y
    }
}

fn greedy(machine: &Machine) -> i32 {
    let goal = if machine.frames_to_arrival().is_some() { machine.arrival() - 7 } else { 112 };
    let here = 2 * ((machine.dial + 31_568) / 7_992);
    match goal - here {
        12.. => 5,
        ..=-12 => 4,
        _ => 1,
    }
}

fn look_ahead(machine: &Machine, frames: i32) -> [i32; 3] {
    let mut values = [-POINT; 3];
    for plan in 0..27 {
        let value = &mut values[plan % 3];
        *value = (*value).max(outcome(*machine, plan, frames + PATIENCE));
    }
    values
}

/// The value of a plan: its first move is the lowest digit to the base of 3.
fn outcome(mut machine: Machine, plan: usize, frames: i32) -> i32 {
    let moves = [plan % 3, plan / 3 % 3, plan / 9].map(|digit| USEFUL_ACTIONS[digit]);
    for frame in 0..frames {
        let reward = machine.frame(moves.get((frame / STEP) as usize).copied().unwrap_or(USEFUL_ACTIONS[0]));
        if reward != 0 {
            return reward * (POINT - frame);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points and steps of a game after so many frames of nothing.
    fn game(teacher: Teacher, frames: usize) -> ([i32; 2], usize) {
        let mut machine = Machine::default();
        for _ in 0..frames {
            machine.frame(0);
        }
        let mut steps = 0;
        while !machine.is_over() && steps < 10_000 {
            let action = teacher.action(&machine);
            steps += 1;
            (0..STEP).find(|_| machine.frame(action) != 0 && machine.is_over());
        }
        (machine.points, steps)
    }

    #[test]
    fn looking_ahead_wins_all_points_whenever_the_game_begins() {
        for frames in 1..=8 {
            let (points, steps) = game(Teacher::LookAhead, frames);
            assert_eq!(points, [21, 0], "after {frames} frames");
            assert!(steps < 1_700, "{steps} steps after {frames} frames");
        }
    }

    /// The scores of the same player in the reference, which plays the original machine.
    #[test]
    fn following_the_ball_wins_narrowly() {
        for frames in [1, 2, 3, 4] {
            let (points, _) = game(Teacher::Greedy, frames);
            assert_eq!(points, [21, 16], "after {frames} frames");
        }
    }
}
