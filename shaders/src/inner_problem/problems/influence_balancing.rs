//! Influence balancing (Tallec and Ollivier, 2017; Vicol et al., 2021): the short-term gradient has the wrong sign.

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::rollout::unroll::EpisodeRandom;

/// A linear system of 23 numbers in a row, each fed by itself and its right neighbour, and all by one outer parameter:
/// the first ten by `theta`, the others by `-theta`. The loss of a step is `(s[0] - 1)^2 / 2` after it.
///
/// The state settles at `s[0] = -6 theta`, so the loss is least at [`BEST`](Self::BEST). But for 40 steps after a change
/// of theta `s[0]` has moved the same way, not the opposite: a truncation no longer than that sees a gradient of the
/// wrong sign. The problem never ends; the paper's outer loss is that of the last step of each truncation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InfluenceBalancing;

const STATES: usize = 23;
/// Numbers fed by +theta.
const POSITIVE: usize = 10;

impl InfluenceBalancing {
    /// The start of the paper: the loss of the settled state is 8 there, its gradient 24.
    pub const START: [f32; 1] = [0.5];

    /// The outer parameter whose settled state has no loss.
    pub const BEST: [f64; 1] = [-1.0 / 6.0];
}

/// The linear step: of the state under the parameter, and of tangents under the parameter's.
fn advance(state: &mut [f64], theta: f64) {
    for i in 0..STATES {
        let right = if i + 1 < STATES { state[i + 1] } else { 0.0 };
        state[i] = 0.5 * state[i] + 0.5 * right + if i < POSITIVE { theta } else { -theta };
    }
}

impl InnerProblem for InfluenceBalancing {
    own_problem!("influence_balancing.wgsl", "influence_balancing_tangent.wgsl");

    fn states(&self) -> usize {
        STATES
    }

    fn parameters(&self) -> usize {
        1
    }

    fn horizon(&self) -> Option<usize> {
        None
    }

    /// One pass over the state at a step or a reset.
    fn iterations(&self) -> usize {
        2 * STATES
    }

    /// Three operations for each number; the loss is a square, of which the difference errs by what the state does.
    fn rounding(&self) -> f64 {
        32.0
    }

    /// The map has row sums of 1; the loss magnifies an error of the state by `s[0] - 1`, below 64 in any run of use.
    fn growth(&self) -> f64 {
        64.0
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(1.0);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
        advance(state, parameters[0]);
        Loss { value: 0.5 * (state[0] - 1.0).powi(2), done: false }
    }

    fn tangent(
        &self,
        state: &[f64],
        tangent: &mut [f64],
        parameters: &[f64],
        parameter_tangent: &[f64],
        _: u32,
        _: &mut EpisodeRandom,
    ) -> f64 {
        advance(tangent, parameter_tangent[0]);
        let next = 0.5 * (state[0] + state[1]) + parameters[0];
        (next - 1.0) * tangent[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::tests::after;

    #[test]
    fn the_state_settles_at_minus_six_times_theta() {
        for theta in [0.5, -0.2, InfluenceBalancing::BEST[0]] {
            let (state, loss) = after(&InfluenceBalancing, &[theta], 2_000);
            assert!((state[0] + 6.0 * theta).abs() < 1e-12, "{}", state[0]);
            assert!((loss - 0.5 * (6.0 * theta + 1.0).powi(2)).abs() < 1e-11, "{loss}");
        }
    }

    #[test]
    fn the_gradient_of_the_next_step_has_the_wrong_sign() {
        let problem = InfluenceBalancing;
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let (state, _) = after(&problem, &[0.5], 2_000);
        let mut tangent = [0.0; STATES];
        let first = problem.tangent(&state, &mut tangent, &[0.5], &[1.0], 0, &mut random);
        let mut last = first;
        for time in 1..2_000 {
            last = problem.tangent(&state, &mut tangent, &[0.5], &[1.0], time, &mut random);
        }
        assert!((first + 4.0).abs() < 1e-9, "{first}");
        assert!((last - 24.0).abs() < 1e-9, "{last}");
    }
}
