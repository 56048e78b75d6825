//! Losses that are linear in what the outer parameters were at each step: the variance study of Vicol et al. (2021).

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::random::threefry::Random;
use crate::rollout::unroll::EpisodeRandom;

/// `loss[t] = sum over tau <= t of <g[t, tau], theta[tau]>`, where `theta[tau]` are the parameters at step `tau`, as a
/// particle has them: the gradients `g` say which step feels what, and any inner problem is of this form to first order.
/// Past its unrolls it goes on
/// with the gradients of the first. With truncations of one step an estimator's mean is [`total_gradient`](Self::total_gradient) and its variance is known
/// in closed form.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLoss {
    unrolls: usize,
    parameters: usize,
    /// (unrolls, unrolls, parameters).
    gradients: Vec<f32>,
}

impl LinearLoss {
    /// The gradients `g[t, tau]` (unrolls, unrolls, parameters) of each loss by the parameters at each step. Those with
    /// `tau > t` must be 0: a loss feels no parameters that come after it.
    ///
    /// # Panics
    /// If they are of another number, or one with `tau > t` is not 0.
    pub fn new(unrolls: usize, parameters: usize, gradients: Vec<f32>) -> Self {
        assert!(unrolls > 0 && parameters > 0, "at least one unroll and one parameter");
        assert_eq!(gradients.len(), unrolls * unrolls * parameters, "gradients (unrolls, unrolls, parameters)");
        let problem = Self { unrolls, parameters, gradients };
        let causal = |t| (t + 1..unrolls).all(|tau| problem.gradient(t, tau).iter().all(|&number| number == 0.0));
        assert!((0..unrolls).all(causal), "a loss feels no parameters that come after it");
        problem
    }

    fn filled(unrolls: usize, parameters: usize, mut gradient: impl FnMut(usize, usize) -> Vec<f32>) -> Self {
        let pairs = (0..unrolls).flat_map(|t| (0..unrolls).map(move |tau| (t, tau)));
        let gradients = pairs.flat_map(|(t, tau)| if tau <= t { gradient(t, tau) } else { vec![0.0; parameters] });
        Self::new(unrolls, parameters, gradients.collect())
    }

    /// Every loss feels the parameters of all steps so far, all by the same gradient.
    pub fn identical(unrolls: usize, gradient: &[f32]) -> Self {
        Self::filled(unrolls, gradient.len(), |_, _| gradient.to_vec())
    }

    /// Every loss feels the parameters of all steps so far, by gradients drawn from the standard normal distribution.
    pub fn independent(unrolls: usize, parameters: usize, seed: u32) -> Self {
        let mut random = Random::new(seed, 0);
        Self::filled(unrolls, parameters, |_, _| (0..parameters).map(|_| random.normal()).collect())
    }

    /// Only the last loss counts, and feels the parameters of all steps by the same gradient.
    pub fn last(unrolls: usize, gradient: &[f32]) -> Self {
        let zero = vec![0.0; gradient.len()];
        Self::filled(unrolls, gradient.len(), |t, _| if t + 1 == unrolls { gradient.to_vec() } else { zero.clone() })
    }

    /// Only the last loss counts, and feels the steps by gradients drawn from the standard normal distribution.
    pub fn last_independent(unrolls: usize, parameters: usize, seed: u32) -> Self {
        let mut random = Random::new(seed, 0);
        Self::filled(unrolls, parameters, |t, _| {
            (0..parameters).map(|_| if t + 1 == unrolls { random.normal() } else { 0.0 }).collect()
        })
    }

    /// No memory: every loss feels the parameters of its own step alone, all by the same gradient.
    pub fn memoryless(unrolls: usize, gradient: &[f32]) -> Self {
        let zero = vec![0.0; gradient.len()];
        Self::filled(unrolls, gradient.len(), |t, tau| if t == tau { gradient.to_vec() } else { zero.clone() })
    }

    /// `g[t, tau]` (parameters).
    pub fn gradient(&self, t: usize, tau: usize) -> &[f32] {
        let start = (t * self.unrolls + tau) * self.parameters;
        &self.gradients[start..start + self.parameters]
    }

    /// `G`, the sum of all `g[t, tau]` (parameters): the gradient of the sum of the losses by parameters that stay.
    pub fn total_gradient(&self) -> Vec<f64> {
        let mut total = vec![0.0; self.parameters];
        for gradient in self.gradients.chunks_exact(self.parameters) {
            total.iter_mut().zip(gradient).for_each(|(total, &part)| *total += f64::from(part));
        }
        total
    }

