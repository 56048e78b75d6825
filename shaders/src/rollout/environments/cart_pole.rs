//! CartPole: a pole stands on a cart and is to be kept upright.

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// `CartPole-v1` of Gymnasium (Barto, Sutton & Anderson 1983).
///
/// State and observation `(x, v, angle, spin)`: metres, metres per second, radians from upright, radians per second; at
/// first each uniform in +-0.05. Action: one number, of which the sign counts: 10 newtons to the right where it is
/// positive, to the left otherwise. Every step rewards 1, the last one too; the episode ends when `|x| > 2.4` or
/// `|angle| > 12` degrees, and is cut off after 500 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CartPole;

const GRAVITY: f64 = 9.8;
const FORCE: f64 = 10.0;
const TIME_STEP: f64 = 0.02;
const TRACK: f64 = 2.4;
const FALL: f64 = 12.0 * std::f64::consts::PI / 180.0;
const MASS: f64 = 1.1;
const POLE_MASS: f64 = 0.1;
/// Half the length of the pole.
const LENGTH: f64 = 0.5;
const MOMENT: f64 = POLE_MASS * LENGTH;

impl Environment for CartPole {
    own_wgsl!("cart_pole.wgsl");

    fn states(&self) -> usize {
        4
    }

    fn observations(&self) -> usize {
        4
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        500
    }

    /// Accelerations are some twenty operations on numbers below about 50, and enter by a fiftieth.
    fn rounding(&self) -> f64 {
        16.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        for value in state {
            *value = 0.05 * (2.0 * random.uniform() - 1.0);
        }
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(state);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let [x, v, angle, spin] = state else { unreachable!("four numbers of state") };
        let (s, c) = angle.sin_cos();
        let force = if action[0] > 0.0 { FORCE } else { -FORCE };
        let push = (force + MOMENT * *spin * *spin * s) / MASS;
        let angular = (GRAVITY * s - c * push) / (LENGTH * (4.0 / 3.0 - POLE_MASS * c * c / MASS));
        let acceleration = push - MOMENT * angular * c / MASS;
        // Explicit Euler: every update from the old state.
        *x += TIME_STEP * *v;
        *angle += TIME_STEP * *spin;
        *v += TIME_STEP * acceleration;
        *spin += TIME_STEP * angular;
        Outcome { reward: 1.0, done: x.abs() > TRACK || angle.abs() > FALL }
    }
}
