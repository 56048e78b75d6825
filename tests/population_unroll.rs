//! Estimators on problems given as graphs: the same as on those in WGSL, whatever is renewed, shared, staggered or cut.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, GraphProblem, Inner, InnerStep, MemberState, Objective, OuterLoop, OuterSettings, OuterTensors,
    StepContext, UnrollSettings, UnrolledGradient,
};
use fourfold::graph::{Tensor, gradients};
use fourfold::shaders::Element;
use fourfold::shaders::elementwise::Unary;

/// The toy regression of the paper as a graph.
#[derive(Debug)]
struct Toy {
    horizon: usize,
}

fn toy_loss<'g>(x0: Tensor<'g>, x1: Tensor<'g>) -> Tensor<'g> {
    let square = x0.square();
    let bowl = square / ((square + 5.0).sqrt() + 5f32.sqrt());
    bowl + x1.unary(Unary::Sin).square() * (square * -5.0).exp() + (x1 - 100.0).abs() * 0.25
}

impl GraphProblem for Toy {
    fn name(&self) -> &str {
        "toy regression"
    }

    fn parameters(&self) -> usize {
        2
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.horizon)
    }

    fn states(&self) -> Vec<MemberState> {
        vec![MemberState::f32("x0", []), MemberState::f32("x1", [])]
    }

    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        vec![inner.graph.constant(1.0); 2]
    }

    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let done = inner.time.cast(Element::F32) * (1.0 / self.horizon as f32);
        let rate = inner.parameter(0).exp() * (1.0 - done) + inner.parameter(1).exp() * done;
        let slopes = gradients(toy_loss(states[0], states[1]).sum_all(), states);
        let after: Vec<_> = states.iter().zip(slopes).map(|(&x, slope)| x - rate * slope).collect();
        let loss = toy_loss(after[0], after[1]);
        InnerStep { states: after, loss }
    }
}

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

const START: [f32; 2] = [-4.0, -3.5];

fn outer_settings(rate: f32) -> OuterSettings {
    OuterSettings { descent: Descent::Sgd, rate, clip: None, ring: 16 }
}

fn outer_loop<'a>(
    gpu: &Gpu,
    inner: impl Into<Inner<'a>>,
    settings: &UnrollSettings,
    rate: f32,
) -> OuterLoop<UnrolledGradient> {
    let outer = OuterTensors::new(gpu, &START, 21).unwrap();
    let source = UnrolledGradient::new(gpu, inner, settings, &outer).unwrap();
    OuterLoop::new(gpu, outer, Box::new(source), outer_settings(rate)).unwrap()
}

fn on_graph(gpu: &Gpu, horizon: usize, settings: UnrollSettings, rate: f32) -> OuterLoop<UnrolledGradient> {
    outer_loop(gpu, &Toy { horizon }, &settings, rate)
}

fn in_wgsl(gpu: &Gpu, horizon: usize, settings: UnrollSettings, rate: f32) -> OuterLoop<UnrolledGradient> {
    outer_loop(gpu, Arc::new(ToyRegression { horizon }), &settings, rate)
}

/// The numbers that both ways compute in each of ten iterations.
fn agree(horizon: usize, settings: UnrollSettings) {
    let gpu = gpu();
    let (mut graph, mut wgsl) = (on_graph(&gpu, horizon, settings, 2e-3), in_wgsl(&gpu, horizon, settings, 2e-3));
    let (a, b) = (graph.run(10).unwrap(), wgsl.run(10).unwrap());
    assert_eq!(a.iteration, b.iteration);
    let near = |a: &[Vec<f32>], b: &[Vec<f32>], tolerance: f32| {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.into_iter().all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()))
    };
    assert!(near(&a.metrics, &b.metrics, 2e-4), "{settings:?}: metrics {:?} and {:?}", a.metrics, b.metrics);
    assert!(near(&a.centers, &b.centers, 1e-4), "{settings:?}: theta {:?} and {:?}", a.centers, b.centers);
    assert!(a.centers[9] != START, "theta does not move");
}

#[test]
fn every_estimator_is_that_of_problems_in_wgsl() {
    for estimator in [Estimator::PES, Estimator::NRES, Estimator::gpes(2), Estimator::TRUNCATED_ES] {
        agree(12, UnrollSettings::new(estimator, 8, 3, 0.1));
    }
}

