//! Fused operations in terms of simpler ones: the definition by which second derivatives and the
//! [reference](super::Reference) go.

use fourfold_shaders::Element;
use fourfold_shaders::attention::masked_softmax::Causal;
use fourfold_shaders::elementwise::{Compare, Unary};

use super::rules::algebra::{clamp, is_positive};
use super::{Graph, Op, Shape, Tensor};

/// The outputs of `op` from `inputs` in operations that are simpler, if not yet primitive; `None` if it is primitive or has no values.
pub(super) fn decompose<'g>(graph: &'g Graph, op: &Op, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
    Some(match (op, inputs) {
        (Op::Unary(Unary::GeluTanhDerivative), &[x]) => vec![gelu_tanh_derivative(x)],
        (Op::Softmax, &[x]) => {
            let (weights, total, _) = exponentials(x);
            vec![weights / total]
        }
        (Op::LogSoftmax, &[x]) => {
            let (_, total, largest) = exponentials(x);
            // Large numbers first: the logarithm would be lost in the largest.
            vec![x - largest - total.log()]
        }
        (Op::SoftmaxGradient, &[y, dy]) => vec![y * (dy - row_sum(y * dy))],
        (Op::LogSoftmaxGradient, &[y, dy]) => vec![dy - y.exp() * row_sum(dy)],
        (Op::MaskedSoftmax { scale, causal }, &[scores, ref keys @ ..]) => {
            let allowed = allowed(&scores.shape(), *causal, keys, graph);
            vec![masked_softmax(scores * *scale, allowed).0]
        }
        (Op::CrossEntropy { smoothing }, &[logits, labels]) => cross_entropy(logits, labels, *smoothing),
        (Op::LayerNorm { epsilon }, &[x, scale, shift]) => layer_norm(x, scale, shift, *epsilon),
        (Op::LayerNormInputGradient, &[x, scale, offset, reciprocal, dy]) => {
            let (reciprocal, normal) = normalised(x, offset, reciprocal);
            let g = dy * scale;
            vec![(g - row_mean(g) - normal * row_mean(g * normal)) * reciprocal]
        }
        (Op::LayerNormParameterGradient, &[x, offset, reciprocal, dy]) => {
            let (_, normal) = normalised(x, offset, reciprocal);
            vec![(dy * normal).sum(0), dy.sum(0)]
        }
        (Op::Attention { scale, causal }, &[q, k, v, ref keys @ ..]) => {
            let scores = q.matmul_transposed(k, false, true) * *scale;
            let allowed = allowed(&scores.shape(), causal_of(&scores, *causal), keys, graph);
            let (weights, log_sum) = masked_softmax(scores, allowed);
            vec![weights.matmul(v), log_sum.reshape(&q.shape()[..3])]
        }
        (Op::AttentionGradient { scale, causal }, &[q, k, v, output, log_sum, doutput, ref keys @ ..]) => {
            let scores = q.matmul_transposed(k, false, true) * *scale;
            let scores = hide(scores, allowed(&scores.shape(), causal_of(&scores, *causal), keys, graph));
            let column = [&log_sum.shape()[..], &[1]].concat();
            let weights = (scores - log_sum.reshape(column)).exp();
            let dweights = doutput.matmul_transposed(v, false, true);
            let dscores = weights * (dweights - row_sum(doutput * output)) * *scale;
            vec![
                dscores.matmul(k),
                dscores.matmul_transposed(q, true, false),
                weights.matmul_transposed(doutput, true, false),
            ]
        }
        (Op::Ascent { adaptive, eta }, &[weights, gradient, norm, rho]) => {
            let moves = is_positive(norm);
            let factor = rho * moves / moves.select(norm, graph.constant(1.0));
            let twice = scaled(weights, scaled(weights, gradient, *adaptive, *eta), *adaptive, *eta);
            vec![weights + twice * factor]
        }
        (Op::SignAscent { adaptive, eta }, &[weights, gradient, rho]) => {
            vec![weights + scaled(weights, gradient.sign(), *adaptive, *eta) * rho]
        }
        (Op::ScaledGradient { adaptive, eta }, &[weights, gradient]) => {
            vec![scaled(weights, gradient, *adaptive, *eta)]
        }
        (Op::Custom(operation), inputs) => return operation.defined(graph, inputs),
        // Primitive: each has a gradient rule and a formula in the reference.
        (
            Op::Poison
            | Op::Input { .. }
            | Op::State { .. }
            | Op::Constant(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Cast(_)
            | Op::Reshape
            | Op::StopGradient
            | Op::Broadcast
            | Op::Permute { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concatenate { .. }
            | Op::View { .. }
            | Op::Pack { .. }
            | Op::Sum { .. }
            | Op::Max { .. }
            | Op::ArgMax { .. }
            | Op::Norm
            | Op::MatMul { .. }
            | Op::Gather
            | Op::ScatterAdd { .. }
            | Op::Uniform { .. }
            | Op::Normal { .. }
            | Op::Dropout { .. }
            | Op::Windows { .. },
            _,
        ) => return None,
        // Effects have no values.
        (Op::Assign | Op::Sgd { .. } | Op::AdamW { .. } | Op::Advance | Op::Record, _) => return None,
        // Not with the inputs that these operations have.
        (
            Op::Softmax
            | Op::LogSoftmax
            | Op::SoftmaxGradient
            | Op::LogSoftmaxGradient
            | Op::MaskedSoftmax { .. }
            | Op::CrossEntropy { .. }
            | Op::LayerNorm { .. }
            | Op::LayerNormInputGradient
            | Op::LayerNormParameterGradient
            | Op::Attention { .. }
            | Op::AttentionGradient { .. }
            | Op::Ascent { .. }
            | Op::SignAscent { .. }
            | Op::ScaledGradient { .. },
            _,
        ) => return None,
    })
}

/// `s + x s (1 - s) u'` with `s` the logistic function of `u = 2 sqrt(2/pi) (x + 0.044715 x^3)`.
fn gelu_tanh_derivative(x: Tensor<'_>) -> Tensor<'_> {
    const SCALE: f32 = 2.0 * 0.797_884_6;
    const CUBE: f32 = 0.044_715;
    // Past 40 the derivative is 0 or 1 to the last bit.
    let x = clamp(x, 40.0);
    let square = x.square();
    let share = (x * (square * CUBE + 1.0) * SCALE).unary(Unary::Sigmoid);
    let slope = (square * (3.0 * CUBE) + 1.0) * SCALE;
    share + x * share * (1.0 - share) * slope
}

/// (`exp(x - largest)`, its sum, the largest) of each row, the latter two with a last axis of length 1.
///
/// The largest is no more than a common shift, on which neither softmax nor log-sum-exp depends.
fn exponentials(x: Tensor<'_>) -> (Tensor<'_>, Tensor<'_>, Tensor<'_>) {
    let last = x.shape().rank() - 1;
    let largest = x.maximum(last).reshape(x.shape().with_axis(last, 1)).stop_gradient();
    let weights = (x - largest).exp();
    (weights, row_sum(weights), largest)
}

/// The sum of each row, with a last axis of length 1.
fn row_sum(x: Tensor<'_>) -> Tensor<'_> {
    let last = x.shape().rank() - 1;
    x.sum(last).reshape(x.shape().with_axis(last, 1))
}

fn row_mean(x: Tensor<'_>) -> Tensor<'_> {
    let columns = x.shape().last().copied().unwrap_or(1);
    row_sum(x) / columns as f32
}

/// 0, 1, .. `length - 1`.
fn positions(graph: &Graph, length: usize) -> Tensor<'_> {
    let mut positions = graph.full([1], 0.0);
    while positions.elements() < length {
        let count = positions.elements() as f32;
        positions = graph.concatenate(&[positions, positions + count], 0);
    }
    positions.narrow(0, 0, length)
}

/// 1 where query `i` may see key `j`, 0 elsewhere, in a shape that broadcasts to that of the scores `(batch, heads,
/// queries, keys)`; `None` where every query sees every key.
fn allowed<'g>(scores: &Shape, causal: Option<Causal>, keys: &[Tensor<'g>], graph: &'g Graph) -> Option<Tensor<'g>> {
    let (queries, length) = (scores[2], scores[3]);
    let triangle = causal.map(|Causal { first, stride }| {
        let seen = positions(graph, queries) * stride as f32 + first as f32;
        seen.reshape([queries, 1]).compare(Compare::Gt, positions(graph, length))
    });
    let zero = graph.constant(0.0);
    let keys = keys.first().map(|keys| keys.compare(Compare::Ne, zero).reshape([scores[0], 1, 1, length]));
    triangle.into_iter().chain(keys).reduce(|a, b| a * b)
}

/// The mask of attention with scores `(batch, heads, queries, keys)`.
fn causal_of(scores: &Tensor<'_>, causal: bool) -> Option<Causal> {
    let shape = scores.shape();
    causal.then(|| Causal::aligned(shape[2], shape[3]))
}

/// The scores, and the lowest number where they are not allowed: the exponential of its excess over a log-sum-exp is 0.
fn hide<'g>(scores: Tensor<'g>, allowed: Option<Tensor<'g>>) -> Tensor<'g> {
    allowed.map_or(scores, |allowed| allowed.select(scores, scores.graph().constant(f32::MIN)))
}

/// The softmax of scores and its log-sum-exp (with a last axis of length 1); both are 0 in a row in which nothing is
/// allowed.
fn masked_softmax<'g>(scores: Tensor<'g>, allowed: Option<Tensor<'g>>) -> (Tensor<'g>, Tensor<'g>) {
    let Some(allowed) = allowed else {
        let (weights, total, largest) = exponentials(scores);
        return (weights / total, largest + total.log());
    };
    let number = |number: f32| scores.graph().constant(number);
    let last = scores.shape().rank() - 1;
    let row_maximum = |x: Tensor<'g>| x.maximum(last).reshape(scores.shape().with_axis(last, 1)).stop_gradient();
    let any = row_maximum(allowed.broadcast_to(scores.shape()));
    let hidden = allowed.select(scores, number(f32::NEG_INFINITY));
    let largest = any.select(row_maximum(hidden), number(0.0));
    let weights = (hidden - largest).exp();
    let total = any.select(row_sum(weights), number(1.0));
    (allowed.select(weights / total, number(0.0)), any.select(largest + total.log(), number(0.0)))
}

/// `T values` with `T = |w| + eta` in the first `adaptive` elements and 1 in the others.
fn scaled<'g>(weights: Tensor<'g>, values: Tensor<'g>, adaptive: usize, eta: f32) -> Tensor<'g> {
    let length = weights.elements();
    let adaptive = adaptive.min(length);
    if adaptive == 0 {
        return values;
    }
    let head = values.narrow(0, 0, adaptive) * (weights.narrow(0, 0, adaptive).abs() + eta);
    if adaptive == length {
        return head;
    }
    weights.graph().concatenate(&[head, values.narrow(0, adaptive, length - adaptive)], 0)
}

fn cross_entropy<'g>(logits: Tensor<'g>, labels: Tensor<'g>, smoothing: f32) -> Vec<Tensor<'g>> {
    let (graph, shape) = (logits.graph(), logits.shape());
    let (rows, classes) = (shape[0], shape[1]);
    let labels = labels.cast(Element::F32).reshape([rows, 1]);
    let counted = labels.compare(Compare::Lt, graph.constant(classes as f32));
    let smoothing = graph.constant(smoothing);
    let right = positions(graph, classes).compare(Compare::Eq, labels);
    let target = right * (1.0 - smoothing) + smoothing / classes as f32;
    let logarithm = logits.log_softmax();
    // A mass of 0 counts infinite logits out.
    let zero = graph.constant(0.0);
    let loss = counted.select(-row_sum(target.select(target * logarithm, zero)), zero);
    vec![loss.reshape([rows]), counted.select(logarithm.exp() - target, zero)]
}

fn layer_norm<'g>(x: Tensor<'g>, scale: Tensor<'g>, shift: Tensor<'g>, epsilon: f32) -> Vec<Tensor<'g>> {
    let rows = [x.shape()[0]];
    let offset = row_mean(from_first(x));
    let centred = from_first(x) - offset;
    let reciprocal = (row_mean(centred.square()) + epsilon).unary(Unary::Rsqrt);
    vec![centred * reciprocal * scale + shift, offset.reshape(rows), reciprocal.reshape(rows)]
}

/// The differences of each row to its first element.
pub(super) fn from_first(x: Tensor<'_>) -> Tensor<'_> {
    x - x.narrow(1, 0, 1)
}

/// (the reciprocal deviation as a column, the normalised rows).
fn normalised<'g>(x: Tensor<'g>, offset: Tensor<'g>, reciprocal: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    let column = [x.shape()[0], 1];
    let reciprocal = reciprocal.reshape(column);
    (reciprocal, (from_first(x) - offset.reshape(column)) * reciprocal)
}
