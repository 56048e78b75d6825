//! Masks of minus infinity, NaN and the ends of the range in what goes over rows: softmax, losses, maxima, attention.

use fourfold::graph::{AttentionMask, TensorType, gradients, vector_jacobian};

use super::harness::{INFINITY, Judge, LOWEST, NAN, noise};

/// Columns of each form of the kernels: one by one and by fours, one invocation or several to a row.
const COLUMNS: [usize; 6] = [3, 4, 70, 71, 260, 300];

/// Rows of every kind: masked in part, but for one and whole; with a NaN, with an infinity; at the ends of the range.
fn kinds_of_rows(columns: usize) -> Vec<Vec<f64>> {
    let plain = noise(columns, 5);
    let with = |changes: &[(usize, f64)]| {
        let mut row = plain.clone();
        changes.iter().for_each(|&(place, value)| row[place] = value);
        row
    };
    let last = columns - 1;
    let mut all_but_one = vec![-INFINITY; columns];
    all_but_one[1] = 7.0;
    let mut lowest_but_one = vec![LOWEST; columns];
    lowest_but_one[1] = 7.0;
    let every_third = (0..columns).map(|c| if c % 3 == 0 { -INFINITY } else { plain[c] }).collect();
    vec![
        plain.clone(),
        with(&[(0, -INFINITY)]),
        with(&[(last, -INFINITY)]),
        every_third,
        all_but_one,
        vec![-INFINITY; columns],
        with(&[(0, NAN)]),
        with(&[(last, NAN)]),
        with(&[(1, -NAN), (0, -INFINITY)]),
        with(&[(2, INFINITY)]),
        with(&[(0, LOWEST), (2, LOWEST)]),
        lowest_but_one,
        vec![LOWEST; columns],
        with(&[(0, 3e38), (1, 3e38)]),
        with(&[(0, LOWEST), (1, 3.4e38), (2, -INFINITY)]),
    ]
}

/// Probabilities and their logarithms, as PyTorch computes them.
fn softmax(row: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let largest = row.iter().copied().fold(-INFINITY, f64::max);
    let total: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    let logarithms: Vec<f64> = row.iter().map(|x| x - largest - total.ln()).collect();
    (row.iter().map(|x| (x - largest).exp() / total).collect(), logarithms)
}

fn narrowed(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value as f32)).collect()
}

#[test]
fn probabilities_of_masked_rows_are_those_of_what_is_left() {
    let mut judge = Judge::default();
    for columns in COLUMNS {
        for (kind, row) in kinds_of_rows(columns).iter().enumerate() {
            let (probabilities, logarithms) = softmax(&narrowed(row));
            let w = noise(columns, 9);
            // The gradient of sum_c w[c] y[c].
            let mean: f64 = probabilities.iter().zip(&w).map(|(p, w)| p * w).sum();
            let slope: Vec<f64> = probabilities.iter().zip(&w).map(|(p, w)| p * (w - mean)).collect();
            let total: f64 = w.iter().sum();
            let log_slope: Vec<f64> = probabilities.iter().zip(&w).map(|(p, w)| w - p * total).collect();
            let name = format!("softmax of row {kind} of {columns}");
            let kind = TensorType::f32([1, columns]);
            let inputs = [("x", kind.clone(), &row[..]), ("w", kind, &w)];
            judge.expect(
                &name,
                &inputs,
                |_, t| {
                    let (y, logarithm) = (t[0].softmax(), t[0].log_softmax());
                    let slope = |y| vector_jacobian(&[y], &[t[1]], &[t[0]])[0].expect("it depends on the input");
                    [y, slope(y), logarithm, slope(logarithm)]
                },
                [&probabilities, &slope, &logarithms, &log_slope],
                1e-5,
            );
        }
    }
    judge.finish();
}

#[test]
fn a_masked_class_has_neither_probability_nor_gradient() {
    let mut judge = Judge::default();
    for columns in COLUMNS {
        for (kind, row) in kinds_of_rows(columns).iter().enumerate() {
            let (probabilities, logarithms) = softmax(&narrowed(row));
            for (label, smoothing) in [(0, 0.0), (1, 0.0), (2, 0.0), (1, 0.1), (columns, 0.0), (columns, 0.1)] {
                let even = f64::from(smoothing) / columns as f64;
                let goal = |class: usize| even + if class == label { 1.0 - f64::from(smoothing) } else { 0.0 };
                // A mass of 0 counts infinite logits out, and a row whose label is not a class counts not at all.
                let terms = |class: usize| if goal(class) > 0.0 { -goal(class) * logarithms[class] } else { 0.0 };
                let counted = label < columns;
                let loss: f64 = (0..columns).map(terms).sum::<f64>() + 0.0 * probabilities.iter().sum::<f64>();
                let slope = |class: usize| if counted { probabilities[class] - goal(class) } else { 0.0 };
                let slopes: Vec<f64> = (0..columns).map(slope).collect();
                let loss = if counted { loss } else { 0.0 };
                let name = format!("cross-entropy of row {kind} of {columns}, label {label}, smoothing {smoothing}");
                let label = [label as f64];
                let inputs = [("x", TensorType::f32([1, columns]), &row[..]), ("label", TensorType::u32([1]), &label)];
                judge.expect(
                    &name,
                    &inputs,
                    |_, t| {
                        let loss = t[0].cross_entropy(t[1], smoothing);
                        [loss, gradients(loss.sum_all(), &[t[0]])[0]]
                    },
                    [&[loss], &slopes],
                    // Of a row that begins with the lowest number, differences to it cancel in the smoothed part.
                    1e-4,
                );
            }
        }
    }
    judge.finish();
}

