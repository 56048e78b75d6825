//! Scaled dot-product attention over (batch, heads, length, head size).

use fourfold_shaders::attention::masked_softmax::Causal;
use fourfold_shaders::attention::{Problem, attention_backward, prefers_products};
use fourfold_shaders::{Element, Sequence, Target};

use super::masked_softmax::{AttentionMask, allowed, hide, softmax_of_allowed};
use super::rows::row_sum;
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::{Graph, Shape, Tensor, TensorType};

/// (q, k, v \[, key mask `(batch, keys)`\]) to (output, log-sum-exp `(batch, heads, queries)`), both 0 for a query
/// without any allowed key.
#[derive(Debug)]
struct Attention {
    scale: f32,
    causal: bool,
}

/// (q, k, v, output, log-sum-exp, doutput \[, key mask\]) to (dq, dk, dv).
#[derive(Debug)]
struct AttentionGradient {
    scale: f32,
    causal: bool,
}

/// The problem of attention whose key mask is input `mask`, if it has one; an error for a head size that the kernels do
/// not take.
fn problem(inputs: &[TensorType], factor: f32, causal: bool, mask: usize) -> Result<Problem, String> {
    let &[batch, heads, length_q, head_size] = &inputs[0].shape[..] else { return Err("takes four axes".into()) };
    let length_k = inputs[1].shape[2];
    let keys = inputs.len() > mask;
    let problem = Problem { batch, heads, length_q, length_k, head_size, factor, causal, keys };
    problem.check()?;
    Ok(problem)
}

/// The scores of the queries with the keys, and where they are allowed.
fn scores<'g>(
    [q, k]: [Tensor<'g>; 2],
    scale: f32,
    causal: bool,
    keys: &[Tensor<'g>],
) -> (Tensor<'g>, Option<Tensor<'g>>) {
    let scores = q.matmul_transposed(k, false, true) * scale;
    let shape = scores.shape();
    let causal = causal.then(|| Causal::aligned(shape[2], shape[3]));
    let allowed = allowed(&shape, causal, keys, q.graph());
    (scores, allowed)
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [q, _, _, ..] if q.is_float() && q.shape.rank() == 4 => Ok(vec![q.clone(), TensorType::f32(&q.shape[..3])]),
            _ => Err("takes F32 queries, keys and values (batch, heads, length, size)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(problem(inputs, self.scale, self.causal, 3)?.sequence(target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[q, k, v, ref keys @ ..] = inputs else { return None };
        let (scores, allowed) = scores([q, k], self.scale, self.causal, keys);
        let (weights, log_sum) = softmax_of_allowed(scores, allowed);
        Some(vec![weights.matmul(v), log_sum.reshape(&q.shape()[..3])])
    }

    /// The fused gradient; by way of the definition where the log-sum-exp has a gradient, which it has in second
    /// derivatives alone.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let [Some(doutput), None] = node.gradients[..] else { return None };
        let operands = [&node.inputs[..3], &node.outputs[..], &[doutput], &node.inputs[3..]].concat();
        let dq = node.graph.fused(AttentionGradient { scale: self.scale, causal: self.causal }, &operands);
        Some((0..3).map(|input| (input, dq.sibling(input))).collect())
    }
}

impl Operation for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention_gradient"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [q, k, v, _, _, _, ..] => Ok(vec![q.clone(), k.clone(), v.clone()]),
            _ => Err("takes q, k, v, output, log-sum-exp, doutput and a key mask".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        Ok(attention_backward::sequence(&problem(inputs, self.scale, self.causal, 6)?, target)?)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let &[q, k, v, output, log_sum, doutput, ref keys @ ..] = inputs else { return None };
        let (scores, allowed) = scores([q, k], self.scale, self.causal, keys);
        let scores = hide(scores, allowed);
        let column = [&log_sum.shape()[..], &[1]].concat();
        let weights = (scores - log_sum.reshape(column)).exp();
        let dweights = doutput.matmul_transposed(v, false, true);
        let dscores = weights * (dweights - row_sum(doutput * output)) * self.scale;
        Some(vec![
            dscores.matmul(k),
            dscores.matmul_transposed(q, true, false),
            weights.matmul_transposed(doutput, true, false),
        ])
    }
}

