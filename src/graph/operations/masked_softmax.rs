//! Softmax over the keys that each query may see.

use fourfold_shaders::attention::masked_softmax::{self, Causal};
use fourfold_shaders::elementwise::Compare;
use fourfold_shaders::{Sequence, Target};

use super::rows::{exponentials, positions, row_sum};
use super::softmax::softmax_gradient;
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::{Graph, Shape, Tensor, TensorType};

/// The keys that a query attends to.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionMask<'g> {
    /// Query `i` attends to keys `0..=i` alone.
    pub causal: bool,
    /// `(batch, keys)`: keys where it is 0 are ignored.
    pub keys: Option<Tensor<'g>>,
}

/// (scores `(batch, heads, queries, keys)` \[, key mask `(batch, keys)`\]): the softmax of scale * scores over the
/// allowed keys, 0 elsewhere and throughout a row without any.
#[derive(Debug)]
struct MaskedSoftmax {
    scale: f32,
    causal: Option<Causal>,
}

impl Operation for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked_softmax"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [scores, keys @ ..] if scores.is_float() && scores.shape.rank() == 4 => {
                let mask = TensorType::f32([scores.shape[0], scores.shape[3]]);
                keys.iter().all(|keys| *keys == mask).then(|| vec![scores.clone()])
            }
            _ => None,
        }
        .ok_or("takes F32 scores (batch, heads, queries, keys), mask (batch, keys)".into())
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let [batch, heads, length_q, length_k] = inputs[0].shape[..] else { return Err("takes four axes".into()) };
        let (keys, causal) = (inputs.len() == 2, self.causal);
        let problem = masked_softmax::Problem { batch, heads, length_q, length_k, factor: self.scale, causal, keys };
        Ok(problem.sequence(target)?)
    }

    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let allowed = allowed(&inputs[0].shape(), self.causal, &inputs[1..], graph);
        Some(vec![softmax_of_allowed(inputs[0] * self.scale, allowed).0])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(vec![(0, softmax_gradient(node.outputs[0], node.gradient(0), false, self.scale))])
    }
}

/// 1 where query `i` may see key `j`, 0 elsewhere, in a shape that broadcasts to that of the scores `(batch, heads,
/// queries, keys)`; `None` where every query sees every key.
pub fn allowed<'g>(
    scores: &Shape,
    causal: Option<Causal>,
    keys: &[Tensor<'g>],
    graph: &'g Graph,
) -> Option<Tensor<'g>> {
    let (queries, length) = (scores[2], scores[3]);
    let triangle = causal.map(|Causal { first, stride }| {
        let seen = positions(graph, queries) * stride as f32 + first as f32;
        seen.reshape([queries, 1]).compare(Compare::Gt, positions(graph, length))
    });
    let zero = graph.constant(0.0);
    let keys = keys.first().map(|keys| keys.compare(Compare::Ne, zero).reshape([scores[0], 1, 1, length]));
    triangle.into_iter().chain(keys).reduce(|a, b| a * b)
}

/// The scores, and the lowest number where they are not allowed: the exponential of its excess over a log-sum-exp is 0.
pub fn hide<'g>(scores: Tensor<'g>, allowed: Option<Tensor<'g>>) -> Tensor<'g> {
    allowed.map_or(scores, |allowed| allowed.select(scores, scores.graph().constant(f32::MIN)))
}

/// The softmax of scores and its log-sum-exp (with a last axis of length 1); both are 0 in a row in which nothing is
/// allowed.
pub fn softmax_of_allowed<'g>(scores: Tensor<'g>, allowed: Option<Tensor<'g>>) -> (Tensor<'g>, Tensor<'g>) {
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

impl<'g> Tensor<'g> {
    /// Softmax of `scale * scores + mask` over the keys of scores `(batch, heads, queries, keys)`.
    #[track_caller]
    pub fn masked_softmax(self, scale: f32, mask: AttentionMask<'g>) -> Self {
        let causal = match self.shape()[..] {
            [_, _, queries, keys] if mask.causal => Some(Causal::aligned(queries, keys)),
            _ => None,
        };
        self.causal_softmax(scale, causal, mask.keys)
    }

    /// Softmax of `scale * scores + mask` over the keys of scores `(batch, heads, queries, keys)`, with a causal mask for
    /// queries of some tokens alone, and a key mask `(batch, keys)` if there is one.
    #[track_caller]
    pub fn causal_softmax(self, scale: f32, causal: Option<Causal>, keys: Option<Tensor<'g>>) -> Self {
        let operands: Vec<_> = [self].into_iter().chain(keys).collect();
        self.graph().fused(MaskedSoftmax { scale, causal }, &operands)
    }
}
