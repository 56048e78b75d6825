//! Persistent evolution strategies and their kin: what their estimates are, on inner problems whose gradients are known.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::problems::{InfluenceBalancing, ToyRegression};
use fourfold::evolution::{
    Descent, Estimator, Evaluator, InnerProblem, Objective, Outer, OuterLoop, OuterSettings, TruncatedUnroll,
    TruncationPlan, TruncationSettings,
};

fn outer_loop(
    gpu: &Gpu,
    problem: impl InnerProblem + 'static,
    settings: TruncationSettings,
    descent: OuterSettings,
    initial: &[f32],
    key: u32,
) -> OuterLoop<TruncatedUnroll> {
    let plan = TruncationPlan::new(Arc::new(problem), settings, &gpu.target()).expect("a plan");
    let outer = Outer::new(gpu, initial, key).expect("tensors");
    let source = TruncatedUnroll::new(gpu, plan, &outer).expect("a source");
    OuterLoop::new(gpu, outer, source, descent).expect("an outer loop")
}

/// Theta stays where it is.
const FROZEN: OuterSettings = OuterSettings { descent: Descent::Sgd, rate: 0.0, clip: None, ring: 1 };

/// The gradient of each inner problem, theta being frozen: the sum of those of its unrolls.
fn frozen_gradients(gpu: &Gpu, settings: TruncationSettings, inner_problems: usize) -> Vec<[f64; 2]> {
    let horizon = 100;
    let mut outer = outer_loop(gpu, ToyRegression { horizon }, settings, FROZEN, &[-4.0, -4.0], 11);
    (0..inner_problems)
        .map(|_| {
            let mut sum = [0.0; 2];
            for _ in 0..horizon / settings.truncation {
                outer.run(1).expect("an iteration");
                let gradient = outer.gradient().expect("a gradient");
                sum = [0, 1].map(|p| sum[p] + f64::from(gradient[p]));
            }
            sum
        })
        .collect()
}

fn mean_and_error(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// The gradient by automatic differentiation at (-4, -4).
const TRUE_GRADIENT: [f64; 2] = [-3.9108, -1.7115];

fn assert_unbiased(estimator: Estimator, truncation: usize) {
    let gpu = Gpu::open().expect("an adapter");
    let gradients = frozen_gradients(&gpu, TruncationSettings::new(estimator, 2_000, truncation, 0.01), 60);
    for p in 0..2 {
        let (mean, error) = mean_and_error(&gradients.iter().map(|gradient| gradient[p]).collect::<Vec<_>>());
        assert!((mean - TRUE_GRADIENT[p]).abs() < 4.0 * error, "{estimator:?}: {mean} +- {error} at {p}");
        assert!(error < 0.06, "{error}");
    }
}

#[test]
fn persistent_estimates_are_unbiased_at_frozen_parameters() {
    assert_unbiased(Estimator::PES, 10);
    assert_unbiased(Estimator::gpes(3), 10);
    assert_unbiased(Estimator::NRES, 10);
}

#[test]
fn persistent_estimates_are_unbiased_where_unrolls_straddle_ends_and_chunks_are_staggered() {
    let gpu = Gpu::open().expect("an adapter");
    for estimator in [Estimator::PES, Estimator::NRES] {
        let mut settings = TruncationSettings::new(estimator, 2_000, 30, 0.01);
        (settings.chunks, settings.staggered) = (4, true);
        let mut outer = outer_loop(&gpu, ToyRegression::default(), settings, FROZEN, &[-4.0, -4.0], 5);
        // A whole period of unrolls and inner problems, 30 and 100 steps, after the short first ones of the chunks.
        outer.run(10).expect("the first inner problems");
        let estimates: Vec<[f64; 2]> = (0..40)
            .map(|_| {
                let mut sum = [0.0; 2];
                for _ in 0..10 {
                    outer.run(1).expect("an iteration");
                    let gradient = outer.gradient().expect("a gradient");
                    // Three inner problems.
                    sum = [0, 1].map(|p| sum[p] + f64::from(gradient[p]) / 3.0);
                }
                sum
            })
            .collect();
        for p in 0..2 {
            let (mean, error) = mean_and_error(&estimates.iter().map(|gradient| gradient[p]).collect::<Vec<_>>());
            assert!((mean - TRUE_GRADIENT[p]).abs() < 4.0 * error, "{estimator:?}: {mean} +- {error} at {p}");
        }
    }
}

#[test]
fn truncated_evolution_strategies_are_off_by_what_they_do_not_see() {
    let gpu = Gpu::open().expect("an adapter");
    let settings = TruncationSettings::new(Estimator::TRUNCATED_ES, 2_000, 10, 0.01);
    let gradients = frozen_gradients(&gpu, settings, 20);
    for (p, expected) in [-0.490, -0.288].into_iter().enumerate() {
        let (mean, error) = mean_and_error(&gradients.iter().map(|gradient| gradient[p]).collect::<Vec<_>>());
        assert!((mean - expected).abs() < 4.0 * error + 5e-4, "{mean} +- {error} at {p}");
    }
}

#[test]
fn a_truncation_as_long_as_the_inner_problem_makes_all_estimators_equal_to_the_bit() {
    let gpu = Gpu::open().expect("an adapter");
    let run = |estimator| {
        let settings = TruncationSettings::new(estimator, 64, 100, 0.3);
        let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 20 };
        let mut outer = outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
        outer.run(20).expect("iterations").centers
    };
    let full = run(Estimator::TRUNCATED_ES);
    assert_ne!(full[0], full[19]);
    for estimator in [Estimator::PES, Estimator::NRES, Estimator::gpes(4)] {
        assert_eq!(run(estimator), full, "{estimator:?}");
    }
}

