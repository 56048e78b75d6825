//! Operations that move elements: the cotangent moves back. Views and slices are gathered by the sweep itself.

use super::Site;
use super::algebra::sum_to;
use crate::graph::Tensor;

pub fn reshape<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    site.only(0, || site.cotangent().reshape(site.inputs[0].shape()))
}

pub fn broadcast<'g>(site: &Site<'g>) -> Vec<(usize, Tensor<'g>)> {
    site.only(0, || sum_to(site.cotangent(), &site.inputs[0].shape()))
}

pub fn permute<'g>(site: &Site<'g>, axes: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    let mut inverse = vec![0; axes.len()];
    for (place, &axis) in axes.iter().enumerate() {
        inverse[axis] = place;
    }
    site.only(0, || site.cotangent().permute(&inverse))
}

pub fn pad<'g>(site: &Site<'g>, starts: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    site.only(0, || site.cotangent().slice(starts, site.inputs[0].shape()))
}

pub fn concatenate<'g>(site: &Site<'g>, axis: usize) -> Vec<(usize, Tensor<'g>)> {
    let mut start = 0;
    let mut terms = Vec::new();
    for (input, tensor) in site.inputs.iter().enumerate() {
        let length = tensor.shape()[axis];
        if site.wants(input) {
            terms.push((input, site.cotangent().narrow(axis, start, length)));
        }
        start += length;
    }
    terms
}

pub fn pack<'g>(site: &Site<'g>, offsets: &[usize]) -> Vec<(usize, Tensor<'g>)> {
    let wanted = offsets.iter().enumerate().filter(|&(input, _)| site.wants(input));
    wanted.map(|(input, &offset)| (input, site.cotangent().view(offset, site.inputs[input].shape()))).collect()
}