#[test]
fn a_masked_class_adds_nothing_to_the_second_derivative() {
    // The Hessian of the loss along w: p (w - sum p w).
    let mut judge = Judge::default();
    let (row, w) = ([-INFINITY, 0.0, 1.0, LOWEST], [0.5, 0.25, -1.0, 2.0]);
    let (probabilities, _) = softmax(&row);
    let mean: f64 = probabilities.iter().zip(&w).map(|(p, w)| p * w).sum();
    let expected: Vec<f64> = probabilities.iter().zip(&w).map(|(p, w)| p * (w - mean)).collect();
    let kind = TensorType::f32([1, 4]);
    let inputs = [("x", kind.clone(), &row[..]), ("w", kind, &w[..]), ("label", TensorType::u32([1]), &[1.0][..])];
    judge.expect(
        "Hessian of a masked cross-entropy",
        &inputs,
        |_, t| {
            let slope = gradients(t[0].cross_entropy(t[2], 0.0).sum_all(), &[t[0]])[0];
            [gradients(slope.dot(t[1]), &[t[0]])[0]]
        },
        [&expected],
        1e-5,
    );
    judge.finish();
}

#[test]
fn the_largest_of_a_row_may_be_minus_infinity_and_a_nan_is_above_all() {
    let mut judge = Judge::default();
    for columns in [COLUMNS.to_vec(), vec![5_000, 5_001]].concat() {
        for (kind, row) in kinds_of_rows(columns).iter().enumerate() {
            let has_nan = row.iter().any(|x| x.is_nan());
            let most = row.iter().copied().fold(-INFINITY, f64::max);
            let place = row.iter().position(|x| if has_nan { x.is_nan() } else { *x == most }).expect("an element");
            let most = if has_nan { NAN } else { most };
            let (name, at) = (format!("maximum of row {kind} of {columns}"), place as f64);
            // Along a contiguous axis, and down columns: one of them, three and four.
            let rows = [("x", TensorType::f32([1, columns]), &row[..])];
            judge.expect(&name, &rows, |_, t| [t[0].maximum(1), t[0].argmax(1)], [&[most], &[at]], 0.0);
            for count in [3, 4] {
                let across: Vec<f64> = row.iter().flat_map(|&x| vec![x; count]).collect();
                let table = [("x", TensorType::f32([columns, count]), &across[..])];
                let expected = [&vec![most; count][..], &vec![at; count]];
                judge.expect(&name, &table, |_, t| [t[0].maximum(0), t[0].argmax(0)], expected, 0.0);
            }
        }
    }
    judge.finish();
}

#[test]
fn zeros_of_both_signs_tie_and_subnormal_numbers_keep_their_order() {
    let mut judge = Judge::default();
    let rows: [(&[f64], f64); 4] = [
        (&[-1.0, -0.0, 0.0, -2.0], 1.0),
        (&[-1.0, 0.0, -0.0, -2.0], 1.0),
        (&[0.0, 1e-40, 2e-40, -1e-40], 2.0),
        (&[-3e-40, -2e-40, -1e-40, -1.0], 2.0),
    ];
    for (row, place) in rows {
        let inputs = [("x", TensorType::f32([1, 4]), row)];
        judge.expect("argmax", &inputs, |_, t| [t[0].argmax(1)], [&[place]], 0.0);
    }
    judge.finish();
}

/// Masks of the keys of one head: whether query `i` sees key `j`.
fn sees(causal: bool, keys: Option<&[f64]>, queries: usize, i: usize, j: usize, length: usize) -> bool {
    (!causal || j + queries <= i + length) && keys.is_none_or(|keys| keys[j] != 0.0)
}

