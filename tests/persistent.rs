//! Persistent evolution strategies and their kin: what their estimates are, on inner problems whose gradients are known.

use std::borrow::Cow;
use std::sync::Arc;

use fourfold::data::Checkpoint;
use fourfold::evolution::problems::{InfluenceBalancing, ToyRegression};
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, InnerProblem, Loss, Objective, OuterLoop, OuterSettings,
    OuterTensors, Source, UnrollPlan, UnrollSettings, UnrolledGradient,
};
use fourfold::rollout::EpisodeRandom;
use fourfold::shaders::random::threefry::normal_pair;
use fourfold::shaders::{Data, Element};
use fourfold::{Gpu, wgpu};

fn outer_loop(
    gpu: &Gpu,
    problem: impl InnerProblem + 'static,
    settings: UnrollSettings,
    descent: OuterSettings,
    initial: &[f32],
    key: u32,
) -> OuterLoop<UnrolledGradient> {
    let outer = OuterTensors::new(gpu, initial, key).expect("tensors");
    let source = UnrolledGradient::new(gpu, Arc::new(problem), &settings, &outer).expect("a source");
    OuterLoop::new(gpu, outer, Box::new(source), descent).expect("an outer loop")
}

/// Theta stays where it is.
const FROZEN: OuterSettings = OuterSettings { descent: Descent::Sgd, rate: 0.0, clip: None, ring: 1 };

/// The gradient of each inner problem, theta being frozen: the sum of those of its unrolls.
fn frozen_gradients(gpu: &Gpu, settings: UnrollSettings, inner_problems: usize) -> Vec<[f64; 2]> {
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
    let gradients = frozen_gradients(&gpu, UnrollSettings::new(estimator, 2_000, truncation, 0.01), 60);
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
        let mut settings = UnrollSettings::new(estimator, 2_000, 30, 0.01);
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
    let settings = UnrollSettings::new(Estimator::TRUNCATED_ES, 2_000, 10, 0.01);
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
        let settings = UnrollSettings::new(estimator, 64, 100, 0.3);
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
        let settings = UnrollSettings::new(estimator, 64, 10, 0.3);
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
fn balanced(estimator: Estimator, iterations: usize) -> f64 {
    let gpu = Gpu::open().expect("an adapter");
    let mut settings = UnrollSettings::new(estimator, 1_000, 1, 0.1);
    settings.objective = Objective::Last;
    let descent = OuterSettings { descent: Descent::Sgd, rate: 1e-4, clip: None, ring: 1 };
    let mut outer = outer_loop(&gpu, InfluenceBalancing, settings, descent, &[0.5], 3);
    for _ in 0..iterations / 100 {
        outer.run(100).expect("iterations");
    }
    let settings = EvaluatorSettings { steps: Some(500), ..EvaluatorSettings::new(1, 0) };
    let evaluator = Evaluator::new(&gpu, Arc::new(InfluenceBalancing), &settings).expect("an evaluator");
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
    let settings = UnrollSettings::new(Estimator::PES, 100, 10, 0.3);
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 1 };
    let mut outer = outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
    let progress = outer.run(1_500).expect("iterations");
    assert_eq!((progress.iteration, outer.readbacks()), (1_500, 1));
    let problem = Arc::new(ToyRegression::default());
    let evaluator = Evaluator::new(&gpu, problem, &EvaluatorSettings::new(1, 0)).expect("an evaluator");
    let objective = evaluator.run(&progress.centers[0]).expect("an objective")[0].sum;
    assert!(objective < 600.0, "{objective}");
}

#[test]
fn a_boxed_source_gives_the_metrics_that_it_gives_unboxed() {
    let gpu = Gpu::open().expect("an adapter");
    let settings = UnrollSettings::new(Estimator::PES, 100, 10, 0.3);
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 5 };
    let mut plain = outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
    let outer = OuterTensors::new(&gpu, &[-4.0, -4.0], 3).expect("tensors");
    let problem = Arc::new(ToyRegression::default());
    let source = UnrolledGradient::new(&gpu, problem, &settings, &outer).expect("a source");
    let source: Box<dyn Source> = Box::new(source);
    let mut boxed = OuterLoop::new(&gpu, outer, source, descent).expect("an outer loop");
    let metrics = boxed.run(5).expect("iterations").metrics;
    assert_eq!(metrics, plain.run(5).expect("iterations").metrics);
    assert!(metrics.iter().all(|row| row[4] > 0.0 && row[5] > 0.0), "losses of particles: {metrics:?}");
}

fn read(gpu: &Gpu, view: &fourfold::gpu::BufferView, element: Element) -> Data {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(view.clone(), element)]).expect("a ticket");
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().expect("values").remove(0)
}