#[test]
fn a_generalised_interval_reaches_from_persistent_to_noise_reuse() {
    let gpu = Gpu::open().expect("an adapter");
    let run = |estimator| {
        let settings = TruncationSettings::new(estimator, 64, 10, 0.3);
        let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 30 };
        let mut outer = outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
        outer.run(30).expect("iterations").centers
    };
    assert_eq!(run(Estimator::gpes(1)), run(Estimator::PES));
    assert_eq!(run(Estimator::gpes(10)), run(Estimator::NRES));
    assert_ne!(run(Estimator::gpes(2)), run(Estimator::NRES));
    assert_ne!(run(Estimator::gpes(2)), run(Estimator::PES));
}

/// Outer SGD on influence balancing from 0.5: the loss of 500 unperturbed steps at theta after 3,000 iterations.
fn balanced(estimator: Estimator, iterations: usize) -> f32 {
    let gpu = Gpu::open().expect("an adapter");
    let mut settings = TruncationSettings::new(estimator, 1_000, 1, 0.1);
    settings.objective = Objective::Last;
    let descent = OuterSettings { descent: Descent::Sgd, rate: 1e-4, clip: None, ring: 1 };
    let mut outer = outer_loop(&gpu, InfluenceBalancing, settings, descent, &[0.5], 3);
    for _ in 0..iterations / 100 {
        outer.run(100).expect("iterations");
    }
    let evaluator = Evaluator::new(&gpu, Arc::new(InfluenceBalancing), [1, 1, 500], 0).expect("an evaluator");
    evaluator.run(&outer.parameters().expect("theta")).expect("a loss")[0].last
}

#[test]
fn persistent_evolution_balances_influences_where_truncated_evolution_diverges() {
    // 4.4e-14 in the reference implementation in f32 of the paper's figure.
    let loss = balanced(Estimator::PES, 3_000);
    assert!(loss < 1e-8, "{loss}");
    let loss = balanced(Estimator::TRUNCATED_ES, 3_000);
    assert!((loss - 211.0).abs() < 0.05 * 211.0, "{loss}");
}

#[test]
fn many_iterations_of_the_toy_problem_need_one_readback() {
    let gpu = Gpu::open().expect("an adapter");
    let settings = TruncationSettings::new(Estimator::PES, 100, 10, 0.3);
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 1 };
    let mut outer = outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
    let progress = outer.run(1_500).expect("iterations");
    assert_eq!((progress.iteration, outer.readbacks()), (1_500, 1));
    let evaluator = Evaluator::new(&gpu, Arc::new(ToyRegression::default()), [1, 1, 100], 0).expect("an evaluator");
    let objective = evaluator.run(&progress.centers[0]).expect("an objective")[0].sum;
    assert!(objective < 600.0, "{objective}");
}
