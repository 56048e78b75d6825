//! Operations on rows.

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::{Compare, Unary};

use super::Site;
use super::algebra::{plus, times};
use crate::graph::{Op, Tensor};

/// The fused gradient of a softmax over `scale * x`.
pub fn softmax<'g>(site: &Site<'g>, gradient: Op, scale: f32) -> Vec<(usize, Tensor<'g>)> {
    let y = site.outputs[0];
    site.only(0, || {
        let dx = site.graph.add(gradient, &[y, site.cotangent()], [y.kind()]);
        times(dx, site.graph.constant(scale))
    })
}

/// The forward pass leaves the gradient of each row's loss, `softmax - target`, whose own derivative is the softmax's.
pub fn cross_entropy<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [logits, labels] = site.inputs[..] else { return Vec::new() };
    let shape = logits.shape();
    let column = [shape[0], 1];
    site.only(0, || {
        let first = site.cotangents[0].map(|losses| times(site.outputs[1], losses.reshape(column)));
        let second = site.cotangents[1].map(|dlogits| {
            // Rows whose label is no class have neither loss nor gradient.
            let classes = site.graph.constant(shape[1] as f32);
            let counted = labels.cast(Element::F32).compare(Compare::Lt, classes).reshape(column);
            let y = logits.softmax();
            site.graph.add(Op::SoftmaxGradient, &[y, dlogits * counted], [y.kind()])
        });
        let terms = first.into_iter().chain(second);
        terms.reduce(plus).unwrap_or_else(|| site.graph.full(&shape, 0.0))
    })
}

/// The fused gradients of `y`, and what the statistics add where they have cotangents: they have them in second
/// derivatives, whose first derivatives read them.
pub fn layer_norm<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let ([x, scale, _], [_, mean, reciprocal]) = (&site.inputs[..], &site.outputs[..]) else { return Vec::new() };
    let shape = x.shape();
    let column = [shape[0], 1];
    let mut terms = Vec::new();
    if let Some(dy) = site.cotangents[0] {
        terms.extend(
            site.only(0, || {
                site.graph.add(Op::LayerNormInputGradient, &[*x, *scale, *mean, *reciprocal, dy], [x.kind()])
            }),
        );
        if site.wants(1) || site.wants(2) {
            let operands = [*x, *mean, *reciprocal, dy];
            let dscale = site.graph.add(Op::LayerNormParameterGradient, &operands, [scale.kind(), scale.kind()]);
            terms.extend(site.only(1, || dscale));
            terms.extend(site.only(2, || dscale.sibling(1)));
        }
    }
    let columns = shape[1] as f32;
    if let Some(dmean) = site.cotangents[1] {
        terms.extend(site.only(0, || (dmean / columns).reshape(column).broadcast_to(&shape)));
    }
    if let Some(dreciprocal) = site.cotangents[2] {
        // r = (variance + epsilon)^(-1/2): dr/dx = -r^3 (x - mean) / columns.
        terms.extend(site.only(0, || {
            let cube = reciprocal.square() * *reciprocal;
            let row = dreciprocal * cube.unary(Unary::Neg) / columns;
            (*x - mean.reshape(column)) * row.reshape(column)
        }));
    }
    terms
}

pub fn gather<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let [table, indices] = site.inputs[..] else { return Vec::new() };
    site.only(0, || site.cotangent().scatter_add(indices, table.shape()[0]))
}

pub fn scatter_add<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    site.only(0, || site.cotangent().gather(site.inputs[1]))
}

/// The same mask on the cotangent.
pub fn dropout<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    let dy = site.cotangent();
    site.only(0, || site.graph.add(site.op.clone(), &[dy, site.inputs[1]], [dy.kind()]))
}
