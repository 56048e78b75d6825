//! The ascent step of sharpness-aware minimisation (Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-aware minimization
//! for efficiently improving generalization", ICLR 2021, equation 2) and its scale-invariant form (Kwon, Kim, Park,
//! Choi, "ASAM: adaptive sharpness-aware minimization for scale-invariant learning of deep neural networks", ICML
//! 2021).
//!
//! With `T = |weights| + eta` in the first `adaptive` elements and `T = 1` in the others:
//!
//! * p = 2: `ascent = weights + rho T (T gradient / norm)`, `norm = |T gradient|_2` over all elements;
//! * p = infinity: `ascent = weights + rho T sign(gradient)`, see [`sign_ascent`].
//!
//! A zero gradient gives the weights, bit for bit, and so does `rho = 0`.

use crate::description::elementwise_layout::{self, VectorAndScalar};
pub(crate) use crate::optimiser::ascent::Uniform;
use crate::optimiser::ascent::{self, raised, weights_and_gradient};
use crate::optimiser::sign_ascent;
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "ascent.wgsl", "sam_ascent.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&L2, &L2_RAGGED, &SCALED_GRADIENT, &SCALED_GRADIENT_RAGGED];

/// The step for p = 2, of a count divisible by four.
pub static L2: Kernel = l2_kernel("sam_ascent.l2", |generator| case(generator, false));

/// The same of any count.
pub static L2_RAGGED: Kernel = l2_kernel("sam_ascent.l2_ragged", |generator| case(generator, true));

/// `T gradient`, of a count divisible by four.
pub static SCALED_GRADIENT: Kernel =
    scaled_kernel("sam_ascent.scaled_gradient", |generator| scaled_case(generator, false));

/// The same of any count.
pub static SCALED_GRADIENT_RAGGED: Kernel =
    scaled_kernel("sam_ascent.scaled_gradient_ragged", |generator| scaled_case(generator, true));

const L2_VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &L2, ragged: &L2_RAGGED };
const SCALED_VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &SCALED_GRADIENT, ragged: &SCALED_GRADIENT_RAGGED };

const fn l2_kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[
        Binding::read("weights", "(count)"),
        Binding::read("gradient", "(count)"),
        Binding::read("norm", "(1)"),
        Binding::read("rho", "(1)"),
        Binding::write("ascent", "(count)"),
    ];
    kernel(name, BINDINGS, l2_twin, l2_tolerance, case)
}

const fn scaled_kernel(name: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[
        Binding::read("weights", "(count)"),
        Binding::read("gradient", "(count)"),
        Binding::write("scaled", "(count)"),
    ];
    kernel(name, BINDINGS, scaled_twin, scaled_tolerance, case)
}

const fn kernel(
    name: &'static str,
    bindings: &'static [Binding],
    twin: fn(&Call, &mut [Operand<'_>]),
    tolerance: fn(&Call, &[Data], usize) -> Tolerance,
    case: fn(&mut Generator) -> Case,
) -> Kernel {
    MODULE.kernel(name, bindings, twin, tolerance, case).with_flops(|call| 4.0 * call.lengths[0] as f64)
}

/// The ball that the step stays in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Norm {
    /// p = 2, the paper's default.
    L2,
    /// p = infinity.
    LInfinity,
}

/// The ascent step of `count` parameters in one flat buffer.
///
/// `adaptive` is the number of elements, from the first on, that are scaled by `|weights| + eta`: 0 for SAM, `count` or
/// the number of weights for adaptive SAM, with the biases and norms laid out last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of the buffer.
    pub count: usize,
    /// The norm that bounds the ascent by `rho`.
    pub norm: Norm,
    /// Parameters, from the first on, that are scaled.
    pub adaptive: usize,
    /// Added to `|weights|` of scaled parameters; 0.01 as a rule.
    pub eta: f32,
}

impl Problem {
    /// Returns the dispatch with operands `weights` (`count`), `gradient` (`count`), `norm` (1; only for [`Norm::L2`]: that of the
    /// gradient, or of [`Problem::scaled_gradient`] where `adaptive` is not 0), `rho` (1), `ascent` (`count`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("sam_ascent").positive(&[("count", self.count)])?.finite("eta", self.eta)?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        let count = self.count;
        match self.norm {
            Norm::L2 => L2_VARIANTS.call(&self.uniform(), count, [count, count, 1, 1, count]),
            Norm::LInfinity => sign_ascent::VARIANTS.call(&self.uniform(), count, [count, count, 1, count]),
        }
    }

    /// Returns the dispatch with operands `weights`, `gradient`, `scaled` (`count` each): `scaled = T gradient`, whose norm the
    /// adaptive step for p = 2 divides by.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn scaled_gradient(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("sam_ascent")
            .positive(&[("count", self.count)])?
            .finite("eta", self.eta)?
            .sequence(self.scaled_gradient_call(target))
    }

    pub(crate) fn scaled_gradient_call(&self, _: &Target) -> Call {
        SCALED_VARIANTS.call(&self.uniform(), self.count, [self.count; 3])
    }

    fn uniform(&self) -> Uniform {
        Uniform { count: self.count as u32, adaptive: self.adaptive.min(self.count) as u32, eta: self.eta }
    }
}

