//! Ascents of some elements or in other directions than the gradient's, and statistics of batch norm that are recalculated.

use fourfold::Gpu;
use fourfold::data::Dataset;
use fourfold::graph::{Adaptive, Graph, Reference, Tensor, TensorType};
use fourfold::models::Classifier;
use fourfold::optim::{AscentVariant, Sam, SamStep};

/// w and the diagonal of the quadratic `1/2 w^T diag(a) w`.
const W: [f64; 4] = [1.0, -2.0, 0.5, 3.0];
const A: [f64; 4] = [1.0, 4.0, 2.0, 0.5];
const RHO: f64 = 0.1;

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// w + eps - w of an ascent with these masks, in f64.
fn perturbation(sam: Sam, masks: [Option<[f64; 4]>; 3]) -> Vec<f64> {
    let graph = Graph::new();
    let flat = |name: &str| graph.input(name, TensorType::f32([4]));
    let (w, a) = (flat("w"), flat("a"));
    let names = ["perturbed", "scaled", "direction"];
    let given: Vec<Option<Tensor<'_>>> = names.iter().zip(masks).map(|(name, mask)| mask.map(|_| flat(name))).collect();
    let variant = AscentVariant { perturbed: given[0], scaled: given[1], direction: given[2] };
    let step: SamStep<'_> =
        sam.variant_gradient(w, graph.constant(RHO as f32), variant, |w, _| w.square().dot(a) * 0.5);
    let mut reference = Reference::new([("w", W.to_vec()), ("a", A.to_vec())]);
    for (name, mask) in names.iter().zip(masks).filter_map(|(name, mask)| Some((name, mask?))) {
        reference.set(name, mask.to_vec());
    }
    let ascended = reference.evaluate(step.ascended[0]).expect("a graph without mistakes");
    let gradient = reference.evaluate(step.gradient).expect("a graph without mistakes");
    // The gradient of the quadratic at the ascended point.
    for ((gradient, ascended), a) in gradient.iter().zip(&ascended).zip(A) {
        assert!((gradient - a * ascended).abs() < 1e-6, "{gradient} is not {}", a * ascended);
    }
    ascended.iter().zip(W).map(|(ascended, w)| ascended - w).collect()
}

#[track_caller]
fn assert_near(got: &[f64], expected: &[f64]) {
    let near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-7);
    assert!(near && got.len() == expected.len(), "{got:?} is not {expected:?}");
}

#[test]
fn only_the_elements_that_are_named_move_and_their_norm_is_rho() {
    let slope: Vec<f64> = W.iter().zip(A).map(|(w, a)| w * a).collect();
    let length = (slope[1].powi(2) + slope[3].powi(2)).sqrt();
    let eps = perturbation(Sam::default(), [Some([0.0, 1.0, 0.0, 1.0]), None, None]);
    assert_near(&eps, &[0.0, RHO * slope[1] / length, 0.0, RHO * slope[3] / length]);
    assert_near(
        &perturbation(Sam::default(), [None; 3]),
        &slope.iter().map(|g| RHO * g / norm(&slope)).collect::<Vec<_>>(),
    );
}

#[test]
fn a_direction_takes_the_place_of_the_gradient() {
    let direction = [3.0, 0.0, -4.0, 0.0];
    let eps = perturbation(Sam::default(), [None, None, Some(direction)]);
    assert_near(&eps, &[0.06, 0.0, -0.08, 0.0]);
    let eps = perturbation(Sam::default(), [Some([1.0, 1.0, 0.0, 1.0]), None, Some(direction)]);
    assert_near(&eps, &[0.1, 0.0, 0.0, 0.0]);
    // Several steps in one direction are projected to rho.
    let eps = perturbation(Sam { steps: 3, ..Sam::default() }, [None, None, Some(direction)]);
    assert_near(&eps, &[0.06, 0.0, -0.08, 0.0]);
}

#[test]
fn the_scale_of_named_elements_is_that_of_a_prefix_of_the_same_elements() {
    let adaptive = |count| Sam { adaptive: Some(Adaptive { count, eta: 0.01 }), ..Sam::default() };
    for steps in [1, 2] {
        let by_count = perturbation(Sam { steps, ..adaptive(2) }, [None; 3]);
        let by_name = perturbation(Sam { steps, ..adaptive(4) }, [None, Some([1.0, 1.0, 0.0, 0.0]), None]);
        assert_near(&by_name, &by_count);
    }
    let of_second_order = Sam { second_order: true, ..adaptive(4) };
    let graph_of = |masks| perturbation_at(of_second_order, masks);
    assert_near(&graph_of(Some([1.0; 4])), &graph_of(None));
}

