//! Scaled dot-product attention.

use fourfold_shaders::attention::masked_softmax::Causal;
use fourfold_shaders::attention::{Problem, prefers_products};
use fourfold_shaders::{Element, Target};

use crate::graph::{Op, Shape, Tensor, TensorType};

/// The keys that a query attends to.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionMask<'g> {
    /// Query `i` attends to keys `0..=i` alone.
    pub causal: bool,
    /// `(batch, keys)`: keys where it is 0 are ignored.
    pub keys: Option<Tensor<'g>>,
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
        let shape = self.shape();
        let scale = 1.0 / (shape[3] as f32).sqrt();
        let operands: Vec<_> = [self, keys, values].into_iter().chain(mask.keys).collect();
        let kinds = [self.kind(), TensorType::f32(&shape[..3])];
        self.graph().add(Op::Attention { scale, causal: mask.causal }, &operands, kinds)
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
        let shape = self.shape();
        if self.is_poisoned() {
            return self;
        }
        let mask_fits = keys.is_none_or(|keys| shape.rank() == 4 && keys.shape() == Shape::from([shape[0], shape[3]]));
        if shape.rank() != 4 || !mask_fits {
            let message =
                format!("takes scores (batch, heads, queries, keys), mask (batch, keys), got {self:?}, {keys:?}");
            return self.graph().fail("masked_softmax", message);
        }
        let operands: Vec<_> = [self].into_iter().chain(keys).collect();
        self.graph().add(Op::MaskedSoftmax { scale, causal }, &operands, [self.kind()])
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
