//! Stochastic gradient descent without momentum over all parameters at once; with momentum: [`sgd`](crate::optimiser::sgd), whose
//! problem chooses between the two.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::{Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "sgd_plain.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SGD_PLAIN, &RAGGED];

pub(crate) const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &SGD_PLAIN, ragged: &RAGGED };

/// A step of a count divisible by four.
pub static SGD_PLAIN: Kernel = kernel("sgd_plain", "sgd_plain", |generator| case(generator, false));

/// A step of any count.
pub static RAGGED: Kernel = kernel("sgd_plain.ragged", "sgd_plain_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] =
        &[Binding::update("weights", "(count)"), Binding::read("gradient", "(count)"), Binding::read("rate", "(1)")];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| 4.0 * call.lengths[0] as f64)
}

/// The uniform block of `sgd_plain.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    /// Elements, from the first on, that decay.
    pub decayed: u32,
    pub weight_decay: f32,
}

impl Uniform {
    /// The factor of weight decay of an element.
    fn decay(&self, element: usize) -> f64 {
        if element < self.decayed as usize { f64::from(self.weight_decay) } else { 0.0 }
    }
}

/// The twin.
pub(crate) fn sgd_plain(uniform: &Uniform, weights: &mut [f32], gradient: &[f32], rate: &[f32]) {
    for (element, (weight, &gradient)) in weights.iter_mut().zip(gradient).enumerate() {
        let w = f64::from(*weight);
        *weight = (w - f64::from(rate[0]) * (f64::from(gradient) + uniform.decay(element) * w)) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, gradient, rate] = operands else { unreachable!("sgd_plain has three operands") };
    sgd_plain(&call.uniform(), weights.f32(), gradient.f32(), rate.f32());
}

/// At most nine operations, each rounded to either neighbour (two units of 2^-24) of a partial result that is no
/// larger than the sum of the magnitudes of all terms, which may cancel. Terms that are subnormal may be flushed.
pub(crate) fn bound(magnitude: f64) -> f64 {
    12.0 * Tolerance::EPSILON * magnitude + 8.0 * f64::from(f32::MIN_POSITIVE)
}

/// As for `sgd`, with fewer terms.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [weights, gradient, rate] = operands else { unreachable!("sgd_plain has three operands") };
    let bounds = weights.f32().iter().zip(gradient.f32()).enumerate().map(|(element, (w, g))| {
        let [w, g] = [w, g].map(|value| f64::from(value.abs()));
        bound(w + f64::from(rate.f32()[0].abs()) * (g + uniform.decay(element) * w))
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (uniform, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let weight_decay = generator.pick(&[0.0, 1e-4, 0.1]);
        let decayed = generator.pick(&[0, 1, count / 2, count]).min(count) as u32;
        let uniform = Uniform { count: count as u32, decayed, weight_decay };
        (uniform, VARIANTS.call(&uniform, count, [count, count, 1]))
    });
    let [weights, gradient] =
        [elementwise_layout::values, elementwise_layout::values_with_specials].map(|draw| draw(generator, count, 1e30));
    let rate = Data::F32(vec![generator.pick(&[0.0, 1e-3, 0.1, 1.0])]);
    Case::new(uniform, call, [weights, gradient, rate])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_decay_is_added_to_the_gradient_of_the_first_elements_only() {
        let uniform = Uniform { count: 2, decayed: 1, weight_decay: 0.5 };
        let mut weights = [2.0, 2.0];
        sgd_plain(&uniform, &mut weights, &[1.0, 1.0], &[0.25]);
        assert_eq!(weights, [1.5, 1.75]);
    }
}