/// As [`perturbation`], for gradients that hold the second-order term.
fn perturbation_at(sam: Sam, scaled: Option<[f64; 4]>) -> Vec<f64> {
    let graph = Graph::new();
    let flat = |name: &str| graph.input(name, TensorType::f32([4]));
    let (w, a) = (flat("w"), flat("a"));
    let variant = AscentVariant { scaled: scaled.map(|_| flat("scaled")), ..AscentVariant::default() };
    let step = sam.variant_gradient(w, graph.constant(RHO as f32), variant, |w, _| w.square().dot(a) * 0.5);
    let mut reference = Reference::new([("w", W.to_vec()), ("a", A.to_vec())]);
    scaled.into_iter().for_each(|mask| reference.set("scaled", mask.to_vec()));
    reference.evaluate(step.gradient).expect("a graph without mistakes")
}

/// Images of 4 x 4 pixels whose values are a formula of their place.
fn images(rows: usize) -> Dataset {
    let pixel = |place: usize| ((place * place + 7 * place) % 31) as f32 / 31.0 - 0.5;
    let labels = (0..rows as u32).map(|row| row % 2).collect();
    Dataset::new("formula", [4, 4], 2, (0..rows * 16).map(pixel).collect(), labels).unwrap()
}

#[test]
fn recalculated_statistics_are_means_over_whole_batches_of_the_training_set() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let classifier = Classifier::new(&"cnn".parse().unwrap(), [4, 4], 2, 0.0).unwrap();
    let weights = classifier.parameters().initial(5);
    let data = images(11);
    let (batch, batches) = (5, 2);
    let statistics = classifier.recalculated_statistics(&gpu, &weights, &data, batch).unwrap();
    let statistics = classifier.statistics().unpack(statistics.f32());
    // The first convolution by hand: 3 x 3 taps, one channel to 16, a border of zeros.
    let taps = classifier.parameters().unpack(weights.f32())["conv1.weight"].1.clone();
    for channel in 0..16 {
        let (mut mean, mut variance) = (0.0, 0.0);
        for of_batch in 0..batches {
            let mut values = Vec::new();
            for (row, place) in (0..batch).flat_map(|row| (0..16).map(move |place| (of_batch * batch + row, place))) {
                let at = |y: usize, x: usize| match (y.checked_sub(1), x.checked_sub(1)) {
                    (Some(y), Some(x)) if y < 4 && x < 4 => f64::from(data.image(row)[4 * y + x]),
                    _ => 0.0,
                };
                let (y, x) = (place / 4, place % 4);
                let taps = (0..9).map(|tap| f64::from(taps[tap * 16 + channel]) * at(y + tap / 3, x + tap % 3));
                values.push(taps.sum::<f64>());
            }
            let count = values.len() as f64;
            let own = values.iter().sum::<f64>() / count;
            mean += own / batches as f64;
            // The unbiased variance, as in PyTorch.
            let squares = values.iter().map(|value| (value - own).powi(2)).sum::<f64>();
            variance += squares / (count - 1.0) / batches as f64;
        }
        let (got_mean, got_variance) =
            (statistics["bn1.running_mean"].1[channel], statistics["bn1.running_var"].1[channel]);
        assert!((f64::from(got_mean) - mean).abs() < 1e-6, "channel {channel}: {got_mean} is not {mean}");
        assert!(
            (f64::from(got_variance) - variance).abs() < 1e-6,
            "channel {channel}: {got_variance} is not {variance}"
        );
    }
    let error = classifier.recalculated_statistics(&gpu, &weights, &data, 12).unwrap_err().to_string();
    assert_eq!(error, "expected a batch of 1 to 11 images, got 12");
}

#[test]
fn a_network_without_batch_norm_has_nothing_to_recalculate() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let classifier = Classifier::new(&"mlp:3".parse().unwrap(), [4, 4], 2, 0.0).unwrap();
    let weights = classifier.parameters().initial(5);
    assert!(classifier.recalculated_statistics(&gpu, &weights, &images(4), 2).unwrap().f32().is_empty());
}
