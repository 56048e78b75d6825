//! AdamW over all parameters at once (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), with
//! the meaning of PyTorch's `AdamW`. Without weight decay it is Adam.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "bias_correction.wgsl", "adamw.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ADAMW, &RAGGED];

const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &ADAMW, ragged: &RAGGED };

/// A step of a count divisible by four.
pub static ADAMW: Kernel = kernel("adamw", "adamw", |generator| case(generator, false));

/// A step of any count.
pub static RAGGED: Kernel = kernel("adamw.ragged", "adamw_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] = &[
        Binding::update("weights", "(count)"),
        Binding::update("first_moment", "(count)"),
        Binding::update("second_moment", "(count)"),
        Binding::read("gradient", "(count)"),
        Binding::read("rate", "(1)"),
        Binding::read("step", "(1)").u32(),
    ];
    MODULE
        .kernel(name, BINDINGS, twin, tolerance, case)
        .with_entry_point(entry_point)
        .with_flops(|call| 15.0 * call.lengths[0] as f64)
}

/// The uniform block of `adamw.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    /// Elements, from the first on, that decay.
    pub decayed: u32,
    pub weight_decay: f32,
    pub epsilon: f32,
    pub beta2: f32,
    /// `1 - beta1`.
    pub complement1: f32,
    /// `1 - beta2`.
    pub complement2: f32,
    /// `ln(beta1)`.
    pub log_beta1: f32,
    /// `ln(beta2)`.
    pub log_beta2: f32,
}

/// One step of `count` parameters in one flat buffer.
///
/// Only the first `decayed` elements decay: lay out the buffer with the parameters that are exempt (biases, norms)
/// last. The betas are in (0, 1), as `f64` because `1 - beta` matters more than `beta`; `epsilon` is above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Parameters of the buffer.
    pub count: usize,
    /// The decay of the first moment, 0.9 as a rule.
    pub beta1: f64,
    /// The decay of the second moment, 0.999 as a rule.
    pub beta2: f64,
    /// Added to the root of the second moment, 1e-8 as a rule.
    pub epsilon: f32,
    /// The decoupled decay, multiplied by the learning rate; 0 for none.
    pub weight_decay: f32,
    /// Parameters, from the first on, that decay.
    pub decayed: usize,
}

impl Problem {
    /// Returns the dispatch with operands `weights`, `first_moment`, `second_moment`, `gradient` (`count` each, moments zeros at
    /// first), `rate` (1) and `step` (`u32`, 1: 1 in the first step; 0 is taken as 1).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("adamw")
            .positive(&[("count", self.count)])?
            .expect("beta1", self.beta1 > 0.0 && self.beta1 < 1.0, "between 0 and 1", self.beta1)?
            .expect("beta2", self.beta2 > 0.0 && self.beta2 < 1.0, "between 0 and 1", self.beta2)?
            .above_zero("epsilon", self.epsilon)?
            .finite("weight_decay", self.weight_decay)?
            .sequence(self.call(target))
    }

    /// The uniform block of the kernel.
    pub(crate) fn uniform(&self) -> Uniform {
        Uniform {
            count: self.count as u32,
            decayed: self.decayed.min(self.count) as u32,
            weight_decay: self.weight_decay,
            epsilon: self.epsilon,
            beta2: self.beta2 as f32,
            complement1: (1.0 - self.beta1) as f32,
            complement2: (1.0 - self.beta2) as f32,
            log_beta1: self.beta1.ln() as f32,
            log_beta2: self.beta2.ln() as f32,
        }
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        let count = self.count;
        VARIANTS.call(&self.uniform(), count, [count, count, count, count, 1, 1])
    }
}

impl Uniform {
    /// `1 - beta1^t` and `1 - beta2^t`.
    fn bias_corrections(&self, step: u32) -> [f64; 2] {
        let t = f64::from(step.max(1));
        [self.log_beta1, self.log_beta2].map(|log_beta| -(t * f64::from(log_beta)).exp_m1())
    }

    /// The factor of weight decay of an element.
    fn decay(&self, element: usize) -> f64 {
        if element < self.decayed as usize { f64::from(self.weight_decay) } else { 0.0 }
    }
}

