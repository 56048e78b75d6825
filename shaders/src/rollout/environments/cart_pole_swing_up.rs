//! CartPoleSwingUpHarder: a pole hangs from a cart and is to be swung up and balanced.

use std::f64::consts::{FRAC_PI_2, PI};

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// The cart-pole swing-up of "The Sensory Neuron as a Transformer" (Tang & Ha 2021), which is also EvoJAX's.
///
/// State `(x, v, angle, spin)`: metres, metres per second, radians from upright, radians per second. Observation
/// `(x, v, cos angle, sin angle, spin)`. Action: one number in [-1, 1], 10 newtons each. The reward of a step is
/// `(cos angle + 1) / 2 * cos(x / 2.4 * pi / 2)` of the new state; the episode ends when `|x| > 2.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CartPoleSwingUp {
    /// Starts near the resting state (normal, deviation 0.2) instead of uniform in +-2.4, +-10, pi +- pi / 2, +-10.
    pub easy: bool,
}

const GRAVITY: f64 = 9.82;
const FRICTION: f64 = 0.1;
const FORCE: f64 = 10.0;
const TIME_STEP: f64 = 0.01;
const TRACK: f64 = 2.4;
const MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.5;
const LENGTH: f64 = 0.6;
const MOMENT: f64 = POLE_MASS * LENGTH;

impl Environment for CartPoleSwingUp {
    own_wgsl!("cart_pole_swing_up.wgsl");

    fn states(&self) -> usize {
        4
    }

    fn observations(&self) -> usize {
        5
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        1_000
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EASY", f64::from(u8::from(self.easy)))]
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        if self.easy {
            for (value, mean) in state.iter_mut().zip([0.0, 0.0, PI, 0.0]) {
                *value = mean + 0.2 * random.normal();
            }
        } else {
            let ranges = [(0.0, TRACK), (0.0, 10.0), (PI, FRAC_PI_2), (0.0, 10.0)];
            for (value, (middle, reach)) in state.iter_mut().zip(ranges) {
                *value = middle + reach * (2.0 * random.uniform() - 1.0);
            }
        }
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let [x, v, angle, spin] = state else { unreachable!("four numbers of state") };
        observation.copy_from_slice(&[*x, *v, angle.cos(), angle.sin(), *spin]);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let [x, v, angle, spin] = state else { unreachable!("four numbers of state") };
        let (s, c) = angle.sin_cos();
        let force = FORCE * action[0].clamp(-1.0, 1.0);
        let acceleration = (-2.0 * MOMENT * *spin * *spin * s + 3.0 * POLE_MASS * GRAVITY * s * c + 4.0 * force
            - 4.0 * FRICTION * *v)
            / (4.0 * MASS - 3.0 * POLE_MASS * c * c);
        let angular =
            (-3.0 * MOMENT * *spin * *spin * s * c + 6.0 * MASS * GRAVITY * s + 6.0 * (force - FRICTION * *v) * c)
                / (4.0 * LENGTH * MASS - 3.0 * MOMENT * c * c);
        // Explicit Euler: every update from the old state.
        *x += TIME_STEP * *v;
        *angle += TIME_STEP * *spin;
        *v += TIME_STEP * acceleration;
        *spin += TIME_STEP * angular;
        let reward = (angle.cos() + 1.0) / 2.0 * (*x / TRACK * FRAC_PI_2).cos();
        Outcome { reward, done: x.abs() > TRACK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trajectory in f64 by the authors' constants (action sin(0.1 t)), which EvoJAX's own task follows to 1.2e-6.
    #[test]
    fn a_trajectory_is_that_of_the_reference() {
        let world = CartPoleSwingUp::default();
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut state = [0.1, -0.2, 3.0, 0.5];
        let mut sum = 0.0;
        let golden = [
            (1, [0.098, -0.20790183424391484, 3.005, 0.5542018535058377], 0.004647564),
            (10, [0.0950359541007942, 0.39265472380522304, 3.026771766063036, -0.6756261122451059], 0.035138372),
            (100, [0.8511338648319209, 2.074792634227737, 3.863762528840989, -3.714434121332018], 10.237233820),
        ];
        let mut golden = golden.iter().peekable();
        for step in 0..100 {
            sum += world.step(&mut state, &[(0.1 * f64::from(step)).sin()], &mut random).reward;
            if let Some((_, expected, total)) = golden.next_if(|golden| golden.0 == step + 1) {
                assert!(state.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{state:?}");
                assert!((sum - total).abs() < 1e-8, "{sum}");
            }
        }
        assert!(golden.next().is_none());
    }
}
