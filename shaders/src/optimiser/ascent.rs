//! The parts that the ascent steps of both norms share.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout;
use crate::{Data, Element, Generator};

/// The uniform block of `sam_ascent.wgsl` and `sign_ascent.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    /// Elements, from the first on, with `T = |weights| + eta`.
    pub adaptive: u32,
    pub eta: f32,
}

impl Uniform {
    /// `T` of an element.
    pub(crate) fn scale(&self, element: usize, weight: f32) -> f64 {
        if element < self.adaptive as usize { f64::from(weight).abs() + f64::from(self.eta) } else { 1.0 }
    }
}

/// The weight after the step; the weight itself, bit for bit, where the step is zero.
pub(crate) fn raised(weight: f32, step: f64) -> f32 {
    if step == 0.0 { weight } else { (f64::from(weight) + step) as f32 }
}

/// A random uniform block for `count` elements.
pub(crate) fn draw(generator: &mut Generator, count: usize) -> Uniform {
    let adaptive = generator.pick(&[0, 1, count / 2, count]).min(count) as u32;
    Uniform { count: count as u32, adaptive, eta: generator.pick(&[0.0, 0.01]) }
}

/// Weights, and a gradient that at times is zero.
pub(crate) fn weights_and_gradient(generator: &mut Generator, count: usize) -> [Data; 2] {
    let weights = elementwise_layout::values(generator, count, 1e12);
    let zero = generator.chance(0.1);
    [
        weights,
        if zero {
            Data::zeros(Element::F32, count)
        } else {
            elementwise_layout::values_with_specials(generator, count, 1e12)
        },
    ]
}