/// The twin.
pub(crate) fn adamw(
    uniform: &Uniform,
    weights: &mut [f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
    gradient: &[f32],
    rate: &[f32],
    step: &[u32],
) {
    let [bias1, bias2] = uniform.bias_corrections(step[0]);
    for element in 0..weights.len() {
        let w = f64::from(weights[element]);
        let g = f64::from(gradient[element]);
        let m = f64::from(first_moment[element]);
        let v = f64::from(second_moment[element]);
        let m = m + f64::from(uniform.complement1) * (g - m);
        let v = f64::from(uniform.beta2) * v + f64::from(uniform.complement2) * g * g;
        let update = (m / bias1) / ((v / bias2).sqrt() + f64::from(uniform.epsilon));
        first_moment[element] = m as f32;
        second_moment[element] = v as f32;
        weights[element] = (w - f64::from(rate[0]) * (uniform.decay(element) * w + update)) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [weights, first_moment, second_moment, gradient, rate, step] = operands else {
        unreachable!("adamw has six operands")
    };
    adamw(
        &call.uniform(),
        weights.f32(),
        first_moment.f32(),
        second_moment.f32(),
        gradient.f32(),
        rate.f32(),
        step.u32(),
    );
}

/// The moments are sums of three or four operations, each rounded to either neighbour (two units of 2^-24), of terms
/// that may cancel: the sum of their magnitudes counts. The update has three divisions (2.5 ulp), two roots (4.5 ulp),
/// two bias corrections (an exponential at or below exp(-0.5), or a series of eight terms) and five roundings more: 60
/// units of 2^-24 cover them. Subnormal terms may be flushed: the update enlarges the loss in the first moment by 1 /
/// epsilon at most, that in the second is nothing beside epsilon.
fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let uniform: Uniform = call.uniform();
    let [weights, first_moment, second_moment, gradient, rate, step] = operands else {
        unreachable!("adamw has six operands")
    };
    let rate = f64::from(rate.f32()[0].abs());
    let [bias1, bias2] = uniform.bias_corrections(step.u32()[0]);
    let smallest = f64::from(f32::MIN_POSITIVE);
    let flushed = match binding {
        0 => smallest * (4.0 + 4.0 * rate / (bias1 * f64::from(uniform.epsilon))),
        _ => 4.0 * smallest,
    };
    let bounds = (0..call.lengths[0]).map(|element| {
        let [w, m, v, g] =
            [weights, first_moment, second_moment, gradient].map(|operand| f64::from(operand.f32()[element].abs()));
        let m = m + f64::from(uniform.complement1) * (g + m);
        let v = f64::from(uniform.beta2) * v + f64::from(uniform.complement2) * g * g;
        let update = (m / bias1) / ((v / bias2).sqrt() + f64::from(uniform.epsilon));
        let units = match binding {
            0 => 4.0 * w + rate * (8.0 * uniform.decay(element) * w + 60.0 * update),
            1 => 8.0 * m,
            _ => 8.0 * v,
        };
        Tolerance::EPSILON * units + flushed
    });
    Tolerance::PerElement(bounds.collect())
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let problem = Problem {
            count,
            beta1: generator.pick(&[0.5, 0.9, 0.99]),
            beta2: generator.pick(&[0.9, 0.95, 0.999, 0.9999]),
            epsilon: generator.pick(&[1e-8, 1e-6, 1e-3]),
            weight_decay: generator.pick(&[0.0, 1e-2, 0.1]),
            decayed: generator.pick(&[0, 1, count / 2, count]),
        };
        (problem, problem.call(&Target::default()))
    });
    let weights = elementwise_layout::values(generator, count, 1e18);
    // Its square may be past the largest f32, its share of the second moment not.
    let largest = (1e37 / (1.0 - problem.beta2)).sqrt() as f32;
    let gradient = elementwise_layout::values_with_specials(generator, count, largest);
    // Moments that a run can have: the second is at least about the square of the first.
    let mean: Vec<f32> = gradient.f32().iter().map(|g| g * generator.normal()).map(|m| m.clamp(-6e18, 6e18)).collect();
    let square = mean.iter().map(|m| m * m * (1.0 + generator.normal().abs())).collect();
    let (moments, squares) = if generator.chance(0.2) { (vec![0.0; count], vec![0.0; count]) } else { (mean, square) };
    let rate = Data::F32(vec![generator.pick(&[0.0, 1e-3, 0.1, 1.0])]);
    let step = Data::U32(vec![generator.pick(&[1, 2, 3, 10, 1_000, 100_000, 20_000_000])]);
    Case::new(problem, call, [weights, Data::F32(moments), Data::F32(squares), gradient, rate, step])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Problem =
        Problem { count: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decayed: 1 };

    /// The weight after each step on these gradients, from 1.
    fn descend(problem: &Problem, gradients: &[f32], rate: f32) -> Vec<f32> {
        let uniform = problem.call(&Target::default()).uniform();
        let (mut weights, mut first_moment, mut second_moment) = ([1.0], [0.0], [0.0]);
        let step = |(step, gradient): (u32, &f32)| {
            adamw(&uniform, &mut weights, &mut first_moment, &mut second_moment, &[*gradient], &[rate], &[step]);
            weights[0]
        };
        (1..).zip(gradients).map(step).collect()
    }

    #[test]
    fn every_step_on_a_constant_gradient_is_the_rate_in_length() {
        for gradient in [0.25, 1.0, 5.0e3] {
            let weights = descend(&DEFAULT, &[gradient; 50], 0.01);
            for (step, weight) in (1..).zip(weights) {
                assert!((weight - (1.0 - 0.01 * step as f32)).abs() < 2e-6, "{gradient} {step} {weight}");
            }
        }
    }

    // w, m, v = 1.0, 0.0, 0.0
    // for t, g in enumerate([0.5, -1.0, 2.0, 0.25], 1):             # Python, the update that PyTorch documents
    //     w *= 1 - 0.1 * 0.5
    //     m += (1 - 0.9) * (g - m); v = 0.999 * v + (1 - 0.999) * g * g
    //     w -= 0.1 / (1 - 0.9 ** t) * m / (math.sqrt(v) / math.sqrt(1 - 0.999 ** t) + 1e-8)
    //     print(w)
    const GOLDEN: [f32; 4] = [0.85, 0.844_110_35, 0.759_939_9, 0.681_462_5];

    #[test]
    fn four_steps_with_weight_decay_agree_with_the_update_of_pytorch() {
        let problem = Problem { weight_decay: 0.5, ..DEFAULT };
        let weights = descend(&problem, &[0.5, -1.0, 2.0, 0.25], 0.1);
        for (weight, expected) in weights.iter().zip(GOLDEN) {
            assert!((weight - expected).abs() < 1e-6, "{weight} {expected}");
        }
    }

    #[test]
    fn a_zero_gradient_from_zero_moments_moves_nothing() {
        assert_eq!(descend(&DEFAULT, &[0.0; 3], 0.1), [1.0; 3]);
    }
}
