//! The nodes that are built: packs instead of sums, zeros where nothing depends, no work off the path, and errors that
//! name the caller's line.

use fourfold::graph::{
    Adaptive, AttentionMask, Graph, Op, Reference, ReferenceError, Tag, Tensor, TensorType, Value, gradients,
    vector_jacobian,
};

use super::finite_differences::{assert_close, spread};

/// Counts the nodes of the graph that hold such an operation.
fn count(graph: &Graph, is_it: impl Fn(&Op) -> bool) -> usize {
    (0..graph.len()).filter(|&index| is_it(&graph.node(index).op)).count()
}

#[test]
fn the_uses_of_a_flat_tensor_through_views_become_one_pack() {
    let graph = Graph::new();
    let w = graph.state("w", Tag::Weights, TensorType::f32([192]));
    let (matrix, again, shift) = (w.view(0, [2, 3]), w.view(0, [6]), w.view(128, [3]));
    let loss = (matrix * shift).square().sum_all() + again.square().sum_all();
    let slope = gradients(loss, &[w])[0];
    assert_eq!(graph.check(), Ok(()));
    assert_eq!(graph.node(slope.value().node).op, Op::Pack { offsets: vec![0, 128] });
    assert_eq!(count(&graph, |op| matches!(op, Op::Pack { .. })), 1);
}

#[test]
fn slices_that_divide_a_tensor_become_one_concatenation() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 12]));
    let [q, k, v] = [0, 4, 8].map(|start| x.narrow(1, start, 4));
    let slope = gradients((q * k * v).sum_all(), &[x])[0];
    assert_eq!(graph.node(slope.value().node).op, Op::Concatenate { axis: 1 });
    assert_eq!(count(&graph, |op| matches!(op, Op::Pad { .. })), 0);
}

#[test]
fn nothing_is_multiplied_by_one_or_added_to_zero() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4]));
    let before = graph.len();
    let loss = x.sum_all() + x.reshape([2, 2]).sum_all();
    let forward = graph.len();
    gradients(loss, &[x]);
    let elementwise = |range: std::ops::Range<usize>| range.filter(|&i| graph.node(i).op.is_elementwise()).count();
    assert_eq!((elementwise(before..forward), elementwise(forward..graph.len())), (1, 0));
}

#[test]
fn what_lies_off_the_path_from_wrt_gets_no_cotangent() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([3]));
    let y = graph.input("y", TensorType::f32([3]));
    let loss = x.exp().dot(y.softmax());
    gradients(loss, &[x]);
    assert_eq!(count(&graph, |op| op.name() == "softmax_gradient"), 0);
    gradients(loss, &[y]);
    assert_eq!(count(&graph, |op| op.name() == "softmax_gradient"), 1);
}

#[test]
fn a_tensor_that_does_not_matter_has_gradient_zero() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2]));
    let stranger = graph.input("stranger", TensorType::f32([3, 2]));
    let behind = x.sign().dot(x.stop_gradient());
    let slopes = gradients(x.sum_all() + behind, &[x, stranger]);
    let values = Reference::new([("x", vec![3.0, -2.0])]).evaluate_all(&slopes).expect("no value of the stranger");
    assert_eq!(values, [vec![1.0; 2], vec![0.0; 6]]);
    let one = graph.constant(1.0);
    assert_eq!(vector_jacobian(&[behind], &[one], &[x]), [None]);
}

#[test]
fn gradients_for_a_value_on_the_way_and_for_its_origin_are_both_whole() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2]));
    let square = x.square();
    let loss = square.square().sum_all();
    let slopes = gradients(loss, &[x, square, x, loss]);
    let values = Reference::new([("x", vec![2.0, -1.0])]).evaluate_all(&slopes).expect("a value of x");
    assert_eq!(values, [vec![32.0, -4.0], vec![8.0, 2.0], vec![32.0, -4.0], vec![1.0]]);
}

