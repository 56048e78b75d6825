//! Operations on rows.

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::{Compare, Unary};

use super::NodeGradient;
use super::algebra::{negative, plus, times};
use crate::graph::decompose::from_first;
use crate::graph::{Op, Tensor};

/// The fused gradient of a softmax over `scale * x`.
pub fn softmax<'g>(node: &NodeGradient<'g>, gradient: Op, scale: f32) -> Vec<(usize, Tensor<'g>)> {
    let y = node.outputs[0];
    node.only(0, || {
        let dx = node.graph.add(gradient, &[y, node.cotangent()], [y.kind()]);
        times(dx, node.graph.constant(scale))
    })
}

/// The forward pass leaves the gradient of each row's loss, `softmax - target`, whose own derivative is the softmax's.
pub fn cross_entropy<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [logits, labels] = node.inputs();
    let shape = logits.shape();
    let column = [shape[0], 1];
    node.only(0, || {
        let first = node.cotangents[0].map(|losses| times(node.outputs[1], losses.reshape(column)));
        let second = node.cotangents[1].map(|dlogits| {
            // Rows whose label is not a class have neither loss nor gradient.
            let classes = node.graph.constant(shape[1] as f32);
            let counted = labels.cast(Element::F32).compare(Compare::Lt, classes).reshape(column);
            let y = logits.softmax();
            node.graph.add(Op::SoftmaxGradient, &[y, dlogits * counted], [y.kind()])
        });
        let terms = first.into_iter().chain(second);
        terms.reduce(plus).unwrap_or_else(|| node.graph.full(&shape, 0.0))
    })
}

/// The fused gradients of `y`, and what the statistics add where they have cotangents: they have them in second
/// derivatives, whose first derivatives read them.
pub fn layer_norm<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let ([x, scale, _], [_, offset, reciprocal]) = (node.inputs(), node.outputs());
    let shape = x.shape();
    let column = [shape[0], 1];
    let mut terms = Vec::new();
    if let Some(dy) = node.cotangents[0] {
        terms.extend(
            node.only(0, || {
                node.graph.add(Op::LayerNormInputGradient, &[x, scale, offset, reciprocal, dy], [x.kind()])
            }),
        );
        if node.wants(1) || node.wants(2) {
            let operands = [x, offset, reciprocal, dy];
            let dscale = node.graph.add(Op::LayerNormParameterGradient, &operands, [scale.kind(), scale.kind()]);
            terms.extend(node.only(1, || dscale));
            terms.extend(node.only(2, || dscale.sibling(1)));
        }
    }
    let columns = shape[1] as f32;
    if let Some(doffset) = node.cotangents[1] {
        // The mean less the first element.
        terms.extend(node.only(0, || (doffset / columns).reshape(column).broadcast_to(&shape)));
        terms.extend(node.only(0, || negative(doffset).reshape(column).pad(&[0, 0], &shape)));
    }
    if let Some(dreciprocal) = node.cotangents[2] {
        // r = (variance + epsilon)^(-1/2): dr/dx = -r^3 (x - mean) / columns.
        terms.extend(node.only(0, || {
            let cube = reciprocal.square() * reciprocal;
            let row = dreciprocal * cube.unary(Unary::Neg) / columns;
            (from_first(x) - offset.reshape(column)) * row.reshape(column)
        }));
    }
    terms
}

pub fn gather<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [table, indices] = node.inputs();
    node.only(0, || node.cotangent().scatter_add(indices, table.shape()[0]))
}

pub fn scatter_add<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    node.only(0, || node.cotangent().gather(node.inputs[1]))
}

/// The same mask on the cotangent.
pub fn dropout<'g>(node: &NodeGradient<'g>) -> Vec<(usize, Tensor<'g>)> {
    let dy = node.cotangent();
    node.only(0, || node.graph.add(node.op.clone(), &[dy, node.inputs[1]], [dy.kind()]))
}