#[test]
fn accumulators_are_the_sum_of_what_was_drawn_and_zero_after_an_end() {
    let gpu = Gpu::open().expect("an adapter");
    let (pairs, key) = (20, 8);
    let settings = UnrollSettings::new(Estimator::PES, 2 * pairs, 10, 0.3);
    let mut outer = outer_loop(&gpu, ToyRegression { horizon: 40 }, settings, FROZEN, &[-4.0, -4.0], key);
    let mut expected = vec![0.0; 2 * pairs];
    for unroll in 0..10_u32 {
        outer.run(1).expect("an unroll");
        for (d, xi) in expected.chunks_mut(2).enumerate() {
            let normals = normal_pair([key, unroll], 0, d as u32);
            xi.iter_mut().zip(normals).for_each(|(xi, normal)| *xi += normal);
            if unroll % 4 == 3 {
                xi.fill(0.0);
            }
        }
        let accumulators = read(&gpu, outer.source().accumulators()[0], Element::F32);
        for (xi, expected) in accumulators.f32().iter().zip(&expected) {
            assert!((f64::from(*xi) - expected).abs() < 1e-5, "{xi} {expected} after unroll {unroll}");
        }
    }
}

#[test]
fn telescoped_final_losses_add_up_to_the_final_loss_times_all_perturbations() {
    let gpu = Gpu::open().expect("an adapter");
    let (pairs, sigma) = (50, 0.3);
    let mut settings = UnrollSettings::new(Estimator::PES, 2 * pairs, 10, sigma);
    settings.objective = Objective::Final;
    let mut outer = outer_loop(&gpu, ToyRegression { horizon: 40 }, settings, FROZEN, &[-4.0, -4.0], 8);
    let mut sum = [0.0; 2];
    let mut xi = Vec::new();
    for unroll in 0..4_u32 {
        if unroll == 3 {
            xi = read(&gpu, outer.source().accumulators()[0], Element::F32).f32().to_vec();
        }
        outer.run(1).expect("an unroll");
        let gradient = outer.gradient().expect("a gradient");
        sum = [0, 1].map(|p| sum[p] + f64::from(gradient[p]));
    }
    let shares = read(&gpu, outer.source().shares().expect("pairs"), Element::F32);
    let mut expected = [0.0; 2];
    for d in 0..pairs {
        let difference = f64::from(shares.f32()[4 * pairs + d]) - f64::from(shares.f32()[5 * pairs + d]);
        let normals = normal_pair([8, 3], 0, d as u32);
        for p in 0..2 {
            let all = f64::from(xi[2 * d + p]) + normals[p];
            expected[p] += difference * all / (2.0 * pairs as f64 * f64::from(sigma));
        }
    }
    for p in 0..2 {
        // Losses of about 25, in f32.
        assert!((sum[p] - expected[p]).abs() < 1e-4 * (1.0 + expected[p].abs()), "{sum:?} {expected:?}");
    }
}

/// The toy regression with 50 added to every loss: a problem of a user's own, made of another.
#[derive(Debug)]
struct Raised(ToyRegression);

impl InnerProblem for Raised {
    fn file(&self) -> &str {
        "raised.wgsl"
    }
    fn source(&self) -> Cow<'static, str> {
        self.0.source().replace("0.25 * abs(next.y - 100.0), false", "0.25 * abs(next.y - 100.0) + 50.0, false").into()
    }
    fn states(&self) -> usize {
        self.0.states()
    }
    fn parameters(&self) -> usize {
        self.0.parameters()
    }
    fn horizon(&self) -> Option<usize> {
        self.0.horizon()
    }
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.0.sizes()
    }
    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        self.0.reset(random, state);
    }
    fn step(&self, state: &mut [f64], parameters: &[f64], time: u32, random: &mut EpisodeRandom) -> Loss {
        let Loss { value, done } = self.0.step(state, parameters, time, random);
        Loss { value: value + 50.0, done }
    }
}

#[test]
fn a_constant_added_to_every_loss_leaves_the_gradient() {
    let gpu = Gpu::open().expect("an adapter");
    let settings = UnrollSettings::new(Estimator::PES, 200, 10, 0.3);
    let mut plain = outer_loop(&gpu, ToyRegression::default(), settings, FROZEN, &[-1.0, -2.0], 1);
    let mut raised = outer_loop(&gpu, Raised(ToyRegression::default()), settings, FROZEN, &[-1.0, -2.0], 1);
    for _ in 0..12 {
        let means: Vec<f32> = [plain.run(1), raised.run(1)].map(|run| run.expect("an unroll").metrics[0][4]).into();
        assert!((means[1] - means[0] - 500.0).abs() < 0.1, "{means:?}");
        let [plain, raised] = [plain.gradient(), raised.gradient()].map(|gradient| gradient.expect("a gradient"));
        for (plain, raised) in plain.iter().zip(raised) {
            assert!((plain - raised).abs() < 1e-3 * (1.0 + plain.abs()), "{plain} {raised}");
        }
    }
}

