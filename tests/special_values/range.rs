//! Sums, squares and differences that leave the range of f32, or cancel in it, although the result does not.

use fourfold::graph::{Adaptive, TensorType, gradients, vector_jacobian};
use fourfold::optim::clip_by_global_norm;

use super::harness::{INFINITY, Judge, NAN, noise};

/// Columns of each form of the kernels: one by one and by fours, one invocation or several to a row.
const COLUMNS: [usize; 6] = [3, 4, 17, 70, 260, 301];

/// Rows with a large mean, with large and small deviations, and at the ends of the range.
fn kinds_of_rows(columns: usize) -> Vec<(&'static str, Vec<f64>)> {
    let plain = noise(columns, 26);
    let of = |centre: f64, scale: f64| plain.iter().map(|n| f64::from((centre + scale * n) as f32)).collect::<Vec<_>>();
    let mut outlier = of(0.0, 1.0);
    outlier[0] = 300.0;
    let mut lone = of(0.0, 1e-3);
    lone[columns - 1] = 1e20;
    vec![
        ("plain", of(0.0, 1.0)),
        ("around 1e5", of(1e5, 1.7)),
        ("around -1e6", of(-1e6, 9.0)),
        ("beginning with an outlier", outlier),
        ("of 1e20", of(0.0, 1e20)),
        ("around 1e20", of(1e20, 3e18)),
        ("of 1e-20", of(0.0, 1e-20)),
        ("of 1e37", of(0.0, 1e37)),
        ("with a single 1e20", lone),
        ("of equal numbers", vec![1e30; columns]),
    ]
}

#[test]
fn layer_norm_keeps_its_digits_far_from_zero_and_at_both_ends_of_the_range() {
    let mut judge = Judge::default();
    let epsilon = f64::from(1e-5f32);
    for columns in COLUMNS {
        for (kind, row) in kinds_of_rows(columns) {
            let count = columns as f64;
            let (scale, shift, dy) = (noise(columns, 7), noise(columns, 8), noise(columns, 9));
            let mean = row.iter().sum::<f64>() / count;
            // Differences to the first element are exact in f64, where the sum above is not.
            let mean = row[0] + row.iter().map(|x| x - row[0]).sum::<f64>() / count + 0.0 * mean;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let factor = 1.0 / (variance + epsilon).sqrt();
            let normal: Vec<f64> = row.iter().map(|x| (x - mean) * factor).collect();
            let y: Vec<f64> = (0..columns).map(|c| normal[c] * scale[c] + shift[c]).collect();
            let g: Vec<f64> = (0..columns).map(|c| dy[c] * scale[c]).collect();
            let g_mean = g.iter().sum::<f64>() / count;
            let gn_mean = g.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / count;
            let dx: Vec<f64> = (0..columns).map(|c| factor * (g[c] - g_mean - normal[c] * gn_mean)).collect();
            let dscale: Vec<f64> = (0..columns).map(|c| dy[c] * normal[c]).collect();
            let name = format!("layer norm of a row {kind}, {columns} columns");
            let (matrix, vector) = (TensorType::f32([1, columns]), TensorType::f32([columns]));
            let inputs = [
                ("x", matrix.clone(), &row[..]),
                ("scale", vector.clone(), &scale),
                ("shift", vector, &shift),
                ("dy", matrix, &dy),
            ];
            judge.expect(
                &name,
                &inputs,
                |_, t| {
                    let y = t[0].layer_norm(t[1], t[2], 1e-5);
                    let slopes = vector_jacobian(&[y], &[t[3]], &[t[0], t[1]]);
                    let [dx, dscale] = [0, 1].map(|input| slopes[input].expect("it depends on the input"));
                    [y, dx, dscale]
                },
                [&y, &dx, &dscale],
                2e-5,
            );
        }
    }
    judge.finish();
}