    /// The total variance (trace of the covariance) of the gradient that one antithetic pair of persistent evolution
    /// strategies estimates over the whole inner problem, in truncations of one step:
    ///
    /// ```text
    /// sum over t, t' of  P m <g[t, ..m], g[t', ..m]> + <A[t, m], A[t', m]>,
    /// m = min(t, t') + 1,  A[t, m] = sum over tau < m of g[t, tau]
    /// ```
    ///
    /// Of N particles it is that divided by N / 2. It holds for every sigma, since the losses are linear.
    pub fn persistent_variance(&self) -> f64 {
        let mut variance = 0.0;
        for t in 0..self.unrolls {
            for other in 0..self.unrolls {
                let common = t.min(other) + 1;
                let (mut first, mut second) = (vec![0.0; self.parameters], vec![0.0; self.parameters]);
                let mut product = 0.0;
                for tau in 0..common {
                    for p in 0..self.parameters {
                        let (a, b) = (f64::from(self.gradient(t, tau)[p]), f64::from(self.gradient(other, tau)[p]));
                        product += a * b;
                        first[p] += a;
                        second[p] += b;
                    }
                }
                variance += (self.parameters * common) as f64 * product + dot(&first, &second);
            }
        }
        variance
    }

    /// The variance of evolution strategies over the whole inner problem, of one perturbation for all steps: (P + 1)
    /// |G|^2.
    pub fn full_variance(&self) -> f64 {
        let total = self.total_gradient();
        (self.parameters + 1) as f64 * dot(&total, &total)
    }

    /// The variance of truncated evolution strategies, which see `g[t, t]` alone: (P + 1) times the sum of their
    /// squares.
    pub fn truncated_variance(&self) -> f64 {
        let squares = (0..self.unrolls).flat_map(|t| self.gradient(t, t)).map(|&part| f64::from(part).powi(2));
        (self.parameters + 1) as f64 * squares.sum::<f64>()
    }

    /// Adds what the parameters of a step give to the sums of all losses, and returns that of its own.
    fn advance(&self, sums: &mut [f64], parameters: &[f64], time: u32) -> f64 {
        let now = time as usize % self.unrolls;
        for (t, sum) in sums.iter_mut().enumerate() {
            let gradient = self.gradient(t, now);
            *sum += gradient.iter().zip(parameters).map(|(&part, theta)| f64::from(part) * theta).sum::<f64>();
        }
        sums[now]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl InnerProblem for LinearLoss {
    own_problem!("linear_loss.wgsl", "linear_loss_tangent.wgsl");

    fn states(&self) -> usize {
        self.unrolls
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.unrolls)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("UNROLLS", self.unrolls)]
    }

    fn data(&self) -> &[f32] {
        &self.gradients
    }

    /// A pass for each number of a column of gradients.
    fn iterations(&self) -> usize {
        self.parameters * (self.unrolls + 1)
    }

    /// As many products as parameters, each rounded with its sum: relative to the sum of their magnitudes, at parameters
    /// below 4, and to the state that they are added to.
    fn rounding(&self) -> f64 {
        let rows = self.gradients.chunks_exact(self.parameters);
        let largest = rows.map(|row| row.iter().map(|&part| f64::from(part.abs())).sum::<f64>()).fold(1.0, f64::max);
        (self.parameters + 1) as f64 * (4.0 * largest + 1.0)
    }

