//! An inner problem's twin, in f64, beside its gradient and the losses that the GPU computes in f32.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::{Estimator, InnerProblem, UnrollSettings};
use fourfold::rollout::EpisodeRandom;
use fourfold::shaders::Element;
use fourfold::shaders::random::threefry::normal_pair;
use serde::{Deserialize, Serialize};

use super::frozen::{FrozenTheta, read};
use super::rows::{squared_distance, squared_norm};
use crate::failure::Failure;

/// The sum of all losses of an inner problem that draws nothing.
fn objective(problem: &dyn InnerProblem, theta: &[f64]) -> f64 {
    let mut state = vec![0.0; problem.states()];
    problem.reset(&mut EpisodeRandom::new(0, 0, 0, 0), &mut state);
    let step = |time| problem.step(&mut state, theta, time, &mut EpisodeRandom::new(0, 0, 0, time)).value;
    (0..problem.horizon().unwrap_or(0) as u32).map(step).sum()
}

/// Returns the gradient of the sum of all losses of an inner problem that draws nothing, by central differences of its
/// twin: right to about eight digits where losses bend as much as they rise.
pub fn central_differences(problem: &dyn InnerProblem, theta: &[f32]) -> Vec<f64> {
    const STEP: f64 = 1e-4;
    let mut theta: Vec<f64> = theta.iter().map(|&number| f64::from(number)).collect();
    let mut difference = |index: usize| {
        let here = theta[index];
        let mut at = |place: f64| {
            theta[index] = place;
            objective(problem, &theta)
        };
        let slope = (at(here + STEP) - at(here - STEP)) / (2.0 * STEP);
        theta[index] = here;
        slope
    };
    (0..problem.parameters()).map(&mut difference).collect()
}

/// Distances of the losses of antithetic pairs on the GPU from those of the twin at the same perturbations: they tell if
/// the differences are more than rounding at this sigma.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    pub pairs: usize,
    /// The error of the differences `loss+ - loss-` as the kernel adds them up step by step, relative to the differences
    /// (root mean squares over the pairs).
    pub differences: f64,
    /// The same where the sums of the losses are subtracted.
    pub subtracted_sums: f64,
    /// The distance of the gradient of these pairs from that of the twin's differences, relative to its length.
    pub gradient: f64,
}

/// Compares one full unroll of `pairs` pairs with the twin.
///
/// # Errors
/// No memory, or the loss of the device.
pub fn agreement(
    gpu: &Gpu,
    problem: Arc<dyn InnerProblem>,
    theta: &[f32],
    [key, pairs]: [u32; 2],
    sigma: f32,
) -> Result<Agreement, Failure> {
    let pairs = pairs as usize;
    let horizon = problem.horizon().unwrap_or(0);
    let settings = UnrollSettings::new(Estimator::PES, 2 * pairs, horizon, sigma);
    let mut frozen = FrozenTheta::new(gpu, problem.clone(), theta, key, settings)?;
    let gradient = frozen.next_gradient()?;
    let source = frozen.source();
    let (Some(shares), Some(counters)) = (source.shares(), source.counters()) else {
        unreachable!("PES has antithetic pairs")
    };
    let values = read(gpu, &[(shares.clone(), Element::F32), (counters.clone(), Element::U32)])?;
    let (shares, drawn) = (values[0].f32(), values[1].u32());
    let share = |row: usize, pair: usize| f64::from(shares[row * pairs + pair]);

    let (count, sigma) = (theta.len(), f64::from(sigma));
    let normal = |pair: usize, p: usize| {
        let place = (pair * count.next_multiple_of(2) / 2 + p / 2) as u32;
        normal_pair([key, drawn[pair]], settings.stream, place)[p % 2]
    };
    let [mut summed, mut subtracted, mut exact] = [(); 3].map(|()| Vec::with_capacity(pairs));
    let mut expected = vec![0.0; count];
    for pair in 0..pairs {
        let normals: Vec<f64> = (0..count).map(|p| normal(pair, p)).collect();
        let [plus, minus] = [sigma, -sigma].map(|sigma| {
            let moved: Vec<f64> =
                theta.iter().zip(&normals).map(|(&at, normal)| f64::from(at) + sigma * normal).collect();
            objective(&*problem, &moved)
        });
        summed.push(share(1, pair));
        subtracted.push(share(4, pair) - share(5, pair));
        exact.push(plus - minus);
        let weight = (plus - minus) / (2.0 * pairs as f64 * sigma);
        expected.iter_mut().zip(normals).for_each(|(sum, normal)| *sum += weight * normal);
    }
    let relative = |found: &[f64], exact: &[f64]| (squared_distance(found, exact) / squared_norm(exact)).sqrt();
    Ok(Agreement {
        pairs,
        differences: relative(&summed, &exact),
        subtracted_sums: relative(&subtracted, &exact),
        gradient: relative(&gradient, &expected),
    })
}
