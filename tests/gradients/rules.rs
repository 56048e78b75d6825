//! The rule of every operation, in the middle of a graph: leaves are bent before the operation and its result after
//! it, so a rule that forgets the cotangent, or takes its input for a leaf, fails.

use std::collections::BTreeSet;

use fourfold::graph::{Adaptive, AttentionMask, Graph, Op, Tensor, TensorType, gradients};
use fourfold::shaders::elementwise::{Binary, Unary};

use super::finite_differences::{Case, bend, compare};
use super::images::images;

/// A smooth function of a leaf whose slope is nowhere constant.
pub fn bent(x: Tensor<'_>) -> Tensor<'_> {
    x + x.unary(Unary::Sin) * 0.3
}

/// Positive, away from zero.
fn positive(x: Tensor<'_>) -> Tensor<'_> {
    x.unary(Unary::Softplus) + 0.5
}

fn elementwise() -> Vec<Case> {
    macro_rules! unary {
        ($($function:ident),*) => {
            vec![$(Case::new(stringify!($function), &[&[2, 3]], |_, x| {
                let function = Unary::$function;
                let bounded = matches!(function, Unary::Sqrt | Unary::Rsqrt | Unary::Recip | Unary::Log);
                (if bounded { positive(x[0]) } else { bent(x[0]) }).unary(function)
            })),*]
        };
    }
    macro_rules! binary {
        ($($function:ident),*) => {
            vec![$(Case::new(stringify!($function), &[&[2, 1, 3], &[4, 1]], |_, x| {
                positive(x[0]).binary(Binary::$function, positive(x[1]))
            })),*]
        };
    }
    let mut cases = unary![
        Neg,
        Abs,
        Relu,
        Square,
        Sqrt,
        Rsqrt,
        Recip,
        Exp,
        Log,
        Sin,
        Cos,
        Tanh,
        Erf,
        Sigmoid,
        Softplus,
        GeluErf,
        GeluErfDerivative,
        GeluTanh,
        GeluTanhDerivative
    ];
    cases.extend(binary![Add, Sub, Mul, Div, Min, Max, Pow]);
    cases.extend([
        Case::new("x * x by one value", &[&[5]], |_, x| bent(x[0]) * bent(x[0])),
        Case::new("a negative base to an odd power", &[&[4]], |graph, x| {
            (-positive(x[0])).binary(Binary::Pow, graph.constant(3.0))
        }),
        Case::new("a negative base to a broken power", &[&[4], &[4]], |_, x| {
            (-positive(x[0])).binary(Binary::Pow, positive(x[1]) + 0.1)
        }),
        Case::new("select", &[&[3, 1], &[3, 4], &[4]], |_, x| {
            let condition = x[0].unary(Unary::Step);
            condition.select(bent(x[1]), bent(x[2]) * bent(x[0]))
        }),
    ]);
    cases
}

fn layout() -> Vec<Case> {
    vec![
        Case::new("reshape", &[&[2, 6]], |_, x| bent(x[0]).reshape([3, 4])),
        Case::new("broadcast", &[&[2, 1, 3]], |_, x| bent(x[0]).broadcast_to([4, 2, 5, 3])),
        Case::new("permute", &[&[2, 3, 4]], |_, x| bent(x[0]).permute(&[2, 0, 1])),
        Case::new("slices that overlap", &[&[4, 5]], |_, x| {
            let x = bent(x[0]);
            x.slice(&[1, 0], [2, 3]) * x.slice(&[2, 1], [2, 3])
        }),
        Case::new("slices that divide an axis", &[&[3, 6]], |_, x| {
            let x = bent(x[0]);
            x.narrow(1, 4, 2) * x.narrow(1, 0, 2) + x.narrow(1, 2, 2)
        }),
        Case::new("pad", &[&[2, 3]], |_, x| bent(x[0]).pad(&[1, 2], [4, 6])),
        Case::new("concatenate", &[&[2, 1, 3], &[2, 4, 3]], |graph, x| {
            graph.concatenate(&[bent(x[0]), x[1], bent(x[1])], 1)
        }),
        Case::new("views, one of them twice and one reshaped", &[&[140]], |_, x| {
            let x = bent(x[0]);
            let (w, again, b) = (x.view(0, [2, 3]), x.view(0, [6]), x.view(64, [2, 3]));
            w * b + again.reshape([2, 3]) + w.square()
        }),
        Case::new("views that overlap", &[&[140]], |_, x| {
            let x = bent(x[0]);
            x.view(0, [70]) * x.view(64, [70])
        }),
        Case::new("pack", &[&[2, 3], &[4]], |graph, x| graph.pack(&[(64, bent(x[0])), (0, bent(x[1]))], 80)),
    ]
}

fn reductions() -> Vec<Case> {
    vec![
        Case::new("sum", &[&[2, 3, 4]], |_, x| bent(x[0]).sum(1)),
        Case::new("maximum", &[&[2, 3, 4]], |_, x| bent(x[0]).maximum(1)),
        Case::new("mean", &[&[2, 3]], |_, x| bent(x[0]).mean(0)),
        Case::new("norm", &[&[2, 3]], |_, x| bent(x[0]).norm()),
        Case::new("sum to a stretched shape", &[&[2, 3, 4, 2]], |_, x| bent(x[0]).sum_to(&[3, 1, 2].into())),
    ]
}

fn products() -> Vec<Case> {
    macro_rules! matmul {
        ($(($name:literal, $a:expr, $b:expr, $transpose_a:literal, $transpose_b:literal)),* $(,)?) => {
            vec![$(Case::new($name, &[&$a, &$b], |_, x| {
                bent(x[0]).matmul_transposed(bent(x[1]), $transpose_a, $transpose_b)
            })),*]
        };
    }
    let mut cases = matmul![
        ("a b", [2, 3], [3, 4], false, false),
        ("a^T b", [3, 2], [3, 4], true, false),
        ("a b^T", [2, 3], [4, 3], false, true),
        ("a^T b^T", [3, 2], [4, 3], true, true),
        ("batched", [3, 2, 1], [3, 1, 4], false, false),
        ("batched a^T b^T", [2, 3, 2], [2, 2, 3], true, true),
        ("one left matrix", [2, 3], [4, 3, 2], false, false),
        ("one left matrix, transposed", [3, 2], [4, 2, 3], true, true),
        ("one right matrix", [4, 2, 3], [3, 2], false, false),
        ("one right matrix, left transposed", [4, 3, 2], [2, 3], true, true),
        ("batches that broadcast each other", [2, 1, 2, 3], [3, 3, 2], false, false),
    ];
    cases.extend([
        Case::new("linear", &[&[2, 2, 3], &[4, 3], &[4]], |_, x| bent(x[0]).linear(bent(x[1]), bent(x[2]))),
        Case::new("ascent", &[&[5], &[5], &[], &[]], |_, x| {
            bent(x[0]).ascent(bent(x[1]), positive(x[2]), bent(x[3]), Adaptive::default())
        }),
        Case::new("ascent along its own norm", &[&[5], &[5]], |graph, x| {
            let gradient = bent(x[1]);
            bent(x[0]).ascent(gradient, gradient.norm(), graph.constant(0.1), Adaptive::default())
        }),
        Case::new("sign ascent", &[&[5], &[5], &[]], |_, x| {
            bent(x[0]).sign_ascent(bent(x[1]), bent(x[2]), Adaptive::default())
        }),
        Case::new("adaptive ascent along its own norm", &[&[5], &[5], &[]], |_, x| {
            let (weights, gradient, some) = (bent(x[0]), bent(x[1]), Adaptive { count: 3, eta: 0.1 });
            weights.ascent(gradient, weights.scaled_gradient(gradient, some).norm(), bent(x[2]), some)
        }),
        Case::new("adaptive sign ascent", &[&[5], &[5], &[]], |_, x| {
            bent(x[0]).sign_ascent(bent(x[1]), bent(x[2]), Adaptive { count: 5, eta: 0.1 })
        }),
    ]);
    cases
}

fn rows() -> Vec<Case> {
    let labels = || (TensorType::u32([4]), vec![2.0, 0.0, 4.0, 1.0]);
    let indices = || (TensorType::u32([5]), vec![2.0, 0.0, 2.0, 3.0, 9.0]);
    let given = |case: Case, (kind, values)| case.with(kind, values);
    vec![
        Case::new("softmax", &[&[3, 4]], |_, x| bent(x[0]).softmax()),
        Case::new("log-softmax", &[&[3, 4]], |_, x| bent(x[0]).log_softmax()),
        given(
            Case::new("cross-entropy", &[&[4, 3]], |_, x| bent(x[0]).cross_entropy(x[1], 0.0)),
            // The third row's label is not a class.
            labels(),
        ),
        given(Case::new("smoothed cross-entropy", &[&[4, 5]], |_, x| bent(x[0]).cross_entropy(x[1], 0.2)), labels()),
        Case::new("layer norm", &[&[3, 4], &[4], &[4]], |_, x| bent(x[0]).layer_norm(bent(x[1]), bent(x[2]), 1e-2)),
        Case::new("layer norm with statistics", &[&[3, 4], &[4], &[4]], |_, x| {
            let norm = bent(x[0]).layer_norm_with_statistics(bent(x[1]), bent(x[2]), 1e-2);
            norm.y * (norm.mean * norm.reciprocal_deviation).reshape([3, 1])
        }),
        given(Case::new("gather", &[&[4, 3]], |_, x| bent(x[0]).gather(x[1])), indices()),
        given(Case::new("scatter-add", &[&[5, 3]], |_, x| bent(x[0]).scatter_add(x[1], 4)), indices()),
        Case::new("dropout", &[&[3, 4]], |_, x| bent(x[0]).dropout(x[1], 3, 0.4))
            .with(TensorType::u32([2]), vec![7.0, 4_000_000_000.0]),
    ]
}

fn attention() -> Vec<Case> {
    // One batch hides its second key, the other its first: under a causal mask its first query sees nothing.
    let mask = || (TensorType::f32([2, 3]), vec![1.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
    let given = |case: Case, (kind, values)| case.with(kind, values);
    let heads: &[&[usize]] = &[&[2, 1, 3, 4], &[2, 1, 3, 4], &[2, 1, 3, 4]];
    vec![
        Case::new("attention", &[&[1, 2, 2, 4], &[1, 2, 3, 4], &[1, 2, 3, 4]], |_, x| {
            bent(x[0]).attention_fused(bent(x[1]), bent(x[2]), AttentionMask::default())
        }),
        given(
            Case::new("masked attention", heads, |_, x| {
                let mask = AttentionMask { causal: true, keys: Some(x[3]) };
                bent(x[0]).attention_fused(bent(x[1]), bent(x[2]), mask)
            }),
            mask(),
        ),
        given(
            Case::new("masked attention by products", heads, |_, x| {
                let mask = AttentionMask { causal: true, keys: Some(x[3]) };
                bent(x[0]).attention_by_products(bent(x[1]), bent(x[2]), mask)
            }),
            mask(),
        ),
        Case::new("attention of one tensor to itself", &[&[1, 1, 3, 4]], |_, x| {
            let x = bent(x[0]);
            x.attention_fused(x, x, AttentionMask { causal: true, keys: None })
        }),
    ]
}

/// The cases of all operations.
pub fn all() -> Vec<Case> {
    [elementwise(), layout(), reductions(), products(), rows(), attention(), images()].into_iter().flatten().collect()
}

fn check(cases: Vec<Case>, orders: usize) {
    for case in cases {
        let graph = Graph::new();
        let (leaves, made, mut reference) = case.inputs(&graph);
        let loss = bend(&graph, &mut reference, made);
        compare(case.name, loss, &leaves, &mut reference, orders);
    }
}

#[test]
fn elementwise_operations_have_three_orders_of_derivatives() {
    check(elementwise(), 3);
}

#[test]
fn layout_operations_have_three_orders_of_derivatives() {
    check(layout(), 3);
}

#[test]
fn reductions_have_three_orders_of_derivatives() {
    check(reductions(), 3);
}

#[test]
fn products_and_ascent_steps_have_three_orders_of_derivatives() {
    check(products(), 3);
}

#[test]
fn operations_on_rows_have_three_orders_of_derivatives() {
    check(rows(), 3);
}

#[test]
fn attention_has_three_orders_of_derivatives() {
    check(attention(), 3);
}

#[test]
fn operations_on_images_have_three_orders_of_derivatives() {
    check(images(), 3);
}

/// The name of an operation whose rule must be tested above; `None` for one without a derivative. Whoever adds an
/// operation decides here.
fn rule(op: &Op) -> Option<String> {
    match op {
        Op::Unary(Unary::Sign | Unary::Step | Unary::Floor) => None,
        Op::Unary(function) => Some(function.name().into()),
        Op::Binary(function) => Some(function.name().into()),
        Op::Poison | Op::Input { .. } | Op::State { .. } | Op::Constant(_) => None,
        Op::Compare(_) | Op::Cast(_) | Op::StopGradient | Op::ArgMax { .. } => None,
        Op::Uniform { .. } | Op::Normal { .. } | Op::Windows { .. } => None,
        Op::Assign | Op::Sgd { .. } | Op::AdamW { .. } | Op::Advance | Op::Record => None,
        Op::Select => Some("select".into()),
        Op::Reshape | Op::Broadcast | Op::Permute { .. } | Op::Slice { .. } | Op::Pad { .. } => Some(op.name().into()),
        Op::Concatenate { .. } | Op::View { .. } | Op::Pack { .. } => Some(op.name().into()),
        Op::Max { .. } => Some("maximum along an axis".into()),
        Op::Sum { .. } | Op::Norm | Op::MatMul { .. } => Some(op.name().into()),
        Op::Gather | Op::ScatterAdd { .. } | Op::Dropout { .. } => Some(op.name().into()),
        Op::Fused(operation) => Some(operation.name().into()),
    }
}

#[test]
fn the_rule_of_every_operation_is_compared_with_differences() {
    let layout = ["select", "reshape", "broadcast", "permute", "slice", "pad", "concatenate", "view", "pack"];
    let others = [
        "augment",
        "frames",
        "sum",
        "maximum along an axis",
        "norm",
        "matmul",
        "gather",
        "scatter_add",
        "dropout",
        "scaled_gradient",
        "ascent",
        "sign_ascent",
    ];
    let rows = ["softmax", "log_softmax", "masked_softmax", "cross_entropy", "layer_norm", "attention"];
    let fused = ["softmax_gradient", "log_softmax_gradient", "attention_gradient"];
    let norms = ["layer_norm_input_gradient", "layer_norm_parameter_gradient", "batch_norm", "batch_norm_gradient"];
    let convolutions = ["convolution", "convolution_input_gradient", "convolution_weight_gradient"];
    let pools = ["max_pool", "max_pool_gradient", "max_pool_pick", "average_pool", "average_pool_gradient"];
    let unary = Unary::ALL.into_iter().filter_map(|function| rule(&Op::Unary(function)));
    let binary = Binary::ALL.into_iter().filter_map(|function| rule(&Op::Binary(function)));
    let named =
        [&layout[..], &others, &rows, &fused, &norms, &convolutions, &pools].concat().into_iter().map(String::from);
    let expected: BTreeSet<String> = named.chain(unary).chain(binary).collect();

    // Those in the graph of a first gradient are differentiated again by the check.
    let mut tested = BTreeSet::new();
    for case in all() {
        let graph = Graph::new();
        let (leaves, made, mut reference) = case.inputs(&graph);
        gradients(bend(&graph, &mut reference, made), &leaves);
        tested.extend((0..graph.len()).filter_map(|index| rule(&graph.node(index).op)));
    }
    assert_eq!(tested, expected);
}

#[test]
fn every_fused_operation_of_this_crate_has_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/graph/operations");
    let mut tested = BTreeSet::new();
    for case in all() {
        let graph = Graph::new();
        let (leaves, made, mut reference) = case.inputs(&graph);
        gradients(bend(&graph, &mut reference, made), &leaves);
        let fused = (0..graph.len()).filter_map(|index| match graph.node(index).op {
            Op::Fused(operation) => Some(format!("{:?}", &*operation)),
            _ => None,
        });
        // The type's name is the first word that it prints.
        tested.extend(fused.map(|text| text.split([' ', '(']).next().unwrap_or_default().to_string()));
    }
    // A plan makes it of a convolution, a sum and an activation, each with a case, when gradients are there already.
    tested.insert("BiasedConvolution".to_owned());
    for file in std::fs::read_dir(folder).expect("the folder of the operations") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("WGSL and Rust are text");
        for implementation in text.split("\nimpl Operation for ").skip(1) {
            let name = implementation.split_whitespace().next().expect("a type");
            assert!(tested.contains(name), "{}: no case of the gradient of {name}", path.display());
        }
    }
}
