//! The ascent step of sharpness-aware minimisation for p = infinity and its scale-invariant form:
//! `ascent = weights + rho T sign(gradient)`. [`sam_ascent::Problem`](crate::optimiser::sam_ascent::Problem) describes it together
//! with the step for p = 2.

use crate::description::elementwise_layout::VectorAndScalar;
use crate::optimiser::ascent::{Uniform, draw, raised, weights_and_gradient};
use crate::{Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/place.wgsl", "../library/not_a_number.wgsl", "ascent.wgsl", "sign_ascent.wgsl"),
    |_| 0,
);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SIGN_ASCENT, &RAGGED];

pub(crate) const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &SIGN_ASCENT, ragged: &RAGGED };

/// The step of a count divisible by four.
pub static SIGN_ASCENT: Kernel = kernel("sign_ascent", "sign_ascent", |generator| case(generator, false));

/// The step of any count.
pub static RAGGED: Kernel = kernel("sign_ascent.ragged", "sign_ascent_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[
        Binding::read("weights", "(count)"),
        Binding::read("gradient", "(count)"),
        Binding::read("rho", "(1)"),
        Binding::write("ascent", "(count)"),
    ];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| 3.0 * call.lengths[0] as f64)
}

/// The twin.
pub(crate) fn sign_ascent(uniform: &Uniform, weights: &[f32], gradient: &[f32], rho: &[f32], ascent: &mut [f32]) {
    for (element, ascent) in ascent.iter_mut().enumerate() {
        let g = gradient[element];
        let sign = if g.abs() < f32::MIN_POSITIVE { 0.0 } else { f64::from(g.signum()) };
        let step = f64::from(rho[0]) * uniform.scale(element, weights[element]) * sign;
        *ascent = raised(weights[element], step);
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, gradient, rho, ascent] = operands else { unreachable!("sign_ascent has four operands") };
    sign_ascent(&call.uniform(), weights.f32(), gradient.f32(), rho.f32(), ascent.f32());
}

/// With rho = 0 the weights themselves. Otherwise a step of one sum and one product (1 ulp each), then the sum with the
/// weight, with which the step may cancel, rounded here and in the twin. Subnormal parts may be flushed.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let rho = f64::from(operands[2].f32()[0].abs());
    // 0 times a NaN is a NaN.
    if rho == 0.0 && !operands[1].f32().iter().any(|gradient| gradient.is_nan()) {
        return Tolerance::Exact;
    }
    let bounds = operands[0].f32().iter().enumerate().map(|(element, &w)| {
        let rounded = 3.0 * f64::from(w.abs()) + 7.0 * rho * uniform.scale(element, w);
        Tolerance::EPSILON * rounded + f64::from(f32::MIN_POSITIVE) * (2.0 + rho)
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (uniform, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let uniform = draw(generator, count);
        (uniform, VARIANTS.call(&uniform, count, [count, count, 1, count]))
    });
    let [weights, gradient] = weights_and_gradient(generator, count);
    let rho = Data::F32(vec![generator.pick(&[0.0, 0.05, 0.5, 2.0])]);
    Case::new(uniform, call, [weights, gradient, rho])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascend(adaptive: u32, eta: f32, w: [f32; 2], g: [f32; 2]) -> [f32; 2] {
        let mut ascent = [f32::NAN; 2];
        sign_ascent(&Uniform { count: 2, adaptive, eta }, &w, &g, &[0.1], &mut ascent);
        ascent
    }

    fn assert_close(got: [f32; 2], expected: [f32; 2]) {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6), "{got:?} {expected:?}");
    }

    #[test]
    fn the_step_has_the_sign_of_the_gradient_and_the_length_rho_in_every_element() {
        assert_close(ascend(0, 0.0, [1.0, 1.0], [1e-20, -7.0]), [1.1, 0.9]);
    }

    #[test]
    fn the_adaptive_step_is_proportional_to_the_weight() {
        assert_close(ascend(2, 0.5, [1.0, -3.0], [2.0, 2.0]), [1.15, -2.65]);
    }

    #[test]
    fn elements_past_the_adaptive_ones_are_not_scaled() {
        assert_close(ascend(1, 0.0, [3.0, 3.0], [1.0, 1.0]), [3.3, 3.1]);
    }
}