#[test]
fn a_loop_goes_on_from_a_checkpoint_to_the_same_bits() {
    let gpu = Gpu::open().expect("an adapter");
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: Some(5.0), ring: 4 };
    for estimator in [Estimator::PES, Estimator::gpes(3), Estimator::TRUNCATED_ES] {
        let mut settings = UnrollSettings::new(estimator, 40, 30, 0.3);
        (settings.chunks, settings.staggered) = (2, true);
        let fresh = || outer_loop(&gpu, ToyRegression::default(), settings, descent, &[-4.0, -4.0], 3);
        let (mut whole, mut first, mut second) = (fresh(), fresh(), fresh());
        let expected = whole.run(37).expect("iterations");
        first.run(17).expect("iterations");
        let mut checkpoint = Checkpoint::new();
        first.save(&mut checkpoint).expect("a state");
        let checkpoint = Checkpoint::from_bytes("memory", &checkpoint.to_bytes()).expect("a checkpoint");
        second.restore(&checkpoint).expect("a restored loop");
        assert_eq!(second.run(20).expect("iterations"), expected, "{estimator:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_is_wrong() {
    let gpu = Gpu::open().expect("an adapter");
    let refused = |change: &dyn Fn(&mut UnrollSettings)| {
        let mut settings = UnrollSettings::new(Estimator::PES, 100, 10, 0.3);
        change(&mut settings);
        let problem: Arc<dyn InnerProblem> = Arc::new(ToyRegression::default());
        UnrollPlan::new(problem, &settings, &gpu.target()).expect_err("refused").to_string()
    };
    assert!(refused(&|settings| settings.particles = 7).contains("come in twos"));
    assert!(refused(&|settings| settings.truncation = 0).contains("truncation"));
    assert!(refused(&|settings| settings.sigma = 0.0).contains("sigma"));
    assert!(refused(&|settings| settings.sigma = f32::NAN).contains("sigma"));
    assert!(refused(&|settings| settings.chunks = 3).contains("3 equal chunks"));
    assert!(refused(&|settings| settings.estimator = Estimator::gpes(0)).contains("at least one unroll"));
    let broken = UnrollPlan::new(
        Arc::new(InfluenceBalancing),
        &UnrollSettings { objective: Objective::Final, ..UnrollSettings::new(Estimator::PES, 2, 1, 0.1) },
        &gpu.target(),
    );
    assert!(broken.expect_err("refused").to_string().contains("never ends"));
}

/// A problem whose file is this text.
#[derive(Debug)]
struct Written(&'static str);

impl InnerProblem for Written {
    fn file(&self) -> &str {
        "written.wgsl"
    }
    fn source(&self) -> Cow<'static, str> {
        self.0.into()
    }
    fn states(&self) -> usize {
        1
    }
    fn parameters(&self) -> usize {
        1
    }
    fn horizon(&self) -> Option<usize> {
        None
    }
    fn reset(&self, _: &mut EpisodeRandom, _: &mut [f64]) {}
    fn step(&self, _: &mut [f64], _: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
        Loss { value: 0.0, done: false }
    }
}

fn refusal(text: &'static str) -> String {
    let settings = UnrollSettings::new(Estimator::PES, 2, 1, 0.1);
    let refused = UnrollPlan::new(Arc::new(Written(text)), &settings, &fourfold::shaders::Target::default());
    refused.expect_err("refused").to_string()
}

#[test]
fn a_file_without_a_step_is_named() {
    let message =
        refusal("fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> { return array<f32, STATE>(); }");
    assert!(message.contains("written.wgsl") && message.contains("problem_step"), "{message}");
}

#[test]
fn a_file_that_takes_a_name_of_the_kernel_is_named() {
    let message = refusal(
        "fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> { return array<f32, STATE>(); }
        fn advance(x: f32) -> f32 { return x; }
        fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
            return Loss(advance(parameter(0u)), false);
        }",
    );
    assert!(message.contains("written.wgsl") && message.contains("advance"), "{message}");
}

#[test]
fn the_plan_states_the_memory_of_a_population_of_any_size() {
    #[derive(Debug)]
    struct Wide;
    impl InnerProblem for Wide {
        fn file(&self) -> &str {
            "wide.wgsl"
        }
        fn source(&self) -> Cow<'static, str> {
            "fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> { return array<f32, STATE>(); }
            fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
                return Loss(parameter(time), false);
            }"
            .into()
        }
        fn states(&self) -> usize {
            4
        }
        fn parameters(&self) -> usize {
            100_000
        }
        fn horizon(&self) -> Option<usize> {
            Some(100)
        }
        fn iterations(&self) -> usize {
            1
        }
        fn reset(&self, _: &mut EpisodeRandom, _: &mut [f64]) {}
        fn step(&self, _: &mut [f64], _: &[f64], _: u32, _: &mut EpisodeRandom) -> Loss {
            Loss { value: 0.0, done: false }
        }
    }
    let plan = |estimator| {
        let settings = UnrollSettings::new(estimator, 10_000, 10, 0.1);
        UnrollPlan::new(Arc::new(Wide), &settings, &fourfold::shaders::Target::default()).expect("a plan")
    };
    // An accumulator of 100,000 numbers for each of 5,000 pairs, and no perturbation stored.
    let persistent = plan(Estimator::PES);
    assert!((2_000_000_000..2_010_000_000).contains(&persistent.bytes()), "{}", persistent.bytes());
    assert!(persistent.buffers().iter().all(|buffer| buffer.bytes() <= 128 << 20));
    // Nothing is accumulated where particles share their state.
    assert!(plan(Estimator::TRUNCATED_ES).bytes() < 8_000_000);
}