#[test]
fn the_statistics_of_a_layer_norm_are_the_mean_and_the_reciprocal_deviation() {
    let mut judge = Judge::default();
    let row: Vec<f64> = noise(20, 4).iter().map(|n| f64::from((1e5 + n) as f32)).collect();
    let mean = row.iter().sum::<f64>() / 20.0;
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20.0;
    let inputs = [("x", TensorType::f32([1, 20]), &row[..])];
    judge.expect(
        "statistics",
        &inputs,
        |graph, t| {
            let norm = t[0].layer_norm_with_statistics(graph.full([20], 1.0), graph.full([20], 0.0), 1e-5);
            [norm.mean, norm.reciprocal_deviation]
        },
        [&[mean], &[1.0 / (variance + f64::from(1e-5f32)).sqrt()]],
        1e-6,
    );
    judge.finish();
}

#[test]
fn a_row_with_a_nan_or_an_infinity_has_no_layer_norm() {
    let mut judge = Judge::default();
    for columns in COLUMNS {
        for broken in [NAN, INFINITY, -INFINITY] {
            for place in [0, columns - 1] {
                let mut rows = noise(2 * columns, 3);
                rows[place] = broken;
                let mut flags = vec![NAN; columns];
                flags.resize(2 * columns, 0.0);
                let inputs = [("x", TensorType::f32([2, columns]), &rows[..])];
                judge.expect(
                    &format!("layer norm with {broken} at {place} of {columns}"),
                    &inputs,
                    |graph, t| {
                        let y = t[0].layer_norm(graph.full([columns], 1.0), graph.full([columns], 0.0), 1e-5);
                        // Times zero, which keeps a NaN and nothing else.
                        [y * graph.constant(0.0), gradients((y * y * y).sum_all(), &[t[0]])[0] * graph.constant(0.0)]
                    },
                    [&flags, &flags],
                    0.0,
                );
            }
        }
    }
    judge.finish();
}

/// Lengths of one partial sum and of several, one by one and by fours.
const LENGTHS: [usize; 5] = [1, 3, 4, 5_000, 70_001];

#[test]
fn norms_and_what_divides_by_them_are_right_where_squares_leave_the_range() {
    let mut judge = Judge::default();
    for length in LENGTHS {
        for scale in [1e-35, 1e-30, 1e-20, 1e-12, 1.0, 1e10, 1e17, 1e20, 1e30] {
            let x: Vec<f64> = noise(length, 12).iter().map(|n| f64::from((n * scale) as f32)).collect();
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let unit: Vec<f64> = x.iter().map(|x| x / norm).collect();
            let clipped: Vec<f64> = x.iter().map(|x| x * (0.5 / norm).min(1.0)).collect();
            let inputs = [("x", TensorType::f32([length]), &x[..])];
            judge.expect(
                &format!("norm of {length} numbers of {scale:e}"),
                &inputs,
                |graph, t| {
                    let norm = t[0].norm();
                    let zero = graph.full([length], 0.0);
                    [
                        norm.reshape([1]),
                        gradients(norm, &[t[0]])[0],
                        clip_by_global_norm(t[0], 0.5),
                        zero.ascent(t[0], norm, graph.constant(1.0), Adaptive::default()),
                    ]
                },
                [&[norm], &unit, &clipped, &unit],
                1e-5,
            );
        }
    }
    judge.finish();
}

#[test]
fn the_norm_of_numbers_far_apart_is_that_of_the_largest() {
    let mut judge = Judge::default();
    for length in LENGTHS {
        for (small, large) in [(1e-30, 1.0), (1.0, 1e30), (1e-30, 1e30), (1e17, 1e19)] {
            let mut x = vec![small; length];
            x[length / 2] = large;
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let inputs = [("x", TensorType::f32([length]), &x[..])];
            let name = format!("norm of {length} times {small:e} and {large:e}");
            judge.expect(&name, &inputs, |_, t| [t[0].norm().reshape([1])], [&[norm]], 1e-5);
        }
        for (broken, expected) in [(NAN, NAN), (INFINITY, INFINITY), (-INFINITY, INFINITY)] {
            let mut x = vec![1.0; length];
            x[length / 2] = broken;
            let inputs = [("x", TensorType::f32([length]), &x[..])];
            let name = format!("norm of {length} with {broken}");
            judge.expect(&name, &inputs, |_, t| [t[0].norm().reshape([1])], [&[expected]], 0.0);
        }
    }
    judge.finish();
}
