//! Mountain car with a continuous action: a weak motor must swing up a hill.

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// `MountainCarContinuous-v0` of Gymnasium (Moore 1990).
///
/// State and observation `(position, velocity)`, the valley's floor at -pi / 6; at first uniform in [-0.6, -0.4), and 0.
/// Action: one number, the force, which acts within [-1, 1]. A step costs 0.1 times the square of the action, *before* it is
/// limited; the one that ends the episode, at position 0.45 or beyond, rewards 100. It is cut off after 999 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountainCarContinuous;

const POWER: f64 = 0.0015;
const SLOPE: f64 = 0.0025;
const FASTEST: f64 = 0.07;
const LEFT: f64 = -1.2;
const RIGHT: f64 = 0.6;
const GOAL: f64 = 0.45;

impl Environment for MountainCarContinuous {
    own_wgsl!("mountain_car_continuous.wgsl");

    fn states(&self) -> usize {
        2
    }

    fn observations(&self) -> usize {
        2
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        999
    }

    /// Few operations on numbers below about 4, and the cosine enters by a four-hundredth.
    fn rounding(&self) -> f64 {
        8.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state[0] = -0.6 + 0.2 * random.uniform();
        state[1] = 0.0;
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(state);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let [position, velocity] = state else { unreachable!("two numbers of state") };
        let push = POWER * action[0].clamp(-1.0, 1.0) - SLOPE * (3.0 * *position).cos();
        *velocity = (*velocity + push).clamp(-FASTEST, FASTEST);
        *position = (*position + *velocity).clamp(LEFT, RIGHT);
        // The wall on the left stops it.
        if *position <= LEFT {
            *velocity = velocity.max(0.0);
        }
        let done = *position >= GOAL && *velocity >= 0.0;
        // The motor pays for what it was asked, even past its limits.
        Outcome { reward: if done { 100.0 } else { 0.0 } - 0.1 * action[0] * action[0], done }
    }
}