#[test]
fn a_stopped_ascent_leaves_the_gradient_at_the_ascended_weights() {
    fn loss(w: Tensor<'_>) -> Tensor<'_> {
        w.square().dot(w.exp())
    }
    let graph = Graph::new();
    let w = graph.state("w", Tag::Weights, TensorType::f32([3]));
    let slope = gradients(loss(w), &[w])[0];
    let ascended = w.ascent(slope, slope.norm(), graph.constant(0.25), Adaptive::default());
    let step = (ascended - w).stop_gradient();
    let first_order = gradients(loss(w + step), &[w])[0];
    let at = graph.input("at", TensorType::f32([3]));
    let expected = gradients(loss(at), &[at])[0];

    let mut reference = Reference::new([("w", spread(3, 1))]);
    reference.set("at", reference.evaluate(ascended).expect("a value of w"));
    let [got, expected] = [first_order, expected].map(|tensor| reference.evaluate(tensor).expect("both values"));
    assert_close("the gradient at w + eps", &got, &expected);
}

#[test]
fn equal_maxima_share_the_gradient_equally() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4]));
    let y = graph.input("y", TensorType::f32([4]));
    let along = gradients(x.maximum(0), &[x])[0];
    let between = gradients(x.max(y).sum_all(), &[x])[0];
    let reference = Reference::new([("x", vec![1.0, 5.0, 2.0, 5.0]), ("y", vec![0.0, 5.0, 3.0, 5.0])]);
    assert_eq!(reference.evaluate(along), Ok(vec![0.0, 0.5, 0.0, 0.5]));
    assert_eq!(reference.evaluate(between), Ok(vec![1.0, 0.5, 0.0, 0.5]));
}

#[test]
fn a_zero_norm_has_zero_gradients_and_a_zero_ascent() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([3]));
    let norm = x.norm();
    let ascended = x.ascent(x, norm, graph.constant(0.5), Adaptive::default());
    let slope = gradients(norm, &[x])[0];
    let through = gradients(ascended.square().sum_all(), &[x])[0];
    let second = gradients(slope.sum_all(), &[x])[0];
    let values = Reference::new([("x", vec![0.0; 3])]).evaluate_all(&[slope, ascended, through, second]);
    let values = values.expect("a value of x");
    assert_eq!(values[..3], [vec![0.0; 3], vec![0.0; 3], vec![0.0; 3]]);
    assert!(values[3].iter().all(|value| value.is_finite()));
}

#[test]
fn a_query_that_sees_no_key_gives_zeros_and_gets_none() {
    let graph = Graph::new();
    let q = graph.input("q", TensorType::f32([1, 1, 2, 2]));
    let keys = graph.input("keys", TensorType::f32([1, 2]));
    let mask = AttentionMask { causal: false, keys: Some(keys) };
    for attended in [q.attention_fused(q, q, mask), q.attention_by_products(q, q, mask)] {
        let slope = gradients(attended.square().sum_all() + attended.sum_all(), &[q])[0];
        let reference = Reference::new([("q", spread(4, 0)), ("keys", vec![0.0; 2])]);
        assert_eq!(reference.evaluate_all(&[attended, slope]), Ok(vec![vec![0.0; 4]; 2]));
    }
}

#[test]
fn a_node_of_the_gradient_names_the_line_that_it_differentiates() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([3]));
    let line = line!() + 1;
    let y = x.softmax();
    let slope = gradients(y.square().sum_all(), &[x])[0];
    let node = graph.node(slope.value().node);
    assert_eq!((node.op.name(), node.location.line()), ("softmax_gradient", line));
}

/// The error of the mistake that `build` makes at the line after `line`.
fn error(build: impl for<'g> Fn(&'g Graph)) -> (String, u32) {
    let graph = Graph::new();
    build(&graph);
    let error = graph.check().expect_err("a mistake");
    assert!(error.location.file().ends_with("building.rs"), "{error}");
    (error.to_string(), error.location.line())
}

