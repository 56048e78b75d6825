//! Whole networks over one flat tensor of parameters: first derivatives, products with the Hessian, and the full
//! gradient of a sharpness-aware step, against differences in f64.

use fourfold::graph::{Adaptive, AttentionMask, Graph, Op, Reference, Tag, Tensor, TensorType, gradients};

use super::finite_differences::{assert_close, spread};

/// The loss of a network from its flat parameters.
type Loss = for<'g> fn(Parameters<'g>, &'g Graph) -> Tensor<'g>;

/// Hands out views of a flat tensor one after the other.
struct Parameters<'g> {
    flat: Tensor<'g>,
    next: usize,
}

impl<'g> Parameters<'g> {
    fn take<const N: usize>(&mut self, shape: [usize; N]) -> Tensor<'g> {
        let view = self.flat.view(self.next, shape);
        self.next = (self.next + view.elements()).next_multiple_of(Op::ALIGNMENT);
        view
    }
}

/// The length of the parameters: enough for each network here.
const LENGTH: usize = 20 * Op::ALIGNMENT;

fn inputs(graph: &Graph) -> [Tensor<'_>; 3] {
    [
        graph.input("x", TensorType::f32([2, 4, 6])),
        graph.input("labels", TensorType::u32([2, 4])),
        graph.input("keys", TensorType::f32([2, 4])),
    ]
}

fn reference() -> Reference {
    let weights = spread(LENGTH, 5).into_iter().map(|weight| 0.4 * weight).collect();
    let labels = [0.0, 2.0, 1.0, 1.0, 2.0, 0.0, 0.0, 1.0].to_vec();
    let keys = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0].to_vec();
    Reference::new([("w", weights), ("x", spread(48, 11)), ("labels", labels), ("keys", keys)])
}

/// Linear, layer norm, the exact GELU, linear, the other GELU, a softmax that gates, linear to classes.
fn perceptron<'g>(mut parameters: Parameters<'g>, graph: &'g Graph) -> Tensor<'g> {
    let [x, labels, _] = inputs(graph);
    let mut take = |outputs, inputs| (parameters.take([outputs, inputs]), parameters.take([outputs]));
    let (weight, bias) = take(5, 6);
    let hidden = x.linear(weight, bias);
    let (weight, bias) = take(5, 5);
    let (scale, shift) = take(5, 1);
    let hidden = hidden.layer_norm(scale.reshape([5]), shift, 1e-3).gelu_erf().linear(weight, bias).gelu_tanh();
    let hidden = hidden * hidden.softmax();
    let (weight, bias) = take(3, 5);
    hidden.linear(weight, bias).cross_entropy(labels, 0.1).mean_all()
}

/// A block of a transformer whose first embedding is shared with its classifier.
fn transformer<'g>(mut parameters: Parameters<'g>, graph: &'g Graph, fused: bool, causal: bool) -> Tensor<'g> {
    let [x, labels, keys] = inputs(graph);
    let shared = parameters.take([6, 6]);
    let x = x.linear(shared, parameters.take([6]));
    let (scale, shift) = (parameters.take([6]), parameters.take([6]));
    let joint = x.layer_norm(scale, shift, 1e-3).linear(parameters.take([18, 6]), parameters.take([18]));
    let [q, k, v] = [0, 6, 12].map(|start| joint.narrow(2, start, 6).reshape([2, 4, 2, 3]).permute(&[0, 2, 1, 3]));
    let mask = AttentionMask { causal, keys: Some(keys) };
    let heads = if fused { q.attention_fused(k, v, mask) } else { q.attention_by_products(k, v, mask) };
    let merged = heads.permute(&[0, 2, 1, 3]).reshape([2, 4, 6]);
    let x = x + merged.linear(parameters.take([6, 6]), parameters.take([6]));
    let hidden = x.layer_norm(scale, shift, 1e-3).linear(parameters.take([8, 6]), parameters.take([8])).gelu_tanh();
    let x = x + hidden.linear(parameters.take([6, 8]), parameters.take([6]));
    x.matmul(shared).narrow(2, 1, 4).cross_entropy(labels, 0.2).mean_all()
}