#[test]
fn an_inner_problem_that_ends_in_the_middle_of_an_unroll_is_that_of_wgsl() {
    for estimator in [Estimator::PES, Estimator::NRES, Estimator::TRUNCATED_ES] {
        agree(7, UnrollSettings::new(estimator, 8, 4, 0.1));
    }
    // More than one end in an unroll.
    agree(3, UnrollSettings::new(Estimator::PES, 6, 8, 0.1));
}

#[test]
fn last_and_telescoped_losses_are_those_of_wgsl() {
    for objective in [Objective::Last, Objective::Final] {
        agree(12, UnrollSettings { objective, ..UnrollSettings::new(Estimator::PES, 8, 3, 0.1) });
        agree(7, UnrollSettings { objective, ..UnrollSettings::new(Estimator::NRES, 8, 4, 0.1) });
    }
}

#[test]
fn staggered_chunks_are_those_of_wgsl() {
    for estimator in [Estimator::PES, Estimator::TRUNCATED_ES] {
        let settings = UnrollSettings::new(estimator, 12, 3, 0.1);
        agree(12, UnrollSettings { chunks: 3, staggered: true, ..settings });
    }
}

#[test]
fn with_the_truncation_as_long_as_the_inner_problem_the_estimators_are_one_bit_for_bit() {
    let gpu = gpu();
    let run = |estimator| {
        let mut outer = on_graph(&gpu, 10, UnrollSettings::new(estimator, 16, 10, 0.1), 1e-3);
        outer.run(5).unwrap().centers
    };
    let full = run(Estimator::PES);
    assert_eq!(full, run(Estimator::NRES));
    assert_eq!(full, run(Estimator::TRUNCATED_ES));
    assert!(full.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn many_iterations_take_one_readback_and_a_resumed_run_goes_on_to_the_same_bits() {
    let gpu = gpu();
    let mut settings = UnrollSettings::new(Estimator::PES, 12, 5, 0.1);
    (settings.chunks, settings.staggered) = (2, true);
    let begin = || on_graph(&gpu, 12, settings, 1e-3);
    let mut whole = begin();
    whole.run(7).unwrap();
    let mut checkpoint = Checkpoint::new();
    whole.save(&mut checkpoint).unwrap();
    let expected = whole.run(9).unwrap();
    assert_eq!(whole.readbacks(), 2);
    let mut resumed = begin();
    resumed.restore(&checkpoint).unwrap();
    assert_eq!(resumed.run(9).unwrap(), expected);
}

#[test]
fn backpropagation_through_a_graph_is_that_of_derivatives_in_forward_mode() {
    let gpu = gpu();
    for truncation in [1, 4, 12] {
        let settings = UnrollSettings::without_noise(Estimator::Tbptt, 1, truncation);
        let mut backward = on_graph(&gpu, 12, settings, 0.3);
        let mut forward = in_wgsl(&gpu, 12, settings, 0.3);
        let (a, b) = (backward.run(10).unwrap(), forward.run(10).unwrap());
        for (a, b) in a.centers.iter().flatten().zip(b.centers.iter().flatten()) {
            assert!((a - b).abs() < 1e-4, "truncation {truncation}: {a} backward, {b} forward");
        }
        assert!((a.centers[9][0] - START[0]).abs() > 1e-3, "{:?}", a.centers);
    }
    let outer = OuterTensors::new(&gpu, &START, 21).unwrap();
    let settings = UnrollSettings::without_noise(Estimator::Tbptt, 1, 5);
    let error = UnrolledGradient::new(&gpu, &Toy { horizon: 12 }, &settings, &outer).unwrap_err().to_string();
    assert!(error.contains("a multiple of its 5 steps, not 12"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_number_that_is_wrong() {
    let gpu = gpu();
    let outer = OuterTensors::new(&gpu, &START, 1).unwrap();
    let good = UnrollSettings::new(Estimator::PES, 8, 3, 0.1);
    let refused = |settings| UnrolledGradient::new(&gpu, &Toy { horizon: 5 }, &settings, &outer).unwrap_err();
    let cases = [
        (UnrollSettings { particles: 7, ..good }, "7"),
        (UnrollSettings { chunks: 3, ..good }, "3 equal chunks"),
        (UnrollSettings { sigma: -1.0, ..good }, "-1"),
        (UnrollSettings { truncation: 0, ..good }, "between 1 and 2^30 steps, not 0"),
        (UnrollSettings { common_random_numbers: false, ..good }, "same random numbers"),
    ];
    for (settings, named) in cases {
        let message = refused(settings).to_string();
        assert!(message.contains(named), "{message}");
    }
}
