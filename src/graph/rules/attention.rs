//! Fused attention.

use super::NodeGradient;
use crate::graph::{Op, Tensor};

/// The fused gradient; by way of simpler operations where the log-sum-exp has a cotangent, which it has in second
/// derivatives alone.
pub fn attention<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let (Op::Attention { scale, causal }, Some(doutput), None) = (&node.op, node.cotangents[0], node.cotangents[1])
    else {
        return node.through_decomposition();
    };
    let op = Op::AttentionGradient { scale: *scale, causal: *causal };
    let operands = [&node.inputs[..3], &node.outputs[..], &[doutput], &node.inputs[3..]].concat();
    let dq = node.graph.add(op, &operands, node.inputs[..3].iter().map(|input| input.kind()));
    (0..3).filter(|&input| node.wants(input)).map(|input| (input, dq.sibling(input))).collect()
}
