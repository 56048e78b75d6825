//! Parameters of the Lorenz system (Li et al., 2023): an inner problem that is chaotic.

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::rollout::unroll::EpisodeRandom;

/// Two outer parameters, `log a` and `log r`, are to be found from the `z` of a trajectory of the Lorenz system with
/// `a = 10`, `r = 28`, `b = 8/3`; the loss of a step is the square of the difference of both `z` after it.
///
/// Both trajectories start at (1.2, 1.3, 1.6) and advance by Euler's method, 0.005 a step, as in the paper's code. Errors
/// grow e-fold in about 1.1 units of time, which is what makes the gradient of a whole trajectory of 10 units useless and
/// that of the smoothed loss useful. In f32 `exp(log 10)` is not 10 to the last bit, so that the loss at
/// [`BEST`](Self::BEST) is small and not nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lorenz {
    /// Steps of the whole inner problem: 2,000 in the paper.
    pub horizon: usize,
}

impl Default for Lorenz {
    fn default() -> Self {
        Self { horizon: 2_000 }
    }
}

const TIME_STEP: f64 = 0.005;
const TRUE_A: f64 = 10.0;
const TRUE_R: f64 = 28.0;
const B: f64 = 8.0 / 3.0;

impl Lorenz {
    /// The start of the paper.
    pub const START: [f32; 2] = [3.116, 3.7];

    /// The logarithms of 10 and 28: the true parameters.
    pub const BEST: [f64; 2] = [std::f64::consts::LN_10, 3.332_204_510_175_204];
}

fn advance([x, y, z]: [f64; 3], a: f64, r: f64) -> [f64; 3] {
    [x + TIME_STEP * a * (y - x), y + TIME_STEP * ((r - z) * x - y), z + TIME_STEP * (x * y - B * z)]
}

/// The tangent of `advance` along (x, y, z), a and r.
fn advance_tangent([x, y, z]: [f64; 3], [a, r]: [f64; 2], [dx, dy, dz]: [f64; 3], [da, dr]: [f64; 2]) -> [f64; 3] {
    [
        dx + TIME_STEP * (da * (y - x) + a * (dy - dx)),
        dy + TIME_STEP * ((dr - dz) * x + (r - z) * dx - dy),
        dz + TIME_STEP * (dx * y + x * dy - B * dz),
    ]
}

/// The trajectory of the parameters and the true one.
fn trajectories(state: &[f64]) -> [[f64; 3]; 2] {
    [[state[0], state[1], state[2]], [state[3], state[4], state[5]]]
}

impl InnerProblem for Lorenz {
    own_problem!("lorenz.wgsl", "lorenz_tangent.wgsl");

    fn states(&self) -> usize {
        6
    }

    fn parameters(&self) -> usize {
        2
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.horizon)
    }

    /// There are no loops.
    fn iterations(&self) -> usize {
        1
    }

    /// The exponentials may err by 11 units of their own, and what they are multiplied by is below 3 in a step. The loss
    /// magnifies the errors of both z, each some 3 units of 40, by twice their difference, relative to its square.
    fn rounding(&self) -> f64 {
        512.0
    }

    /// An error of the state grows by less than a half in a step; what the loss makes of it is in its own rounding.
    fn growth(&self) -> f64 {
        2.0
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.copy_from_slice(&[1.2, 1.3, 1.6, 1.2, 1.3, 1.6]);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
        let [at, truth] = trajectories(state);
        let next = advance(at, parameters[0].exp(), parameters[1].exp());
        let true_next = advance(truth, TRUE_A, TRUE_R);
        state[..3].copy_from_slice(&next);
        state[3..].copy_from_slice(&true_next);
        Loss { value: (next[2] - true_next[2]).powi(2), done: false }
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
        let [at, truth] = trajectories(state);
        let [along, along_truth] = trajectories(tangent);
        let (a, r) = (parameters[0].exp(), parameters[1].exp());
        let faster = [a * parameter_tangent[0], r * parameter_tangent[1]];
        let next = advance_tangent(at, [a, r], along, faster);
        let true_next = advance_tangent(truth, [TRUE_A, TRUE_R], along_truth, [0.0; 2]);
        tangent[..3].copy_from_slice(&next);
        tangent[3..].copy_from_slice(&true_next);
        2.0 * (advance(at, a, r)[2] - advance(truth, TRUE_A, TRUE_R)[2]) * (next[2] - true_next[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::tests::after;

    #[test]
    fn the_true_parameters_have_no_loss() {
        let problem = Lorenz::default();
        let (state, loss) = after(&problem, &[TRUE_A.ln(), TRUE_R.ln()], 2_000);
        // exp(ln 10) may be one bit off, which 10 units of time magnify some 10,000 times.
        assert!(loss < 1e-18, "{loss}");
        assert!(state.iter().all(|number| number.abs() < 60.0), "{state:?}");
        assert!(after(&problem, &Lorenz::START.map(f64::from), 2_000).1.is_finite());
        assert!((Lorenz::BEST[1].exp() - TRUE_R).abs() < 1e-13);
    }

    #[test]
    fn without_drive_the_system_rests_at_the_origin() {
        // r = 1/2: the origin attracts everything.
        let (state, _) = after(&Lorenz::default(), &[TRUE_A.ln(), 0.5_f64.ln()], 20_000);
        assert!(state[..3].iter().all(|number| number.abs() < 1e-9), "{state:?}");
    }

    #[test]
    fn a_steady_drive_settles_where_the_equations_say() {
        // r = 10: x^2 = y^2 = b (r - 1), z = r - 1.
        let (state, _) = after(&Lorenz::default(), &[TRUE_A.ln(), 10.0_f64.ln()], 20_000);
        assert!((state[0].powi(2) - B * 9.0).abs() < 1e-9 && (state[2] - 9.0).abs() < 1e-9, "{state:?}");
    }
}