#[test]
fn a_shape_error_names_the_operation_both_shapes_and_the_callers_line() {
    let kinds = |graph: &Graph, a: &[usize], b: &[usize]| {
        graph.input("a", TensorType::f32(a));
        graph.input("b", TensorType::f32(b));
    };
    type Mistake = (&'static str, [&'static [usize]; 2], for<'g> fn(Tensor<'g>, Tensor<'g>) -> u32);
    let mistakes: [Mistake; 8] = [
        ("elementwise", [&[2, 3], &[4]], |a, b| (a + b, line!()).1),
        ("matmul", [&[2, 3], &[4, 5]], |a, b| (a.matmul(b), line!()).1),
        ("matmul", [&[2, 3], &[4, 5]], |a, b| (a.linear(b, b), line!()).1),
        ("reshape", [&[2, 3], &[4]], |a, b| (a.reshape(b.shape()), line!()).1),
        ("broadcast", [&[2, 3], &[4]], |a, b| (a.broadcast_to(b.shape()), line!()).1),
        ("dot", [&[2, 3], &[3, 2]], |a, b| (a.dot(b), line!()).1),
        ("attention", [&[1, 2, 3, 4], &[1, 3, 3, 4]], |a, b| (a.attention(b, b, AttentionMask::default()), line!()).1),
        ("vector_jacobian", [&[2, 3], &[4]], |a, b| (vector_jacobian(&[a], &[b], &[a]), line!()).1),
    ];
    for (operation, shapes, mistake) in mistakes {
        let line = std::cell::Cell::new(0);
        let (message, at) = error(|graph| {
            kinds(graph, shapes[0], shapes[1]);
            let operand = |node| graph.tensor(Value { node, output: 0 });
            line.set(mistake(operand(0), operand(1)));
        });
        assert!(message.starts_with(&format!("{operation}: ")), "{message}");
        assert!(shapes.iter().all(|shape| message.contains(&format!("{shape:?}"))), "{message}");
        assert_eq!(at, line.get(), "{message}");
    }
}

#[test]
fn gradients_of_more_than_a_number_or_for_whole_numbers_are_refused() {
    let line = std::cell::Cell::new(0);
    let (message, at) = error(|graph| {
        let x = graph.input("x", TensorType::f32([2, 3]));
        line.set(line!() + 1);
        gradients(x, &[x]);
    });
    assert!(message.starts_with("gradients: takes the gradients of an f32 of shape []") && message.contains("[2, 3]"));
    assert_eq!(at, line.get());

    let (message, at) = error(|graph| {
        let indices = graph.input("indices", TensorType::u32([3]));
        let loss = graph.input("table", TensorType::f32([4, 2])).gather(indices).sum_all();
        line.set(line!() + 1);
        gradients(loss, &[indices]);
    });
    assert!(message.contains("takes f32 tensors") && message.contains("[3]"), "{message}");
    assert_eq!(at, line.get());
}

#[test]
fn a_poisoned_graph_keeps_its_first_mistake_through_everything_built_on_it() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3]));
    let line = line!() + 1;
    let wrong = x.matmul(x);
    let mask = AttentionMask { causal: true, keys: Some(wrong) };
    let loss = wrong.permute(&[1, 0]).transpose().narrow(0, 0, 1).softmax().view(0, [2]).attention(x, wrong, mask);
    let loss = loss.layer_norm(x, x, 1e-5).cross_entropy(wrong, 0.0).gather(wrong).scatter_add(wrong, 3);
    let slopes = gradients(loss, &[x, wrong]);
    gradients(slopes[0].dot(x), &[x]);
    let error = graph.check().expect_err("the first mistake");
    assert_eq!((error.operation, error.location.line()), ("matmul", line));
    let reference = Reference::new([("x", vec![0.0; 6])]);
    assert_eq!(reference.evaluate(slopes[0]), Err(ReferenceError::Graph(error)));
}

#[test]
fn the_interpreter_says_which_value_is_missing_or_of_another_length() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3]));
    let missing = Reference::default().evaluate(x).expect_err("no value");
    assert_eq!(missing.to_string(), "`x` of shape [2, 3] was given no values");
    let short = Reference::new([("x", vec![1.0])]).evaluate(x).expect_err("a value of one element");
    assert_eq!(short.to_string(), "`x` of shape [2, 3] takes 6 values, got 1");
}