/// The twin for p = 2.
pub(crate) fn l2(uniform: &Uniform, weights: &[f32], gradient: &[f32], norm: &[f32], rho: &[f32], ascent: &mut [f32]) {
    for (element, ascent) in ascent.iter_mut().enumerate() {
        let t = uniform.scale(element, weights[element]);
        let direction = t * f64::from(gradient[element]) / f64::from(norm[0]);
        let step = if norm[0] < f32::MIN_POSITIVE { 0.0 } else { f64::from(rho[0]) * t * direction };
        *ascent = raised(weights[element], step);
    }
}

/// The twin of the scaled gradient.
pub(crate) fn scaled_gradient(uniform: &Uniform, weights: &[f32], gradient: &[f32], scaled: &mut [f32]) {
    for (element, scaled) in scaled.iter_mut().enumerate() {
        *scaled = (uniform.scale(element, weights[element]) * f64::from(gradient[element])) as f32;
    }
}

fn l2_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, gradient, norm, rho, ascent] = operands else { unreachable!("sam_ascent.l2 has five operands") };
    l2(&call.uniform(), weights.f32(), gradient.f32(), norm.f32(), rho.f32(), ascent.f32());
}

fn scaled_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, gradient, scaled] = operands else { unreachable!("scaled_gradient has three operands") };
    scaled_gradient(&call.uniform(), weights.f32(), gradient.f32(), scaled.f32());
}

/// With rho = 0 or a norm of 0 the weights themselves. Otherwise a step of one sum, three products (1 ulp each) and a
/// division (2.5 ulp), then the sum with the weight, with which the step may cancel, rounded here and in the twin.
/// Subnormal parts may be flushed before they are scaled up.
fn l2_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [weights, gradient, norm, rho, _] = operands else { unreachable!("sam_ascent.l2 has five operands") };
    let rho = f64::from(rho.f32()[0].abs());
    let norm = norm.f32()[0];
    // 0 times a NaN is a NaN, of any bits.
    if norm.is_finite() && (rho == 0.0 || norm < f32::MIN_POSITIVE) {
        return Tolerance::Exact;
    }
    let norm = f64::from(norm);
    let bounds = weights.f32().iter().zip(gradient.f32()).enumerate().map(|(element, (&w, &g))| {
        let t = uniform.scale(element, w);
        let direction = t * f64::from(g.abs()) / norm;
        let rounded = 3.0 * f64::from(w.abs()) + 16.0 * rho * t * direction;
        // Subnormal numbers may be lost in |w| + eta, in the gradient and the scaled gradient before the division, and in the
        // quotient.
        let lost = rho * (direction + t * (2.0 * direction + 1.0 + (1.0 + t) / norm));
        Tolerance::EPSILON * rounded + f64::from(f32::MIN_POSITIVE) * (2.0 + lost)
    });
    Tolerance::PerElement(bounds.collect())
}

/// One sum and one product, and the rounding of the twin; a subnormal weight or gradient may be flushed before it is
/// multiplied.
fn scaled_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let bounds = operands[0].f32().iter().zip(operands[1].f32()).enumerate().map(|(element, (&w, &g))| {
        let (t, g) = (uniform.scale(element, w), f64::from(g.abs()));
        5.0 * Tolerance::EPSILON * t * g + f64::from(f32::MIN_POSITIVE) * (t + g)
    });
    Tolerance::PerElement(bounds.collect())
}

fn draw(generator: &mut Generator, count: usize) -> Problem {
    let Uniform { adaptive, eta, .. } = ascent::draw(generator, count);
    Problem { count, norm: Norm::L2, adaptive: adaptive as usize, eta }
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = L2_VARIANTS.case(generator, ragged, |generator, count| {
        let problem = draw(generator, count);
        (problem, problem.call(&Target::default()))
    });
    let [weights, mut gradient] = weights_and_gradient(generator, count);
    // A gradient that is next to nothing makes a step like any other.
    if let (Data::F32(gradient), true) = (&mut gradient, generator.chance(0.2)) {
        gradient.iter_mut().for_each(|element| *element *= 1e-12);
    }
    let rho = Data::F32(vec![generator.pick(&[0.0, 0.05, 0.5, 2.0])]);
    let mut scaled = vec![0.0; count];
    scaled_gradient(&problem.uniform(), weights.f32(), gradient.f32(), &mut scaled);
    let square: f64 = scaled.iter().map(|&value| f64::from(value).powi(2)).sum();
    Case::new(problem, call, [weights, gradient, Data::F32(vec![square.sqrt() as f32]), rho])
}

