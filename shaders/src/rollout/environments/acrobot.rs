//! Acrobot: two links, a motor between them, and a tip to be swung up.

use std::f64::consts::{PI, TAU};

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// `Acrobot-v1` of Gymnasium (Sutton 1996, with the equations of the book of Sutton & Barto).
///
/// State `(angle 1, angle 2, spin 1, spin 2)`: radians, the first from hanging down, the second from the first link's
/// direction, both within +-pi; radians per second; at first each uniform in +-0.1. Observation `(cos angle 1,
/// sin angle 1, cos angle 2, sin angle 2, spin 1, spin 2)`. Action: three numbers, the place of the largest (the first of
/// equal ones) says the torque: -1, 0 or 1 newton metre. Every step rewards -1 but the one that ends the episode, with the
/// tip a link's length above the bar; it is cut off after 500 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acrobot;

// Both links: 1 metre, 1 kilogram, centre of mass in the middle, moment of inertia 1.
const GRAVITY: f64 = 9.8;
const TIME_STEP: f64 = 0.2;
const FASTEST: [f64; 2] = [4.0 * PI, 9.0 * PI];

/// The derivative of the state by time.
fn change([angle1, angle2, spin1, spin2]: [f64; 4], torque: f64) -> [f64; 4] {
    let (s, c) = angle2.sin_cos();
    let d1 = 3.5 + c;
    let d2 = 1.25 + 0.5 * c;
    let pull2 = 0.5 * GRAVITY * (angle1 + angle2).sin();
    let pull1 = -0.5 * spin2 * spin2 * s - spin2 * spin1 * s + 1.5 * GRAVITY * angle1.sin() + pull2;
    let angular2 = (torque + d2 / d1 * pull1 - 0.5 * spin1 * spin1 * s - pull2) / (1.25 - d2 * d2 / d1);
    let angular1 = -(d2 * angular2 + pull1) / d1;
    [spin1, spin2, angular1, angular2]
}

impl Environment for Acrobot {
    own_wgsl!("acrobot.wgsl");

    fn states(&self) -> usize {
        4
    }

    fn observations(&self) -> usize {
        6
    }

    fn actions(&self) -> usize {
        3
    }

    fn horizon(&self) -> usize {
        500
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        for value in state {
            *value = 0.1 * (2.0 * random.uniform() - 1.0);
        }
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let [angle1, angle2, spin1, spin2] = state else { unreachable!("four numbers of state") };
        observation.copy_from_slice(&[angle1.cos(), angle1.sin(), angle2.cos(), angle2.sin(), *spin1, *spin2]);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let mut largest = 0;
        for choice in 1..3 {
            if action[choice] > action[largest] {
                largest = choice;
            }
        }
        let torque = largest as f64 - 1.0;

        // One step of the classical Runge-Kutta method of fourth order.
        let old: [f64; 4] = std::array::from_fn(|i| state[i]);
        let along = |step: f64, k: [f64; 4]| change(std::array::from_fn(|i| old[i] + step * k[i]), torque);
        let k1 = change(old, torque);
        let k2 = along(TIME_STEP / 2.0, k1);
        let k3 = along(TIME_STEP / 2.0, k2);
        let k4 = along(TIME_STEP, k3);
        for i in 0..4 {
            state[i] = old[i] + TIME_STEP / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
        }

        for angle in &mut state[..2] {
            if angle.abs() > PI {
                *angle -= TAU * ((*angle + PI) / TAU).floor();
            }
        }
        for (spin, fastest) in state[2..].iter_mut().zip(FASTEST) {
            *spin = spin.clamp(-fastest, fastest);
        }
        let done = -state[0].cos() - (state[0] + state[1]).cos() > 1.0;
        Outcome { reward: if done { 0.0 } else { -1.0 }, done }
    }
}