    /// Errors of the state stay as they are.
    fn growth(&self) -> f64 {
        1.0
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(0.0);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], time: u32, _: &mut EpisodeRandom) -> Loss {
        Loss { value: self.advance(state, parameters, time), done: false }
    }

    fn tangent(
        &self,
        _: &[f64],
        tangent: &mut [f64],
        _: &[f64],
        parameter_tangent: &[f64],
        time: u32,
        _: &mut EpisodeRandom,
    ) -> f64 {
        self.advance(tangent, parameter_tangent, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRADIENT: [f32; 5] = [0.5, -1.0, 0.25, 2.0, 0.0];

    fn squared(problem: &LinearLoss) -> f64 {
        let total = problem.total_gradient();
        dot(&total, &total)
    }

    fn assert_ratio(problem: &LinearLoss, expected: f64) {
        let ratio = problem.persistent_variance() / squared(problem);
        assert!((ratio - expected).abs() < 0.005, "{ratio}, expected {expected}");
    }

    /// The values that were checked by random draws when the formula was derived.
    #[test]
    fn the_variance_of_known_structures_is_that_of_the_table() {
        for (unrolls, expected) in [(1, 6.0), (2, 4.67), (4, 4.20), (8, 4.06), (16, 4.01)] {
            assert_ratio(&LinearLoss::identical(unrolls, &GRADIENT), expected);
            assert_ratio(&LinearLoss::last(unrolls, &GRADIENT), 6.0);
        }
        assert_ratio(&LinearLoss::memoryless(16, &GRADIENT), 2.72);
        let last = LinearLoss::last_independent(16, 5, 1);
        let columns: f64 = (0..16).flat_map(|tau| last.gradient(15, tau)).map(|&part| f64::from(part).powi(2)).sum();
        let expected = 5.0 * 16.0 * columns + squared(&last);
        assert!((last.persistent_variance() - expected).abs() < 1e-9 * expected);
        let same = LinearLoss::identical(16, &GRADIENT);
        assert!((same.full_variance() - 6.0 * squared(&same)).abs() < 1e-9 * squared(&same));
        assert!((same.truncated_variance() - 6.0 * squared(&same) / 136.0_f64.powi(2) * 16.0).abs() < 1e-6);
    }

    #[test]
    fn the_variance_of_independent_gradients_grows_with_the_unrolls() {
        // (2/3) P U in the mean over the draws of the gradients.
        let mean = |unrolls: usize| {
            let problems = (0..200).map(|seed| LinearLoss::independent(unrolls, 5, seed));
            let (variance, square) = problems.fold((0.0, 0.0), |(variance, square), problem| {
                (variance + problem.persistent_variance(), square + squared(&problem))
            });
            variance / square
        };
        let (eight, sixteen) = (mean(8), mean(16));
        assert!((sixteen / (2.0 / 3.0 * 80.0) - 1.0).abs() < 0.1, "{sixteen}");
        assert!((sixteen / eight - 2.0).abs() < 0.2, "{sixteen}, {eight}");
    }

    #[test]
    fn the_variance_of_draws_is_that_of_the_formula() {
        let (unrolls, parameters, draws) = (4, 3, 40_000);
        let problem = LinearLoss::independent(unrolls, parameters, 5);
        let mut random = Random::new(9, 0);
        let (mut sum, mut squares) = (vec![0.0; parameters], 0.0);
        for _ in 0..draws {
            let (mut state, mut accumulator) = (vec![0.0; unrolls], vec![0.0; parameters]);
            let mut gradient = vec![0.0; parameters];
            for time in 0..unrolls as u32 {
                let perturbation: Vec<f64> = (0..parameters).map(|_| f64::from(random.normal())).collect();
                let unused = &mut EpisodeRandom::new(0, 0, 0, 0);
                let loss = problem.step(&mut state, &perturbation, time, unused).value;
                for p in 0..parameters {
                    accumulator[p] += perturbation[p];
                    gradient[p] += loss * accumulator[p];
                }
            }
            squares += dot(&gradient, &gradient);
            sum.iter_mut().zip(&gradient).for_each(|(sum, part)| *sum += part);
        }
        let mean: Vec<f64> = sum.iter().map(|sum| sum / f64::from(draws)).collect();
        let variance = squares / f64::from(draws) - dot(&mean, &mean);
        assert!((variance / problem.persistent_variance() - 1.0).abs() < 0.04, "{variance}");
        for (mean, expected) in mean.iter().zip(problem.total_gradient()) {
            let error = (problem.persistent_variance() / f64::from(draws)).sqrt();
            assert!((mean - expected).abs() < 4.0 * error, "{mean}, {expected}");
        }
    }

    #[test]
    fn each_loss_adds_what_all_parameters_so_far_give() {
        let problem = LinearLoss::identical(3, &[1.0, 2.0]);
        let (mut state, unused) = (vec![0.0; 3], &mut EpisodeRandom::new(0, 0, 0, 0));
        let steps = [[1.0, 0.0], [0.0, 10.0], [100.0, 100.0]];
        let losses = [0, 1, 2].map(|time| problem.step(&mut state, &steps[time], time as u32, unused).value);
        assert_eq!(losses, [1.0, 21.0, 321.0]);
    }
}
