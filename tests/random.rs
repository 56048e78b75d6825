//! The statistics that the random numbers of the GPU must have, and the cases in which they must repeat.
//!
//! Seeds are fixed, so every outcome is too. Bounds are five standard errors of the statistic, which a right generator
//! meets for all but one seed in a million.

use std::sync::OnceLock;

use fourfold::gpu::{Gpu, Launch};
use fourfold::shaders::random::threefry::{Distribution, Problem};
use fourfold::shaders::{Call, Data, Element, optimiser::advance_step, random::dropout};
use fourfold::{BufferView, wgpu};

const COUNT: usize = 1_000_000;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().unwrap_or_else(|error| panic!("{error}")))
}

fn upload(data: Data) -> BufferView {
    gpu().upload("input", &data).unwrap_or_else(|error| panic!("{error}"))
}

fn output(count: usize) -> BufferView {
    gpu().poisoned("output", count).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs calls in order, in one submission, and reads views back.
fn run(calls: &[(Call, &[BufferView])], read: &[(BufferView, Element)]) -> Vec<Data> {
    let launches: Vec<_> = calls.iter().map(|(call, views)| Launch::new(call, views)).collect();
    let recording = gpu().prepare(&launches).unwrap_or_else(|error| panic!("{error}"));
    let mut encoder = gpu().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    recording.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    let ticket = gpu().encode_readback(&mut encoder, read).unwrap_or_else(|error| panic!("{error}"));
    gpu().queue().submit([encoder.finish()]);
    ticket.wait().unwrap_or_else(|error| panic!("{error}"))
}

/// A million numbers.
fn draw(distribution: Distribution, seed: [u32; 2], stream: u32) -> Vec<f64> {
    let call = Problem { distribution, count: COUNT, stream }
        .sequence(&gpu().target())
        .expect("valid sizes")
        .steps
        .swap_remove(0)
        .call;
    let views = [upload(Data::U32(seed.to_vec())), output(COUNT)];
    let read = (views[1].clone(), call.kernel.bindings[1].element);
    match run(&[(call, &views)], &[read]).remove(0) {
        Data::F32(values) => values.into_iter().map(f64::from).collect(),
        Data::U32(values) => values.into_iter().map(f64::from).collect(),
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Asserts that a mean over `count` samples of variance `variance` is within five standard errors.
#[track_caller]
fn assert_mean(name: &str, got: f64, expected: f64, variance: f64, count: usize) {
    let errors = (got - expected) / (variance / count as f64).sqrt();
    assert!(errors.abs() < 5.0, "{name} is {got}, {errors:.1} standard errors from {expected}");
}

#[test]
fn uniform_numbers_have_the_moments_of_the_unit_interval() {
    let values = draw(Distribution::Uniform, [1, 2], 3);
    assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
    for power in 1..=4 {
        let got = mean(values.iter().map(|value| value.powi(power)));
        let moment = |power: i32| 1.0 / f64::from(power + 1);
        assert_mean("a moment", got, moment(power), moment(2 * power) - moment(power).powi(2), COUNT);
    }
}

#[test]
fn uniform_numbers_fill_every_bin_equally() {
    const BINS: usize = 1_000;
    let mut counts = [0_u32; BINS];
    for value in draw(Distribution::Uniform, [4, 5], 6) {
        counts[(value * BINS as f64) as usize] += 1;
    }
    let expected = (COUNT / BINS) as f64;
    let chi_squared: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    // Mean 999, variance 2 * 999. Too even would be as wrong as too uneven.
    assert_mean("chi squared", chi_squared, 999.0, 2.0 * 999.0, 1);
}

#[test]
fn every_bit_of_a_word_is_set_half_the_time() {
    let words = draw(Distribution::Bits, [7, 8], 9);
    for bit in 0..32 {
        let share = mean(words.iter().map(|&word| f64::from(word as u32 >> bit & 1)));
        assert_mean("the share of a bit", share, 0.5, 0.25, COUNT);
    }
}

#[test]
fn normal_numbers_have_the_moments_of_the_normal_distribution() {
    let values = draw(Distribution::Normal, [1, 2], 3);
    // The moments 1, 1, 3, 15, 105 of even order; those of odd order vanish.
    let moment = |power: i32| if power % 2 == 1 { 0.0 } else { (1..power).step_by(2).map(f64::from).product() };
    for power in 1..=4 {
        let got = mean(values.iter().map(|value| value.powi(power)));
        assert_mean("a moment", got, moment(power), moment(2 * power) - moment(power).powi(2), COUNT);
    }
}

#[test]
fn normal_numbers_have_the_tails_of_the_normal_distribution() {
    let values = draw(Distribution::Normal, [10, 11], 12);
    // P(|z| > 1), P(|z| > 2), P(|z| > 3), P(|z| > 4).
    for (bound, share) in [(1.0, 0.317_310_5), (2.0, 0.045_500_26), (3.0, 0.002_699_796), (4.0, 6.334_248e-5)] {
        let got = values.iter().filter(|value| value.abs() > bound).count() as f64 / COUNT as f64;
        assert_mean("the share of a tail", got, share, share * (1.0 - share), COUNT);
    }
}

/// The correlation of two samples of standard deviates, whose standard error is 1 / sqrt(count).
#[track_caller]
fn assert_uncorrelated(name: &str, a: &[f64], b: &[f64]) {
    let count = a.len().min(b.len());
    let got = mean(a[..count].iter().zip(&b[..count]).map(|(a, b)| a * b));
    assert_mean(name, got, 0.0, 1.0, count);
}

#[test]
fn neighbouring_normal_numbers_are_uncorrelated() {
    let values = draw(Distribution::Normal, [13, 14], 15);
    for distance in 1..=4 {
        assert_uncorrelated("the correlation of neighbours", &values, &values[distance..]);
    }
    // The two of a pair share their radius: their squares must be uncorrelated too.
    let squares: Vec<f64> = values.iter().map(|value| (value * value - 1.0) / 2.0_f64.sqrt()).collect();
    assert_uncorrelated("the correlation of squares", &squares, &squares[1..]);
}

#[test]
fn numbers_of_other_keys_steps_and_streams_are_independent() {
    let base = draw(Distribution::Normal, [1, 1], 1);
    for (seed, stream) in [([2, 1], 1), ([1, 2], 1), ([1, 1], 2), ([1, 0], 1), ([1 << 31 | 1, 1], 1)] {
        let other = draw(Distribution::Normal, seed, stream);
        assert_ne!(base, other);
        assert_uncorrelated("the correlation with another place", &base, &other);
    }
}

#[test]
fn the_same_seed_and_stream_draw_the_same_bits_again() {
    let draws = [0, 1].map(|_| draw(Distribution::Bits, [21, 22], 23));
    assert_eq!(draws[0], draws[1]);
}

fn drop_out(probability: f32, seed: [u32; 2], stream: u32, x: &Data) -> Vec<f32> {
    let call = dropout::Problem { count: x.len(), probability, stream }
        .sequence(&gpu().target())
        .expect("valid sizes")
        .steps
        .swap_remove(0)
        .call;
    let views = [upload(x.clone()), upload(Data::U32(seed.to_vec())), output(x.len())];
    run(&[(call, &views)], &[(views[2].clone(), Element::F32)])[0].f32().to_vec()
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let ones = Data::F32(vec![1.0; COUNT]);
    for probability in [0.1_f32, 0.5, 0.9] {
        let y = drop_out(probability, [3, 4], 5, &ones);
        let p = f64::from(probability);
        let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / COUNT as f64;
        assert_mean("the share of dropped elements", dropped, p, p * (1.0 - p), COUNT);
        assert_mean("the mean", mean(y.iter().map(|&y| f64::from(y))), 1.0, p / (1.0 - p), COUNT);
    }
}

#[test]
fn the_mask_of_the_gradient_is_that_of_the_value_and_other_steps_have_others() {
    let x = Data::F32((1..=COUNT).map(|index| index as f32).collect());
    let dy = Data::F32(vec![-1.0; COUNT]);
    let mask = |values: &[f32]| values.iter().map(|&value| value == 0.0).collect::<Vec<_>>();
    let first = mask(&drop_out(0.5, [3, 4], 5, &x));
    assert!(first == mask(&drop_out(0.5, [3, 4], 5, &dy)), "the same seed gave another mask");
    for (seed, stream) in [([3, 5], 5), ([4, 4], 5), ([3, 4], 6)] {
        let other = mask(&drop_out(0.5, seed, stream, &x));
        let agreement = first.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / COUNT as f64;
        assert_mean("the agreement of two masks", agreement, 0.5, 0.25, COUNT);
    }
}

#[test]
fn the_mask_does_not_depend_on_the_form_of_the_kernel() {
    // 1,000 elements take the form with four at a time, 999 the ragged one.
    let x: Vec<f32> = (1..=1_000).map(|index| index as f32).collect();
    let whole = drop_out(0.3, [3, 4], 5, &Data::F32(x.clone()));
    assert_eq!(whole[..999], drop_out(0.3, [3, 4], 5, &Data::F32(x[..999].to_vec())));
}

#[test]
fn steps_of_one_submission_draw_the_numbers_of_their_own_step() {
    let seed = upload(Data::U32(vec![31, 0]));
    let drawn = [output(64), output(64)];
    let draw_call = Problem { distribution: Distribution::Normal, count: 64, stream: 2 }
        .sequence(&gpu().target())
        .expect("valid sizes")
        .steps
        .swap_remove(0)
        .call;
    let advance = advance_step::Problem::SEED.sequence(&gpu().target()).expect("valid sizes").steps.swap_remove(0).call;
    let [first, second] = drawn.each_ref().map(|view| [seed.clone(), view.clone()]);
    let calls: [(Call, &[BufferView]); 4] = [
        (advance.clone(), std::slice::from_ref(&seed)),
        (draw_call.clone(), &first),
        (advance, std::slice::from_ref(&seed)),
        (draw_call, &second),
    ];
    let got = run(&calls, &drawn.map(|view| (view, Element::F32)));
    for (step, got) in (1..).zip(got) {
        let expected = &draw(Distribution::Normal, [31, step], 2)[..64];
        assert_eq!(got.f32().iter().map(|&value| f64::from(value)).collect::<Vec<_>>(), expected);
    }
}