fn scaled_case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = SCALED_VARIANTS.case(generator, ragged, |generator, count| {
        let problem = draw(generator, count);
        (problem, problem.scaled_gradient_call(&Target::default()))
    });
    let inputs = [(); 2].map(|()| elementwise_layout::values(generator, count, 1e15));
    Case::new(problem, call, inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient of L = w^T diag(1, 4) w / 2.
    fn gradient(w: &[f32]) -> [f32; 2] {
        [w[0], 4.0 * w[1]]
    }

    fn ascend(problem: Problem, w: [f32; 2], g: [f32; 2], rho: f32) -> [f32; 2] {
        let uniform = problem.uniform();
        let (mut scaled, mut ascent) = ([0.0; 2], [0.0; 2]);
        scaled_gradient(&uniform, &w, &g, &mut scaled);
        let norm = f64::from(scaled[0]).hypot(f64::from(scaled[1])) as f32;
        match problem.norm {
            Norm::L2 => l2(&uniform, &w, &g, &[norm], &[rho], &mut ascent),
            Norm::LInfinity => sign_ascent::sign_ascent(&uniform, &w, &g, &[rho], &mut ascent),
        }
        ascent
    }

    /// A whole step: ascent with rho = 0.1, gradient there, descent with the rate 0.1.
    fn sam_step(problem: Problem, w: [f32; 2]) -> [f32; 2] {
        let g = gradient(&ascend(problem, w, gradient(&w), 0.1));
        [w[0] - 0.1 * g[0], w[1] - 0.1 * g[1]]
    }

    fn assert_close(got: [f32; 2], expected: [f32; 2]) {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6), "{got:?} {expected:?}");
    }

    const SAM: Problem = Problem { count: 2, norm: Norm::L2, adaptive: 0, eta: 0.0 };
    const ADAPTIVE: Problem = Problem { adaptive: 2, ..SAM };

    // The expected numbers of the next three tests were computed in f64 from the papers' formulas.

    #[test]
    fn a_step_of_sam_on_a_quadratic_gives_the_pinned_values() {
        assert_close(ascend(SAM, [1.0, 1.0], [1.0, 4.0], 0.1), [1.024_253_6, 1.097_014_2]);
        assert_close(sam_step(SAM, [1.0, 1.0]), [0.897_574_64, 0.561_194_3]);
    }

    #[test]
    fn a_second_step_of_sam_gives_the_pinned_values() {
        assert_close(ascend(SAM, [2.0, 0.5], [2.0, 2.0], 0.1), [2.070_710_7, 0.570_710_7]);
        assert_close(sam_step(SAM, [2.0, 0.5]), [1.792_928_9, 0.271_715_73]);
    }

    #[test]
    fn a_step_of_adaptive_sam_gives_the_pinned_values() {
        assert_close(ascend(ADAPTIVE, [2.0, 0.5], [2.0, 2.0], 0.1), [2.194_028_5, 0.512_126_8]);
        assert_close(sam_step(ADAPTIVE, [2.0, 0.5]), [1.780_597_2, 0.295_149_3]);
    }

    #[test]
    fn a_zero_gradient_and_a_zero_rho_give_the_weights_bit_for_bit() {
        let w = [-0.0, 1.0e-40];
        for norm in [Norm::L2, Norm::LInfinity] {
            for (g, rho) in [([0.0; 2], 0.1), ([1.0, -2.0], 0.0)] {
                let ascent = ascend(Problem { norm, ..SAM }, w, g, rho);
                assert_eq!(ascent.map(f32::to_bits), w.map(f32::to_bits));
            }
        }
    }

    /// The kernel for p = 2 on a device that takes every subnormal number for 0.
    fn flushing(uniform: &Uniform, operands: &[Data]) -> Vec<f32> {
        let flushed = |x: f32| if x.is_subnormal() { 0.0 } else { x };
        let [weights, gradient, norm, rho] = [0, 1, 2, 3].map(|operand| operands[operand].f32());
        let ascend = |(element, (&w, &g)): (usize, (&f32, &f32))| {
            let adaptive = element < uniform.adaptive as usize;
            let t = if adaptive { flushed(flushed(w).abs() + uniform.eta) } else { 1.0 };
            let direction = flushed(flushed(t * flushed(g)) / norm[0]);
            let step = if norm[0] < f32::MIN_POSITIVE { 0.0 } else { flushed(flushed(rho[0] * t) * direction) };
            if step == 0.0 { w } else { flushed(flushed(w) + step) }
        };
        weights.iter().zip(gradient).enumerate().map(ascend).collect()
    }

    #[test]
    fn a_device_that_flushes_all_that_is_subnormal_stays_within_the_bound() {
        for seed in 0..3000 {
            let case = (L2_RAGGED.case).draw(&mut Generator::new(seed, 5));
            let tolerance = l2_tolerance(&case.call, &case.operands, 4);
            let got = Data::F32(flushing(&case.call.uniform(), &case.operands));
            let comparison = tolerance.compare(&case.expected()[4], &got);
            assert!(comparison.passed(), "seed {seed}: {comparison:?}, {}", case.label);
        }
    }

    #[test]
    fn a_tiny_gradient_gives_a_step_of_full_length() {
        let ascent = ascend(SAM, [0.0, 0.0], [3e-38, 4e-38], 0.1);
        assert_close(ascent, [0.06, 0.08]);
    }
}