/// The products with the Hessian of two directions, and what they are compared with.
fn check_hessian(loss: Loss) {
    let graph = Graph::new();
    let w = graph.state("w", Tag::Weights, TensorType::f32([LENGTH]));
    let number = loss(Parameters { flat: w, next: 0 }, &graph);
    let slope = gradients(number, &[w])[0];
    let directions = ["u", "v"].map(|name| graph.input(name, TensorType::f32([LENGTH])));
    let products = directions.map(|direction| gradients(slope.dot(direction), &[w])[0]);
    assert_eq!(graph.check(), Ok(()));

    let mut reference = reference();
    let [u, v] = [spread(LENGTH, 31), spread(LENGTH, 57)];
    reference.set("u", u.clone());
    reference.set("v", v.clone());
    let values = reference.evaluate_all(&[slope, products[0], products[1]]).expect("all values given");
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };

    let rise = along(&reference, number, &u);
    assert_close("the slope along u", &[dot(&values[0], &u)], &rise);
    assert_close("the Hessian times u", &values[1], &along(&reference, slope, &u));
    assert_close("the Hessian times v", &values[2], &along(&reference, slope, &v));
    assert_close("the symmetry of the Hessian", &[dot(&v, &values[1])], &[dot(&u, &values[2])]);
}

/// The derivative of `tensor` for `w` along `direction`, by five points.
fn along(reference: &Reference, tensor: Tensor<'_>, direction: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-4;
    let w = reference.evaluate(tensor.graph().tensor(fourfold::graph::Value { node: 0, output: 0 })).expect("w");
    let at = |steps: f64| {
        let mut moved = reference.clone();
        moved.set("w", w.iter().zip(direction).map(|(w, d)| w + steps * STEP * d).collect());
        moved.evaluate(tensor).expect("all values given")
    };
    let [near, far] = [1.0, 2.0].map(|steps| [at(steps), at(-steps)]);
    (0..near[0].len()).map(|i| (8.0 * (near[0][i] - near[1][i]) - (far[0][i] - far[1][i])) / (12.0 * STEP)).collect()
}

#[test]
fn the_hessian_of_a_perceptron_with_layer_norm_and_both_gelus_is_that_of_differences() {
    check_hessian(perceptron);
}

#[test]
fn the_hessian_of_a_transformer_with_attention_by_products_is_that_of_differences() {
    check_hessian(|parameters, graph| transformer(parameters, graph, false, true));
}

#[test]
fn the_hessian_of_a_transformer_with_fused_causal_attention_is_that_of_differences() {
    check_hessian(|parameters, graph| transformer(parameters, graph, true, true));
}

#[test]
fn the_hessian_of_a_transformer_with_fused_attention_and_a_key_mask_is_that_of_differences() {
    check_hessian(|parameters, graph| transformer(parameters, graph, true, false));
}

/// The loss at `w + rho T^2 g(w) / |T g(w)|`, differentiated through the ascent: it takes the Hessian.
#[test]
fn the_full_gradient_of_a_sharpness_aware_step_is_that_of_differences() {
    for scaled in [Adaptive::default(), Adaptive { count: 4 * Op::ALIGNMENT, eta: 0.05 }] {
        let graph = Graph::new();
        let w = graph.state("w", Tag::Weights, TensorType::f32([LENGTH]));
        let x = graph.input("x", TensorType::f32([8, 6]));
        let loss = |flat| {
            let mut parameters = Parameters { flat, next: 0 };
            let hidden = x.linear(parameters.take([5, 6]), parameters.take([5])).gelu_tanh();
            hidden.linear(parameters.take([3, 5]), parameters.take([3])).square().mean_all()
        };
        let slope = gradients(loss(w), &[w])[0];
        let norm = w.scaled_gradient(slope, scaled).norm();
        let sharp = loss(w.ascent(slope, norm, graph.constant(0.3), scaled));
        let full = gradients(sharp, &[w])[0];
        let second_order =
            gradients(loss(w + (w.ascent(slope, norm, graph.constant(0.3), scaled) - w).stop_gradient()), &[w])[0];

        let mut reference = reference();
        reference.set("x", spread(48, 11));
        let u = spread(LENGTH, 31);
        let values = reference.evaluate_all(&[full, second_order]).expect("all values given");
        let dot = |a: &[f64]| -> f64 { a.iter().zip(&u).map(|(a, b)| a * b).sum() };
        let expected = along(&reference, sharp, &u);
        assert_close("the full gradient along u", &[dot(&values[0])], &expected);
        assert!(
            (dot(&values[1]) - expected[0]).abs() > 1e-3 * expected[0].abs(),
            "the second order does not matter here"
        );
    }
}
