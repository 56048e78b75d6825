//! The 2-D toy regression of Vicol et al. (2021): a linear schedule of the learning rate of gradient descent.

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::rollout::unroll::EpisodeRandom;

/// Two outer parameters, the logarithms of the learning rates at the start and at the end; the loss is that of the
/// regression after each step. Its surface is smooth valleys between cliffs, and short truncations see none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToyRegression {
    /// Steps of the whole inner problem: 100 in the paper.
    pub horizon: usize,
}

impl Default for ToyRegression {
    fn default() -> Self {
        Self { horizon: 100 }
    }
}

/// The loss, its gradient and its Hessian `(h00, h01, h11)`.
fn loss([x0, x1]: [f64; 2]) -> (f64, [f64; 2], [f64; 3]) {
    let (sine, cosine) = x1.sin_cos();
    let bell = (-5.0 * x0 * x0).exp();
    let root = (x0 * x0 + 5.0).sqrt();
    let value = root - 5.0_f64.sqrt() + sine * sine * bell + 0.25 * (x1 - 100.0).abs();
    let away = if x1 == 100.0 { 0.0 } else { (x1 - 100.0).signum() };
    let gradient = [x0 / root - 10.0 * x0 * sine * sine * bell, 2.0 * sine * cosine * bell + 0.25 * away];
    let hessian = [
        5.0 / root.powi(3) + (100.0 * x0 * x0 - 10.0) * sine * sine * bell,
        -20.0 * x0 * sine * cosine * bell,
        2.0 * (cosine * cosine - sine * sine) * bell,
    ];
    (value, gradient, hessian)
}

impl ToyRegression {
    /// The start of the paper: both learning rates are exp(-4), and the objective is 2487.8.
    pub const START: [f32; 2] = [-4.0, -4.0];

    /// The share of the horizon that is over, and the learning rate there.
    fn rate(&self, parameters: &[f64], time: u32) -> (f64, f64) {
        let done = f64::from(time) / self.horizon as f64;
        (done, parameters[0].exp() * (1.0 - done) + parameters[1].exp() * done)
    }
}

impl InnerProblem for ToyRegression {
    own_problem!("toy_regression.wgsl", "toy_regression_tangent.wgsl");

    fn states(&self) -> usize {
        2
    }

    fn parameters(&self) -> usize {
        2
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.horizon)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("HORIZON", self.horizon)]
    }

    /// The rate of a step may be a few hundred, and multiplies the roundings of the gradient.
    fn rounding(&self) -> f64 {
        4_096.0
    }

    /// The Hessian is below 10, and the rates of cases are below 3.
    fn growth(&self) -> f64 {
        32.0
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(1.0);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], time: u32, _: &mut EpisodeRandom) -> Loss {
        let (_, rate) = self.rate(parameters, time);
        let (_, gradient, _) = loss([state[0], state[1]]);
        state[0] -= rate * gradient[0];
        state[1] -= rate * gradient[1];
        Loss { value: loss([state[0], state[1]]).0, done: false }
    }

    fn tangent(
        &self,
        state: &[f64],
        tangent: &mut [f64],
        parameters: &[f64],
        parameter_tangent: &[f64],
        time: u32,
        _: &mut EpisodeRandom,
    ) -> f64 {
        let (done, rate) = self.rate(parameters, time);
        let faster = parameters[0].exp() * (1.0 - done) * parameter_tangent[0]
            + parameters[1].exp() * done * parameter_tangent[1];
        let (_, [g0, g1], [h00, h01, h11]) = loss([state[0], state[1]]);
        let [t0, t1] = [tangent[0], tangent[1]];
        tangent[0] = t0 - faster * g0 - rate * (h00 * t0 + h01 * t1);
        tangent[1] = t1 - faster * g1 - rate * (h01 * t0 + h11 * t1);
        let (_, after, _) = loss([state[0] - rate * g0, state[1] - rate * g1]);
        after[0] * tangent[0] + after[1] * tangent[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(parameters: [f64; 2]) -> f64 {
        let problem = ToyRegression::default();
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut state = [0.0; 2];
        problem.reset(&mut random, &mut state);
        (0..100).map(|time| problem.step(&mut state, &parameters, time, &mut random).value).sum()
    }

    /// Values of an implementation in JAX, with gradients by automatic differentiation.
    #[test]
    fn the_objective_is_that_of_the_paper() {
        assert!((objective(ToyRegression::START.map(f64::from)) - 2_487.8).abs() < 0.1);
        assert!((objective([0.0, 0.0]) - 2_423.47).abs() < 0.02);
        let logarithm = 0.01_f64.ln();
        assert!((objective([logarithm, logarithm]) - 2_490.6).abs() < 0.1);
    }

    #[test]
    fn tangents_along_an_inner_problem_add_up_to_the_gradient() {
        let problem = ToyRegression::default();
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let gradient = [[1.0, 0.0], [0.0, 1.0]].map(|along| {
            let (mut state, mut tangent, mut sum) = ([1.0; 2], [0.0; 2], 0.0);
            for time in 0..100 {
                sum += problem.tangent(&state, &mut tangent, &[-4.0, -4.0], &along, time, &mut random);
                problem.step(&mut state, &[-4.0, -4.0], time, &mut random);
            }
            sum
        });
        assert!((gradient[0] + 3.9108).abs() < 1e-3 && (gradient[1] + 1.7115).abs() < 1e-3, "{gradient:?}");
    }
}