/// The mistake that building by `build` makes.
fn mistake(build: impl FnOnce(&Graph)) -> String {
    let graph = Graph::new();
    build(&graph);
    graph.check().expect_err("a mistake").to_string()
}

#[test]
fn operands_of_another_element_type_are_refused_with_the_callers_line() {
    let whole = |graph: &Graph, shape: &[usize]| graph.input("x", TensorType::u32(shape)).value();
    type Build = fn(Tensor<'_>, Tensor<'_>);
    let builds: [(&str, &[usize], Build); 5] = [
        ("cross_entropy", &[1, 3], |x, rows| _ = x.cross_entropy(rows, 0.0)),
        ("scatter_add", &[1, 1], |x, rows| _ = x.scatter_add(rows, 2)),
        ("masked_softmax", &[1, 1, 2, 2], |x, _| _ = x.masked_softmax(1.0, AttentionMask::default())),
        ("layer_norm", &[1, 2], |x, _| {
            let one = x.graph().full([2], 1.0);
            x.layer_norm(one, one, 1e-5);
        }),
        ("pack", &[4], |x, _| _ = x.graph().pack(&[(0, x)], 64)),
    ];
    for (name, shape, build) in builds {
        let message = mistake(|graph| {
            let x = graph.tensor(whole(graph, shape));
            build(x, graph.input("rows", TensorType::u32([1])));
        });
        assert!(message.contains(name) && message.contains("F32") && message.contains("building.rs"), "{message}");
    }
}

#[test]
fn sizes_of_zero_and_sizes_past_32_bits_are_refused() {
    let builds: [fn(&Graph); 8] = [
        |graph| _ = graph.full([2, 0], 1.0).softmax(),
        |graph| _ = graph.full([1 << 20, 1 << 20], 1.0),
        |graph| _ = graph.full([usize::MAX, usize::MAX], 1.0),
        |graph| _ = graph.input("x", TensorType::f32([1 << 40, 1 << 40])),
        |graph| _ = graph.full([3, 2], 1.0).scatter_add(graph.input("i", TensorType::u32([3])), 0),
        |graph| _ = graph.full([3, 2], 1.0).scatter_add(graph.input("i", TensorType::u32([3])), usize::MAX),
        |graph| _ = graph.input("seed", TensorType::u32([2])).normal(0, [0]),
        |graph| _ = graph.full([4, 1], 1.0).reshape([4]).matmul(graph.full([4, 0], 1.0)),
    ];
    for build in builds {
        mistake(build);
    }
}

#[test]
fn positions_past_the_largest_number_are_refused() {
    let far = usize::MAX;
    let x = |graph: &Graph| graph.input("x", TensorType::f32([64])).value();
    mistake(|graph| _ = graph.tensor(x(graph)).narrow(0, far, 2));
    mistake(|graph| _ = graph.tensor(x(graph)).slice(&[far], [2]));
    mistake(|graph| _ = graph.tensor(x(graph)).pad(&[far], [128]));
    mistake(|graph| _ = graph.tensor(x(graph)).view(far - 63, [64]));
    mistake(|graph| _ = graph.pack(&[(far - 63, graph.tensor(x(graph)))], 128));
}

#[test]
fn a_masked_softmax_of_very_low_scores_is_that_of_the_allowed_ones() {
    let graph = Graph::new();
    let scores = graph.input("scores", TensorType::f32([1, 1, 1, 3]));
    let keys = graph.input("keys", TensorType::f32([1, 3]));
    let y = scores.masked_softmax(1.0, AttentionMask { causal: false, keys: Some(keys) });
    let reference = Reference::new([("scores", vec![-1e30, -1e30, 5.0]), ("keys", vec![1.0, 1.0, 0.0])]);
    assert_eq!(reference.evaluate(y), Ok(vec![0.5, 0.5, 0.0]));
}
