//! Fused attention.

use super::Site;
use crate::graph::{Op, Tensor};

/// The fused gradient; by way of simpler operations where the log-sum-exp has a cotangent, which it has in second
/// derivatives alone.
pub fn attention<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let (Op::Attention { scale, causal }, Some(doutput), None) = (&site.op, site.cotangents[0], site.cotangents[1])
    else {
        return site.through_decomposition();
    };
    let op = Op::AttentionGradient { scale: *scale, causal: *causal };
    let operands = [&site.inputs[..3], &site.outputs[..], &[doutput], &site.inputs[3..]].concat();
    let dq = site.graph.add(op, &operands, site.inputs[..3].iter().map(|input| input.kind()));
    (0..3).filter(|&input| site.wants(input)).map(|input| (input, dq.sibling(input))).collect()
}