impl<'g> Tensor<'g> {
    /// Multi-head attention of queries `(batch, heads, queries, size)`, the same for keys and values `(batch, heads,
    /// keys, size)`: `softmax(q k^T / sqrt(size) + mask) v`.
    ///
    /// Short sequences (and head sizes that the fused kernel does not take) go through batched matrix products, long
    /// ones through the fused kernel, which stores one number a row instead of the scores.
    #[track_caller]
    pub fn attention(self, keys: Tensor<'g>, values: Tensor<'g>, mask: AttentionMask<'g>) -> Self {
        let (q, k) = (self.shape(), keys.shape());
        let (&[batch, heads, length_q, head_size], Some(&length_k)) = (&q[..], k.get(2)) else {
            return self.attention_fused(keys, values, mask);
        };
        let factor = 1.0 / (head_size as f32).sqrt();
        let (causal, keyed) = (mask.causal, mask.keys.is_some());
        let problem = Problem { batch, heads, length_q, length_k, head_size, factor, causal, keys: keyed };
        if prefers_products(&problem, &Target::default()) {
            self.attention_by_products(keys, values, mask)
        } else {
            self.attention_fused(keys, values, mask)
        }
    }

    /// Attention by the fused kernel.
    #[track_caller]
    pub fn attention_fused(self, keys: Tensor<'g>, values: Tensor<'g>, mask: AttentionMask<'g>) -> Self {
        if let Err(failure) = self.check_attention(keys, values, mask) {
            return failure;
        }
        let scale = 1.0 / (self.shape()[3] as f32).sqrt();
        let operands: Vec<_> = [self, keys, values].into_iter().chain(mask.keys).collect();
        self.graph().fused(Attention { scale, causal: mask.causal }, &operands)
    }

    /// Attention as two batched products around a masked softmax.
    #[track_caller]
    pub fn attention_by_products(self, keys: Tensor<'g>, values: Tensor<'g>, mask: AttentionMask<'g>) -> Self {
        if let Err(failure) = self.check_attention(keys, values, mask) {
            return failure;
        }
        let scale = 1.0 / (self.shape()[3] as f32).sqrt();
        self.matmul_transposed(keys, false, true).masked_softmax(scale, mask).matmul(values)
    }

    #[track_caller]
    fn check_attention(self, keys: Tensor<'g>, values: Tensor<'g>, mask: AttentionMask<'g>) -> Result<(), Tensor<'g>> {
        if let Some(poison) = [self, keys, values].into_iter().chain(mask.keys).find(|tensor| tensor.is_poisoned()) {
            return Err(poison);
        }
        let (q, k, v) = (self.shape(), keys.shape(), values.shape());
        let float = [self, keys, values].into_iter().chain(mask.keys).all(|tensor| tensor.element() == Element::F32);
        let fits = q.rank() == 4 && k.rank() == 4 && q[..2] == k[..2] && q[3] == k[3] && v == k && float;
        if !fits {
            let message = format!(
                "takes queries (batch, heads, queries, size), keys and values (batch, heads, keys, size), got {q}, {k} and {v}"
            );
            return Err(self.graph().fail("attention", message));
        }
        match mask.keys {
            Some(keys) if keys.shape() != Shape::from([k[0], k[2]]) => {
                let message =
                    format!("the key mask must be (batch, keys) = [{}, {}], got {}", k[0], k[2], keys.shape());
                Err(self.graph().fail("attention", message))
            }
            _ if mask.causal && q[2] != k[2] => {
                let message = format!("a causal mask needs as many queries as keys, got {} and {}", q[2], k[2]);
                Err(self.graph().fail("attention", message))
            }
            _ => Ok(()),
        }
    }
}
