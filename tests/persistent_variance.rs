//! The variance of persistent evolution strategies on losses that are linear, where it is known in closed form.

use std::sync::Arc;

use fourfold::evolution::problems::LinearLoss;
use fourfold::evolution::{
    Descent, Estimator, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};
use fourfold::gpu::BufferView;
use fourfold::shaders::random::threefry::normal_pair;
use fourfold::{Gpu, wgpu};

const PARAMETERS: usize = 5;
const UNROLLS: usize = 16;
const PAIRS: usize = 10_000;
const KEY: u32 = 9;
const SIGMA: f64 = 0.1;

/// Numbers of a buffer, as words.
fn words(gpu: &Gpu, view: &BufferView) -> Vec<u32> {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket =
        gpu.encode_readback(&mut encoder, &[(view.clone(), fourfold::shaders::Element::U32)]).expect("a ticket");
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().expect("values")[0].u32().to_vec()
}

fn numbers(gpu: &Gpu, view: &BufferView) -> Vec<f64> {
    words(gpu, view).into_iter().map(|word| f64::from(f32::from_bits(word))).collect()
}

/// The trace of the covariance of the estimate of one pair, in units of the squared norm of the true gradient, and the
/// relative distance of the mean from it: each pair's sum over the unrolls of `a xi + b n`, from what the GPU has.
fn measured(problem: LinearLoss, estimator: Estimator, inner_problems: usize) -> (f64, f64) {
    let gpu = Gpu::open().expect("an adapter");
    let truth = problem.total_gradient();
    let settings = UnrollSettings::new(estimator, 2 * PAIRS, 1, SIGMA as f32);
    let outer = OuterTensors::new(&gpu, &[0.0; PARAMETERS], KEY).expect("tensors");
    let source = UnrolledGradient::new(&gpu, Arc::new(problem), &settings, &outer).expect("a source");
    let descent = OuterSettings { descent: Descent::Sgd, rate: 0.0, clip: None, ring: 1 };
    let mut outer = OuterLoop::new(&gpu, outer, Box::new(source), descent).expect("an outer loop");

    let padded = PARAMETERS.next_multiple_of(2);
    let (mut sum, mut squares) = ([0.0; PARAMETERS], [0.0; PARAMETERS]);
    for _ in 0..inner_problems {
        let mut estimates = vec![[0.0; PARAMETERS]; PAIRS];
        for _ in 0..UNROLLS {
            let before = numbers(&gpu, outer.source().accumulators()[0]);
            outer.run(1).expect("an unroll");
            let shares = numbers(&gpu, outer.source().shares().expect("pairs"));
            let drawn = words(&gpu, outer.source().counters().expect("pairs"));
            for (d, estimate) in estimates.iter_mut().enumerate() {
                let [a, b] = [shares[d], shares[PAIRS + d]];
                for (p, estimate) in estimate.iter_mut().enumerate() {
                    let normal = normal_pair([KEY, drawn[d]], 0, (d * padded / 2 + p / 2) as u32)[p % 2];
                    let xi = before.get(d * padded + p).copied().unwrap_or(0.0);
                    *estimate += (a * xi + b * normal) / (2.0 * SIGMA);
                }
            }
        }
        for estimate in estimates {
            for p in 0..PARAMETERS {
                sum[p] += estimate[p];
                squares[p] += estimate[p] * estimate[p];
            }
        }
    }
    let count = (PAIRS * inner_problems) as f64;
    let norm: f64 = truth.iter().map(|truth| truth * truth).sum();
    let variance: f64 = (0..PARAMETERS).map(|p| squares[p] / count - (sum[p] / count).powi(2)).sum();
    let off: f64 = (0..PARAMETERS).map(|p| (sum[p] / count - truth[p]).powi(2)).sum();
    (variance / norm, (off / norm).sqrt())
}

const GRADIENT: [f32; PARAMETERS] = [0.7, -1.2, 0.4, 0.1, 2.0];

#[track_caller]
fn assert_variance(problem: LinearLoss, estimator: Estimator, expected: f64, inner_problems: usize) {
    let (variance, off) = measured(problem, estimator, inner_problems);
    assert!((variance / expected - 1.0).abs() < 0.02, "{variance} where {expected} is expected");
    // Five standard errors of the mean.
    let samples = (PAIRS * inner_problems) as f64;
    assert!(off < 5.0 * (expected / samples).sqrt(), "{off}");
}

#[test]
fn losses_that_all_feel_all_parameters_alike_cost_two_thirds_of_a_full_unroll() {
    let problem = LinearLoss::identical(UNROLLS, &GRADIENT);
    let norm: f64 = problem.total_gradient().iter().map(|g| g * g).sum();
    assert!((problem.persistent_variance() / norm - 4.01).abs() < 0.01);
    assert_variance(problem, Estimator::PES, 4.01, 5);
}

#[test]
fn a_last_loss_that_feels_all_parameters_alike_costs_what_a_full_unroll_does() {
    assert_variance(LinearLoss::last(UNROLLS, &GRADIENT), Estimator::PES, 6.0, 5);
}

#[test]
fn losses_without_memory_cost_less() {
    assert_variance(LinearLoss::memoryless(UNROLLS, &GRADIENT), Estimator::PES, 2.72, 5);
}

#[test]
fn independent_gradients_cost_in_proportion_to_the_unrolls() {
    let problem = LinearLoss::independent(UNROLLS, PARAMETERS, 4);
    let norm: f64 = problem.total_gradient().iter().map(|g| g * g).sum();
    let expected = problem.persistent_variance() / norm;
    assert!(expected > 10.0, "{expected}");
    assert_variance(problem, Estimator::PES, expected, 5);
}

#[test]
fn reused_noise_costs_what_a_full_unroll_does_whatever_the_gradients() {
    assert_variance(LinearLoss::independent(UNROLLS, PARAMETERS, 4), Estimator::NRES, 6.0, 5);
}