#[test]
fn masked_scores_of_minus_infinity_have_no_weight() {
    let mut judge = Judge::default();
    for columns in [3, 4, 70, 260] {
        for (kind, row) in kinds_of_rows(columns).iter().enumerate() {
            for (causal, padded) in [(false, false), (true, false), (false, true), (true, true)] {
                // Two queries, so that the first does not see the last key under the causal mask.
                let (queries, given) = (2, [&row[..], row].concat());
                let keys: Vec<f64> = (0..columns).map(|j| f64::from(u8::from(j % 2 == 1))).collect();
                let mask = padded.then_some(&keys[..]);
                let expected: Vec<f64> = (0..queries)
                    .flat_map(|i| {
                        let allowed = |&j: &usize| sees(causal, mask, queries, i, j, columns);
                        let kept: Vec<usize> = (0..columns).filter(allowed).collect();
                        let scores: Vec<f64> = kept.iter().map(|&j| row[j] as f32 as f64).collect();
                        let (probabilities, _) = softmax(&scores);
                        let mut spread = vec![0.0; columns];
                        kept.iter().zip(probabilities).for_each(|(&j, p)| spread[j] = p);
                        spread
                    })
                    .collect();
                let name = format!("masked softmax of row {kind} of {columns}, causal {causal}, padded {padded}");
                let inputs = [
                    ("x", TensorType::f32([1, 1, queries, columns]), &given[..]),
                    ("keys", TensorType::f32([1, columns]), &keys),
                ];
                judge.expect(
                    &name,
                    &inputs,
                    |_, t| [t[0].masked_softmax(1.0, AttentionMask { causal, keys: padded.then_some(t[1]) })],
                    [&expected],
                    1e-5,
                );
            }
        }
    }
    judge.finish();
}

#[test]
fn attention_passes_nan_on_to_the_queries_that_see_it() {
    let mut judge = Judge::default();
    let (length, size) = (6, 4);
    let kind = TensorType::f32([1, 1, length, size]);
    for (causal, padded) in [(false, false), (true, false), (false, true), (true, true)] {
        let mask: Vec<f64> = (0..length).map(|j| f64::from(u8::from(j != 0 && j != 4))).collect();
        // Nothing; a query; a key that is seen; a key whose scores are all plus or minus infinity.
        for (broken_query, broken_key) in
            [(None, None), (Some(2), None), (None, Some((3, NAN))), (None, Some((3, INFINITY)))]
        {
            let (mut q, mut k, v) = (noise(length * size, 1), noise(length * size, 2), noise(length * size, 3));
            // All queries are positive, so that an infinite key has infinite scores of one sign.
            q.iter_mut().for_each(|x| *x = x.abs() + 0.1);
            if let Some(i) = broken_query {
                q[i * size] = NAN;
            }
            if let Some((j, value)) = broken_key {
                k[j * size] = value;
            }
            let lowered = broken_key.map(|(j, _)| j);
            let mut expected = Vec::new();
            for i in 0..length {
                let allowed = |&j: &usize| sees(causal, padded.then_some(&mask[..]), length, i, j, length);
                let kept: Vec<usize> = (0..length).filter(allowed).collect();
                let dot = |j: usize| (0..size).map(|d| q[i * size + d] * k[j * size + d]).sum::<f64>();
                let scores: Vec<f64> = kept.iter().map(|&j| dot(j) / 2.0).collect();
                let (probabilities, _) = softmax(&scores);
                for d in 0..size {
                    expected.push(kept.iter().zip(&probabilities).map(|(&j, p)| p * v[j * size + d]).sum());
                }
            }
            let name = format!("attention, causal {causal}, padded {padded}, query {broken_query:?}, key {lowered:?}");
            let inputs = [
                ("q", kind.clone(), &q[..]),
                ("k", kind.clone(), &k),
                ("v", kind.clone(), &v),
                ("mask", TensorType::f32([1, length]), &mask),
            ];
            judge.expect(
                &name,
                &inputs,
                |_, t| {
                    let mask = AttentionMask { causal, keys: padded.then_some(t[3]) };
                    [t[0].attention_fused(t[1], t[2], mask), t[0].attention_by_products(t[1], t[2], mask)]
                },
                [&expected, &expected],
                1e-5,
            );
            // The gradients are NaN where what they come from is. Beyond that, as in PyTorch, a key that is no number
            // meets the probabilities 0 of those that do not see it in a product, which is none either.
            if broken_key.is_some() {
                continue;
            }
            let nan_rows = |values: &[f64]| values.chunks(size).map(|row| row[0].is_nan()).collect::<Vec<_>>();
            let broken = nan_rows(&expected);
            let flags: Vec<f64> = broken.iter().map(|&nan| if nan { NAN } else { 0.0 }).collect();
            judge.expect(
                &format!("gradient of {name}"),
                &inputs,
                |graph, t| {
                    let mask = AttentionMask { causal, keys: padded.then_some(t[3]) };
                    let y = t[0].attention_fused(t[1], t[2], mask);
                    let slope = gradients((y * y).sum_all(), &[t[0]])[0];
                    // Times zero, which keeps a NaN and nothing else.
                    [(slope.sum(3) * graph.constant(0.0)).reshape([length])]
                },
                [&flags],
                0.0,
            );
        }
    }
    judge.finish();
}
