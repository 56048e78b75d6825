//! Pendulum: swung up by a motor that is too weak to lift it, and held.

use std::f64::consts::{PI, TAU};

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// `Pendulum-v1` of Gymnasium, with the torque scaled to [-1, 1].
///
/// State `(angle, spin)`: radians from upright, not wrapped, and radians per second; at first uniform in +-pi and +-1.
/// Observation `(cos angle, sin angle, spin)`. Action: one number in [-1, 1], 2 newton metres each (Gymnasium's action is
/// the torque itself). The reward of a step is `-(angle^2 + 0.1 spin^2 + 0.001 torque^2)` of the old state, the angle
/// taken within +-pi; the episode is cut off after 200 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pendulum;

const GRAVITY: f64 = 10.0;
const TORQUE: f64 = 2.0;
const TIME_STEP: f64 = 0.05;
const FASTEST: f64 = 8.0;

impl Environment for Pendulum {
    own_wgsl!("pendulum.wgsl");

    fn states(&self) -> usize {
        2
    }

    fn observations(&self) -> usize {
        3
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        200
    }

    /// The reward is the square of an angle, which is rounded itself, up to 10; the acceleration enters by a twentieth.
    fn rounding(&self) -> f64 {
        32.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state[0] = PI * (2.0 * random.uniform() - 1.0);
        state[1] = 2.0 * random.uniform() - 1.0;
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(&[state[0].cos(), state[0].sin(), state[1]]);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let [angle, spin] = state else { unreachable!("two numbers of state") };
        let torque = TORQUE * action[0].clamp(-1.0, 1.0);
        let off = (*angle + PI).rem_euclid(TAU) - PI;
        // Of the old state.
        let cost = off * off + 0.1 * *spin * *spin + 0.001 * torque * torque;
        let angular = 1.5 * GRAVITY * angle.sin() + 3.0 * torque;
        // The angle moves by the new speed, as limited.
        *spin = (*spin + TIME_STEP * angular).clamp(-FASTEST, FASTEST);
        *angle += TIME_STEP * *spin;
        Outcome { reward: -cost, done: false }
    }
}
