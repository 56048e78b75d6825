//! The f64 interpreter by numbers that a reader can check: finite differences find a wrong derivative, but not a wrong
//! function.

use fourfold::graph::{Adaptive, AttentionMask, Graph, Reference, Tensor, TensorType, Value, gradients};
use fourfold::shaders::elementwise::{Binary, Compare};
use fourfold::shaders::{Element, random::dropout, random::threefry};

/// The result of `build` on inputs of these types and values.
fn evaluate<const N: usize>(
    inputs: [(TensorType, &[f64]); N],
    build: impl for<'g> Fn(&'g Graph, [Tensor<'g>; N]) -> Tensor<'g>,
) -> Vec<f64> {
    let graph = Graph::new();
    let mut reference = Reference::default();
    for (index, (kind, values)) in inputs.into_iter().enumerate() {
        graph.input(&index.to_string(), kind);
        reference.set(&index.to_string(), values.to_vec());
    }
    let tensors = std::array::from_fn(|node| graph.tensor(Value { node, output: 0 }));
    reference.evaluate(build(&graph, tensors)).expect("a graph without mistakes")
}

fn f32(shape: impl Into<fourfold::graph::Shape>, values: &[f64]) -> (TensorType, &[f64]) {
    (TensorType::f32(shape), values)
}

fn u32(shape: impl Into<fourfold::graph::Shape>, values: &[f64]) -> (TensorType, &[f64]) {
    (TensorType::u32(shape), values)
}

const SIX: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

#[track_caller]
fn assert_near(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{got:?} is not {expected:?}");
}

#[test]
fn operands_stretch_to_their_common_shape() {
    let sum = evaluate([f32([2, 1], &[10.0, 20.0]), f32([3], &[1.0, 2.0, 3.0])], |_, [a, b]| a + b);
    assert_eq!(sum, [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
    let smaller = evaluate([f32([2, 3], SIX)], |graph, [x]| x.compare(Compare::Lt, graph.constant(3.0)));
    assert_eq!(smaller, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let chosen = evaluate([f32([2, 1], &[0.0, -7.0]), f32([2, 3], SIX)], |graph, [condition, x]| {
        condition.select(x, graph.constant(9.0))
    });
    assert_eq!(chosen, [9.0, 9.0, 9.0, 4.0, 5.0, 6.0]);
}

#[test]
fn whole_numbers_wrap_around_and_powers_of_them_are_refused() {
    let largest = [5.0, f64::from(u32::MAX)];
    assert_eq!(evaluate([u32([2], &largest), u32([], &[3.0])], |_, [a, b]| a + b), [8.0, 2.0]);
    assert_eq!(evaluate([u32([], &[2.0]), u32([], &[3.0])], |_, [a, b]| a.compare(Compare::Lt, b)), [1.0]);
    let graph = Graph::new();
    let whole = graph.input("whole", TensorType::u32([2]));
    whole.binary(Binary::Pow, whole);
    assert!(graph.check().unwrap_err().message.starts_with("Pow takes f32 tensors, got input U32[2]"));
    let mixed = Graph::new();
    let _ = mixed.input("x", TensorType::u32([2])) + mixed.constant(1.0);
    assert!(mixed.check().unwrap_err().message.starts_with("Add takes tensors of one type"));
}

#[test]
fn casts_to_whole_numbers_truncate_and_clamp() {
    let cast = evaluate([f32([4], &[-3.0, 0.9, 2.5, 1e12])], |_, [x]| x.cast(Element::U32).cast(Element::F32));
    assert_eq!(cast, [0.0, 0.0, 2.0, f64::from(u32::MAX)]);
}

#[test]
fn elements_move_where_the_layout_says() {
    let x = || [f32([2, 3], SIX)];
    assert_eq!(evaluate(x(), |_, [x]| x.transpose()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(evaluate(x(), |_, [x]| x.slice(&[1, 1], [1, 2])), [5.0, 6.0]);
    assert_eq!(evaluate([f32([2], &[1.0, 2.0])], |_, [x]| x.pad(&[1], [4])), [0.0, 1.0, 2.0, 0.0]);
    let joined = evaluate([f32([2, 1], &[8.0, 9.0]), f32([2, 3], SIX)], |graph, [a, b]| graph.concatenate(&[a, b], 1));
    assert_eq!(joined, [8.0, 1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0]);
    // (2, 1, 2) to (2, 2, 1): the last axis first, then the first.
    let turned = evaluate([f32([2, 1, 2], &[1.0, 2.0, 3.0, 4.0])], |_, [x]| x.permute(&[2, 0, 1]));
    assert_eq!(turned, [1.0, 3.0, 2.0, 4.0]);
    let packed = evaluate([f32([2], &[1.0, 2.0]), f32([1], &[3.0])], |graph, [a, b]| {
        graph.pack(&[(64, a), (0, b)], 70).view(0, [66])
    });
    assert_eq!((packed[0], packed[64], packed[65], packed.iter().sum::<f64>()), (3.0, 1.0, 2.0, 6.0));
}

#[test]
fn reductions_run_along_their_axis() {
    let x = || [f32([2, 3], &[1.0, 7.0, 3.0, 4.0, 7.0, 7.0])];
    assert_eq!(evaluate(x(), |_, [x]| x.sum(0)), [5.0, 14.0, 10.0]);
    assert_eq!(evaluate(x(), |_, [x]| x.maximum(1)), [7.0, 7.0]);
    assert_eq!(evaluate(x(), |_, [x]| x.argmax(1)), [1.0, 1.0]);
    assert_eq!(evaluate([f32([2], &[3.0, -4.0])], |_, [x]| x.norm()), [5.0]);
}

#[test]
fn products_transpose_and_share_matrices() {
    // [1 2 3; 4 5 6] times its transpose, and the other way round.
    let square = evaluate([f32([2, 3], SIX)], |_, [x]| x.matmul_transposed(x, false, true));
    assert_eq!(square, [14.0, 32.0, 32.0, 77.0]);
    let other = evaluate([f32([2, 3], SIX)], |_, [x]| x.matmul_transposed(x, true, false));
    assert_eq!(other, [17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0]);
    let shared = evaluate([f32([1, 2], &[1.0, 10.0]), f32([3, 2, 1], SIX)], |_, [a, b]| a.matmul(b));
    assert_eq!(shared, [21.0, 43.0, 65.0]);
}

#[test]
fn rows_of_a_table_are_taken_and_added_by_index() {
    let indices: &[f64] = &[2.0, 0.0, 9.0];
    let taken = evaluate([f32([3, 2], SIX), u32([3], indices)], |_, [table, indices]| table.gather(indices));
    assert_eq!(taken, [5.0, 6.0, 1.0, 2.0, 0.0, 0.0]);
    let added = evaluate([f32([3, 2], SIX), u32([3], indices)], |_, [values, indices]| values.scatter_add(indices, 3));
    assert_eq!(added, [3.0, 4.0, 0.0, 0.0, 1.0, 2.0]);
}

#[test]
fn fused_rows_have_their_textbook_values() {
    let thirds = evaluate([f32([1, 2], &[0.0, 2f64.ln()])], |_, [x]| x.softmax());
    assert_near(&thirds, &[1.0 / 3.0, 2.0 / 3.0]);
    let logarithms = evaluate([f32([1, 2], &[0.0, 2f64.ln()])], |_, [x]| x.log_softmax());
    assert_near(&logarithms, &[-(3f64.ln()), (2.0 / 3.0f64).ln()]);
    // Target 0.85, 0.05, 0.05, 0.05; the second row's label is not a class.
    let logits = &[8f64.ln(), 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0];
    let loss = evaluate([f32([2, 4], logits), u32([2], &[0.0, 4.0])], |_, [x, labels]| x.cross_entropy(labels, 0.2));
    assert_near(&loss, &[11f64.ln() - 0.85 * 8f64.ln(), 0.0]);
    let normal = evaluate([f32([1, 2], &[3.0, 7.0]), f32([2], &[1.0, 2.0]), f32([2], &[0.0, 0.5])], |_, [x, a, b]| {
        x.layer_norm(a, b, 12.0)
    });
    assert_near(&normal, &[-0.5, 1.5]);
}

#[test]
fn attention_weighs_the_values_of_the_keys_that_are_seen() {
    // Equal scores: the mean of what is seen.
    let q = f32([1, 1, 3, 1], &[0.0; 3]);
    let attend = |fused: bool, causal: bool, mask: &[f64]| {
        evaluate([q.clone(), f32([1, 1, 3, 1], &[3.0, 5.0, 10.0]), f32([1, 3], mask)], |_, [q, v, keys]| {
            let mask = AttentionMask { causal, keys: Some(keys) };
            if fused { q.attention_fused(q, v, mask) } else { q.attention_by_products(q, v, mask) }
        })
    };
    for fused in [false, true] {
        assert_near(&attend(fused, false, &[1.0; 3]), &[6.0; 3]);
        assert_near(&attend(fused, true, &[1.0; 3]), &[3.0, 4.0, 6.0]);
        assert_near(&attend(fused, true, &[0.0, 1.0, 1.0]), &[0.0, 5.0, 7.5]);
    }
}

#[test]
fn ascent_steps_have_the_length_and_direction_of_their_formula() {
    let weights = f32([2], &[1.0, -2.0]);
    let gradient = f32([2], &[3.0, -4.0]);
    let plain = evaluate([weights.clone(), gradient.clone()], |graph, [w, g]| {
        w.ascent(g, g.norm(), graph.constant(0.5), Adaptive::default())
    });
    assert_near(&plain, &[1.3, -2.4]);
    // T = (|1| + 1, 1): T g = (6, -4).
    let first = Adaptive { count: 1, eta: 1.0 };
    let adaptive = evaluate([weights.clone(), gradient.clone()], |graph, [w, g]| {
        w.ascent(g, w.scaled_gradient(g, first).norm(), graph.constant(1.0), first)
    });
    let norm = 52f64.sqrt();
    assert_near(&adaptive, &[1.0 + 12.0 / norm, -2.0 - 4.0 / norm]);
    let signs = evaluate([weights, gradient], |graph, [w, g]| w.sign_ascent(g, graph.constant(0.5), first));
    assert_near(&signs, &[2.0, -2.5]);
}

#[test]
fn random_numbers_are_those_of_the_twins() {
    let (seed, uniform) = ([5, 4_000_000_000u32], threefry::Uniform { count: 9, stream: 3 });
    let words = [5.0, 4e9];
    let mut expected = [0.0; 9];
    threefry::uniform_deviates(&uniform, &seed, &mut expected);
    assert_eq!(evaluate([u32([2], &words)], |_, [seed]| seed.uniform(3, [3, 3])), expected.map(f64::from));
    threefry::normal(&uniform, &seed, &mut expected);
    assert_eq!(evaluate([u32([2], &words)], |_, [seed]| seed.normal(3, [9])), expected.map(f64::from));

    let problem = dropout::Problem { count: 6, probability: 0.5, stream: 3 };
    let mut expected = [0.0; 6];
    let inputs: Vec<f32> = SIX.iter().map(|&x| x as f32).collect();
    dropout::dropout(&problem.uniform(), &inputs, &seed, &mut expected);
    let dropped = evaluate([f32([6], SIX), u32([2], &words)], |_, [x, seed]| x.dropout(seed, 3, 0.5));
    assert_eq!(dropped, expected.map(f64::from));
}

#[test]
fn evaluating_adds_nothing_to_the_graph() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3]));
    let slope = gradients(x.softmax().square().sum_all(), &[x])[0];
    let nodes = graph.len();
    Reference::new([("x", SIX.to_vec())]).evaluate(slope).expect("a value of x");
    assert_eq!(graph.len(), nodes);
}

#[test]
fn roundings_move_what_cancels_by_the_size_of_its_terms_and_nothing_that_is_copied_or_chosen() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2]));
    let (sum, chosen) = ((x * x * x).sum_all(), (-x).relu().reshape([2, 1]));
    let reference = Reference::new([("x", vec![1.0, -0.9999])]);
    let exact = reference.evaluate_all(&[sum, chosen]).unwrap();
    let moved = [1, 2, 1].map(|seed| reference.clone().rounded(1e-6, seed).evaluate_all(&[sum, chosen]).unwrap());
    let units = (moved[0][0][0] - exact[0][0]).abs() / 1e-6;
    assert!((0.01..5.0).contains(&units), "{units} roundings of terms of 1 in a sum of {}", exact[0][0]);
    assert!(moved[0] == moved[2] && moved[0] != moved[1]);
    assert_eq!(moved[0][1], exact[1]);
}
